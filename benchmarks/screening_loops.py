"""The parts of screening, each alone and warm: loops that only decode and resize, and the network's forward pass.

    python screening_loops.py FOLDER SIDE MODEL

One loop's name a line on stdin gives images a second on stdout; `loops` gives the names of those that can run here.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cxr.imaging.png import with_stored_pixels
from cxr.inference.model_folder import load_model, named_folder

WORKERS = len(os.sched_getaffinity(0))  # as many as cxr-batch has
Decode = Callable[[Path, int], Any]  # to uint8 (side, side), antialiased


def pillow(path: Path, side: int) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize((side, side), Image.Resampling.BILINEAR))


def isal(path: Path, side: int) -> Any:
    with Image.open(BytesIO(with_stored_pixels(path.read_bytes()))) as image:
        return np.asarray(image.convert("L").resize((side, side), Image.Resampling.BILINEAR))


def opencv(path: Path, side: int) -> Any:
    import cv2

    return cv2.resize(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), (side, side), interpolation=cv2.INTER_AREA)


def kornia(path: Path, side: int) -> Any:
    """Decode 8-bit grey PNGs alone: this decoder must be told size and mode beforehand."""
    import kornia_rs

    data = path.read_bytes()
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    luminance = kornia_rs.io.decode_image_png_u8(data, (height, width), "mono")[..., 0]
    return np.asarray(Image.fromarray(luminance).resize((side, side), Image.Resampling.BILINEAR))


def runnable(paths: list[Path], side: int) -> dict[str, Decode]:
    """Return the decoders that are installed and can read all of `paths`."""
    found: dict[str, Decode] = {}
    for name, decode in {
        "Pillow": pillow,
        "ISA-L + Pillow": isal,
        "OpenCV": opencv,
        "kornia_rs + Pillow": kornia,
    }.items():
        try:
            for path in paths:
                decode(path, side)
        except Exception as error:  # decoders raise anything
            print(f"{name}: not measured: {error!r}", file=sys.stderr)
        else:
            found[name] = decode
    return found


def decode_all(decode: Decode, paths: Iterable[Path], side: int) -> list[Any]:
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda path: decode(path, side), paths))


def main(folder: str, side_text: str, model: str) -> None:
    side, paths = int(side_text), sorted(Path(folder).iterdir())
    network = load_model(named_folder(model)).network
    decoders = runnable(paths, side)
    planes = np.stack(decode_all(pillow, paths, side))
    network.logits(planes)
    for line in sys.stdin:
        name, start = line.strip(), time.perf_counter()
        if name == "loops":
            print(*decoders, sep="\t", flush=True)
            continue
        if name == "forward":
            network.logits(planes)
        else:
            decode_all(decoders[name], paths, side)
        print(len(paths) / (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
