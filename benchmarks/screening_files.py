"""The files that screening.py screens, and the Keras model that the Keras script loads. Made once, then kept.

Phantoms of 299 x 299, 8-bit grey, as Pillow writes them: 33 kB and 1 ms of decoding each, as radiographs have.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom

SEED = 7
DRAWN = 100  # phantoms; further files are these, shifted: as hard to decode, but no file is another's copy
READABLE_BY_KERAS = {".png", ".jpg", ".jpeg"}


def draw(number: int, folder: Path) -> None:
    """Draw one phantom and save it with the names 00000.png, 00001.png, ... of `number`, `number` + DRAWN, ..."""
    luminance = draw_phantom(list(Finding)[number % len(Finding)], [SEED, number], 0).luminance
    count = int(folder.name.partition(".")[0])
    for shift, index in enumerate(range(number, count, DRAWN)):
        Image.fromarray(np.roll(luminance, shift, axis=1)).save(folder / f"{index:05d}.png")


def drawn_files(cache: Path, count: int) -> Path:
    """Return a folder of `count` files in `cache`, made where it is absent."""

    def make(unfinished: Path) -> None:
        unfinished.mkdir()
        with ProcessPoolExecutor() as pool:
            list(pool.map(draw, range(min(count, DRAWN)), [unfinished] * min(count, DRAWN)))

    return whole(cache / str(count), make)


def own_files(source: Path, target: Path, count: int) -> Path:
    """Copy `count` of the files in `source` and below, taken evenly, into the new folder `target`."""
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in READABLE_BY_KERAS)
    if len(paths) < count:
        raise SystemExit(f"{source} has {len(paths):,} PNG and JPEG files; expected {count:,} or more")
    target.mkdir(parents=True)
    for index in range(count):
        path = paths[index * len(paths) // count]
        shutil.copyfile(path, target / f"{index:05d}{path.suffix.lower()}")
    return target


def keras_model(cache: Path) -> Path:
    """Return cnn1 as a user would have saved it, in `cache`: float32 pixels in, probabilities out, untrained."""
    return whole(cache / "cnn1.keras", _save_model)


def whole(path: Path, make: Callable[[Path], None]) -> Path:
    """Return `path`, which `make` writes under another name first, so that half a folder is never taken for one."""
    if not path.exists():
        print(f"making {path} ...", file=sys.stderr)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as beside:
            make(Path(beside) / path.name)
            (Path(beside) / path.name).rename(path)
    return path


def _save_model(path: Path) -> None:
    from networks import build
    from plain_keras import plain_copy

    from cxr.models.layers import keras

    keras.utils.set_random_seed(SEED)
    network = build("cnn1", 128)
    pixels = keras.Input((128, 128, 1))
    keras.Model(pixels, keras.layers.Softmax()(plain_copy(network, pixels))).save(path)
