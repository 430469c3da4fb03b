"""Weights that a training starts from: whether their file is here, and how published ones are fetched."""

import hashlib
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.request import urlopen

from cxr.core.errors import WeightsError
from cxr.core.files import Track, untracked, whole_file
from cxr.models import IMAGENET, RANDOM, PublishedWeights

CHUNK = 1 << 20
TIMEOUT_SECONDS = 30.0  # of one read; a slow line is no fault, a silent one is


def weights_file(folder: Path, model: str, weights: str, published: PublishedWeights | None) -> Path | None:
    """Return the file that the network `model` starts from, or None where it starts at random.

    Args:
        folder: As for `require_weights`.
        model: Name of the network.
        weights: `random`, `imagenet`, or a file as seen from `folder`.
        published: What `imagenet` means.

    Raises:
        WeightsError: The file is absent; or `imagenet` is asked for and the file is not the published one.
    """
    if weights == RANDOM or published is None:
        return None
    if weights == IMAGENET:
        return require_weights(folder, model, published)
    path = folder / weights
    if not path.is_file():
        raise WeightsError(
            f"The weights that {model} is to start from are not here: train_{model}.weights in params.yaml is "
            f"'{weights}', which means the file {path}. Put it there, or set train_{model}.weights to 'random'"
        )
    return path


def require_weights(folder: Path, model: str, published: PublishedWeights) -> Path:
    """Return the file of the published weights of the network `model`.

    Args:
        folder: Holds the file itself: `weights/vgg16`, not `weights`.
        model: Name of the network.
        published: What is expected.

    Raises:
        WeightsError: The file is absent or is not the published one.
    """
    path, command = folder / published.filename, fetching_command(model, published)
    if not path.is_file():
        raise WeightsError(
            f"The ImageNet weights of {model} are not here: expected {published.filename} in {folder}. Fetch them "
            f"with '{command}', or start from random weights: set train_{model}.weights to 'random' in params.yaml"
        )
    found = md5_of(path)
    if found != published.md5:
        raise WeightsError(
            f"{path} is not the published file: its md5 is {found}, expected {published.md5}. Replace it "
            f"with '{command}'"
        )
    return path


def fetching_command(model: str, published: PublishedWeights) -> str:
    """Return the command that brings the published weights of the network `model`."""
    return f"cxr-data weights {model}" if published.origin else f"dvc pull weights/{model}/{published.filename}"


def md5_of(path: Path) -> str:
    """Return the MD5 of the file's bytes, 32 lower-case hexadecimal digits; a name for a file, not a protection."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def fetch(published: PublishedWeights, folder: Path, track: Track = untracked) -> bool:
    """Put the published file into `folder`, whole or not at all; another file of its name there is replaced.

    Returns:
        False when the right file was there already, and nothing was fetched.

    Raises:
        WeightsError: It cannot be had, or what comes is another file than the published one.
    """
    path = folder / published.filename
    if path.is_file() and md5_of(path) == published.md5:
        return False
    with whole_file(path) as temporary:
        _download(published, temporary, folder, track)
        found = md5_of(temporary)
        if found != published.md5:
            raise WeightsError(
                f"{published.origin} gave a file with the md5 {found}, expected {published.md5}: the download broke "
                "off or something on the way changed it. Nothing was kept; try again"
            )
    return True


def _download(published: PublishedWeights, target: Path, folder: Path, track: Track) -> None:
    try:
        with urlopen(published.origin, timeout=TIMEOUT_SECONDS) as response:
            size = response.headers.get("Content-Length", "")
            _copy(response, target, int(size) if size.isdigit() else None, published, track)
    except (OSError, HTTPException) as error:
        raise WeightsError(
            f"{published.origin} could not be fetched ({error}). Without a network, fetch that address on another "
            f"machine and put the file, under the same name, into {folder}"
        ) from error


def _copy(source: IO[bytes], target: Path, size: int | None, published: PublishedWeights, track: Track) -> None:
    total = None if size is None else -(-size // CHUNK)
    with target.open("wb") as file:
        for chunk in track(_chunks(source), f"{published.filename} (MiB)", total):
            file.write(chunk)


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        yield chunk
