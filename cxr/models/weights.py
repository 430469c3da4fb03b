"""The published ImageNet weights: which files they are, whether they are here, how to fetch them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.request import urlopen

from cxr.errors import WeightsError
from cxr.files import whole_file
from cxr.progress import Track, untracked

CHUNK = 1 << 20
TIMEOUT_SECONDS = 30.0  # of one read; a slow line is no fault, a silent one is
STORE = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """One file that keras.applications publishes.

    Attributes:
        filename: Its name, here as there.
        url: Where it is fetched.
        md5: Of its bytes, as Keras itself checks it.
    """

    filename: str
    url: str
    md5: str


def _published(folder: str, filename: str, md5: str) -> PublishedWeights:
    return PublishedWeights(filename, f"{STORE}/{folder}/{filename}", md5)


# Without the classifier of the thousand ImageNet classes ("notop").
PUBLISHED = {
    "vgg16": _published(
        "vgg16", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "6d6bbae143d832006294945121d1f1fc"
    ),
    "resnet50": _published(
        "resnet", "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", "4d473c1dd8becc155b73f8504c6f6626"
    ),
}


def require_weights(folder: Path, model: str) -> Path:
    """Return the published weights of `model` (a key of `PUBLISHED`).

    Args:
        folder: Holds the file itself: `weights/vgg16`, not `weights`.
        model: A key of `PUBLISHED`.

    Raises:
        WeightsError: The file is absent or is not the published one.
    """
    published = PUBLISHED[model]
    path = folder / published.filename
    if not path.is_file():
        raise WeightsError(
            f"The ImageNet weights of {model} are not here: expected {published.filename} in {folder}. Fetch them "
            f"with 'cxr-data weights {model}', or start from random weights: set train_{model}.weights to 'random' "
            "in params.yaml"
        )
    found = md5_of(path)
    if found != published.md5:
        raise WeightsError(
            f"{path} is not the published file: its md5 is {found}, expected {published.md5}. Replace it "
            f"with 'cxr-data weights {model}'"
        )
    return path


def fetch(published: PublishedWeights, folder: Path, track: Track = untracked) -> bool:
    """Put the published file into `folder`, whole or not at all; another file of its name there is replaced.

    Returns:
        False when the right file was there already, and nothing was fetched.

    Raises:
        WeightsError: The address cannot be read, or gives another file than the published one.
    """
    path = folder / published.filename
    if path.is_file() and md5_of(path) == published.md5:
        return False
    with whole_file(path) as temporary:
        found = _download(published, temporary, folder, track)
        if found != published.md5:
            raise WeightsError(
                f"{published.url} gave a file with the md5 {found}, expected {published.md5}: the download broke off "
                "or something on the way changed it. Nothing was kept; try again"
            )
    return True


def md5_of(path: Path) -> str:
    """Return the MD5 of the file's bytes, 32 lower-case hexadecimal digits; a name for a file, not a protection."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _download(published: PublishedWeights, target: Path, folder: Path, track: Track) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with urlopen(published.url, timeout=TIMEOUT_SECONDS) as response, target.open("wb") as file:
            size = response.headers.get("Content-Length", "")
            total = -(-int(size) // CHUNK) if size.isdigit() else None
            for chunk in track(_chunks(response), f"{published.filename} (MiB)", total):
                digest.update(chunk)
                file.write(chunk)
    except (OSError, HTTPException) as error:
        raise WeightsError(
            f"{published.url} could not be fetched ({error}). Without a network, fetch that address on another "
            f"machine and put the file, under the same name, into {folder}"
        ) from error
    return digest.hexdigest()


def _chunks(response: IO[bytes]) -> Iterator[bytes]:
    while chunk := response.read(CHUNK):
        yield chunk
