"""JPEG whose damage is told: where Pillow's libjpeg warns, Pillow says nothing.

JPEG has no checksum. Where coded data end early or make no sense, libjpeg goes on: it fills the rest with grey, or
shifts it, and warns. simplejpeg makes an error of that. It holds libjpeg-turbo as Pillow does: the pixels are the same.
"""

import re

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from simplejpeg import decode_jpeg

from cxr.core.errors import ImageError, Reason
from cxr.imaging.codestream import END, bare, frame_of

_MODES = {"L": "GRAY", "RGB": "RGB"}  # of Pillow, and what gives the same; whether CMYK is inverted Pillow knows better
_SAMPLES = {1: "GRAY", 3: "RGB", 4: "CMYK"}
_CUT = ("premature end of data segment", "Premature end of JPEG file")
_BEFORE_END = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_FEW = 3  # bytes, as some encoders leave them
_READ_AHEAD = 16  # bytes that libjpeg may have taken into its buffer
# What libjpeg says of a picture that may be whole: what simplejpeg does not decode, and an odd header of a scan.
_HARMLESS = (
    "subsampling level",
    "color conversion",
    "data precision",
    "JPEG process",
    "SOS parameters",
    "lossless parameters",  # of more bits than eight
)


def loaded(image: Image.Image, data: bytes) -> Image.Image:
    """Return the picture that Pillow has opened, at the scale that was asked of it.

    Args:
        image: A JPEG that was opened, and not loaded.
        data: The file.

    Raises:
        ImageError: Its coded data end early or are damaged.
        OSError: Pillow cannot decode it.
    """
    values = _decoded(image, data) if image.mode in _MODES else None
    if values is not None:
        return Image.fromarray(values[..., 0] if image.mode == "L" else values)
    image.load()
    check_coded(data)
    return image


def check_coded(data: bytes) -> None:
    """Refuse a JPEG, of any depth, whose coded data end early or are damaged. Raises ImageError."""
    frame, coded = frame_of(data), bare(data)
    if frame is None or frame.samples not in _SAMPLES:
        return
    try:
        decode_jpeg(coded, _SAMPLES[frame.samples])
    except ValueError as error:
        said = str(error).removeprefix("Corrupt JPEG data: ")
        if said in _CUT:
            raise ImageError(Reason.TRUNCATED, "its JPEG data end before its picture does") from error
        if not any(words in said for words in _HARMLESS) and not _is_padding(said, coded):
            raise ImageError(Reason.UNREADABLE, f"its JPEG data are damaged: {said}") from error


def _is_padding(said: str, coded: bytes) -> bool:
    """Tell whether what libjpeg passes over lies behind the picture: a few bytes, or zeros, none of which it took."""
    found = _BEFORE_END.match(said)
    if found is None:
        return False
    before = coded[: coded.find(END)]
    zeros = len(before) - len(before.rstrip(b"\0"))
    return int(found[1]) <= _FEW or zeros - _READ_AHEAD <= int(found[1]) <= zeros


def _decoded(image: Image.Image, data: bytes) -> NDArray[np.uint8] | None:
    """Return the samples of a picture that is whole; None where there is something to be said about it."""
    try:
        values = decode_jpeg(data, _MODES[image.mode], min_height=image.height, min_width=image.width)
    except ValueError:
        return None
    return values if values.shape[:2] == (image.height, image.width) else None
