"""What train.py trains on: drawn radiographs in class folders, and weights in the layout of keras.applications."""

import shutil
from functools import partial
from pathlib import Path

from screening_files import SEED, drawn_files, whole

CLASSES = ("covid", "normal", "viral_pneumonia")
FINDINGS = 4  # the drawn files have these in turn: those of CLASSES, and one more
VALIDATION = 5  # for each so many training images one for validation


def radiographs(cache: Path, count: int) -> Path:
    """Return a folder train/CLASS and validation/CLASS of PNG files of 299 x 299, made where it is absent."""

    def make(unfinished: Path) -> None:
        total = count + count // VALIDATION
        drawn = sorted(drawn_files(cache, -(-total * FINDINGS // len(CLASSES))).iterdir())
        chosen = [(path, int(path.stem) % FINDINGS) for path in drawn if int(path.stem) % FINDINGS < len(CLASSES)]
        for number, (path, finding) in enumerate(chosen[:total]):
            part = "train" if number < count else "validation"
            folder = unfinished / part / CLASSES[finding]
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / path.name)

    return whole(cache / f"train-{count}", make)


def weights_file(cache: Path, network: str) -> Path:
    """Return a file of random weights without top, as the published one is called and laid out."""
    return whole(cache / "weights" / network, partial(_make_weights, network)) / _filename(network)


def _filename(network: str) -> str:
    from cxr.models import architecture

    return architecture(network).published.filename


def _make_weights(network: str, unfinished: Path) -> None:
    import h5py

    from cxr.models.keras_applications import initialise
    from cxr.models.layers import keras

    keras.utils.set_random_seed(SEED)
    backbone = {"vgg16": keras.applications.VGG16, "resnet50": keras.applications.ResNet50}[network]
    body = backbone(include_top=False, weights=None, input_shape=(64, 64, 3))
    initialise(body)
    unfinished.mkdir()
    with h5py.File(unfinished / _filename(network), "w") as file:
        # What is public in Keras writes another layout than that of the published files.
        keras.src.legacy.saving.legacy_h5_format.save_weights_to_hdf5_group(file, body)
