"""From decoded samples of any mode to 8-bit luminance: scaled, never clipped, never stretched to the range found."""

import re
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.core.errors import ImageError, Reason
from cxr.core.image import Plane

MAX_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485  # Pillow's own limit, five times the largest detector
# Only these decoders see a file's bytes: others that Pillow has may start programs (EPS starts Ghostscript).
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")

TRUNCATED_WORDS = ("truncated", "incomplete", "unexpected end", "not enough", "less than expected")
UNSUPPORTED_WORDS = ("unsupported", "not supported", "cannot handle", "not implemented")
# What helps where DICOM has a syntax that no decoder knows.
CONVERT = "convert it to Explicit VR Little Endian with the program that wrote it"
# What a decoder's mistake reads like, in contrast to what it says of a file; also addresses and places of a machine.
INTERNAL = re.compile(
    r"object at 0x|<class|<_io|object has no|NoneType|argument must be|positional|unpack|literal|subscript|index out"
    r"|can't (de|en)code|/tmp/|/usr/|/home/|site-packages|Traceback|\bmodule\b"
    r"|struct format|pydicom\.|[Ee]rror -?\d|decoder object|file position"
)
MISTAKES = (
    AttributeError,
    TypeError,
    LookupError,
    AssertionError,
    NameError,
    UnicodeError,
    struct.error,
    RecursionError,
)


def named(error: Exception) -> ImageError:
    """Return what a decoder's exception says of the file, as one of `Reason`, in words for its owner."""
    said = str(error) or type(error).__name__
    tried = _by_each_decoder(said)
    said = tried[0] if tried else said
    is_internal = isinstance(error, MISTAKES) or INTERNAL.search(said) is not None
    if isinstance(error, Image.DecompressionBombError):
        return ImageError(Reason.TOO_LARGE, f"more than {MAX_PIXELS:,} pixels")
    if any(word in said.lower() for word in TRUNCATED_WORDS):
        return ImageError(Reason.TRUNCATED, "its content ends early" if is_internal else said)
    if tried and all("does not support" in line for line in tried):
        return ImageError(Reason.NO_DECODER, f"{tried[0]}; {CONVERT}")
    if any(word in said.lower() for word in UNSUPPORTED_WORDS) and not is_internal:
        return ImageError(Reason.UNSUPPORTED, said)
    return ImageError(Reason.UNREADABLE, "the decoder cannot make sense of its content" if is_internal else said)


def _by_each_decoder(said: str) -> list[str]:
    """Return what each decoder that pydicom tried says, without its name; nothing where it tried none."""
    first, *lines = said.splitlines() or [""]
    return [line.split(":", 1)[-1].strip() for line in lines if line.strip()] if "plugins" in first else []


FULL_SCALES = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16))  # what detectors write into 16-bit files
INTEGER_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
GREY_MODES = ("1", "L", "LA", "La", "F", *INTEGER_MODES)
COLOUR_SIDE = 64  # about the side of the copy that colour is measured on: reading every pixel would cost as much again


def luminance_of(image: Image.Image, steps: list[str]) -> tuple[Plane, int]:
    """Return the luminance of a loaded picture and the bits a sample uses; what was done is appended to `steps`.

    Raises:
        ImageError: Black and white of these samples are not defined.
    """
    if image.mode in INTEGER_MODES:
        return _from_integers(np.asarray(image), steps)
    if image.mode == "F":
        raise ImageError(Reason.UNSUPPORTED, "floating-point pixels have no defined black and white")
    bit_depth = 1 if image.mode == "1" else 8
    if image.has_transparency_data:
        steps.append("alpha_over_black")
        image = _over_black(image)
    if image.mode == "L":
        return np.asarray(image), bit_depth  # converting would only copy
    if image.mode != "1":
        steps.append("luma_601")
    return np.asarray(image.convert("RGB" if image.mode in ("P", "PA") else image.mode).convert("L")), bit_depth


def colour_of(image: Image.Image) -> float:
    """Return how colourful a loaded picture is: the mean over pixels of (max - min of R, G, B) / 255, 0 to 1.

    Measured on a copy with sides of 64 to 127 pixels, or of the picture where it is smaller; transparent samples count
    as black. 0 for grey samples of any depth.
    """
    if image.mode in GREY_MODES:
        return 0.0
    factors = (max(1, image.width // COLOUR_SIDE), max(1, image.height // COLOUR_SIDE))
    if image.mode in ("P", "PA"):  # numbers of a palette have no mean
        small = image.resize((image.width // factors[0], image.height // factors[1]), Image.Resampling.NEAREST)
    else:
        small = image.reduce(factors)
    small = _over_black(small) if small.has_transparency_data else small
    red, green, blue = np.moveaxis(np.asarray(small.convert("RGB")), 2, 0)  # five times as fast as along the last axis
    largest, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return float((largest - least).mean()) / 255


def scale_to_8_bit(values: NDArray[Any], full_scale: int) -> Plane:
    """Return round(255 * values / full_scale) as uint8, exactly; `values` are integers in 0..full_scale."""
    return ((values.astype(np.uint32) * 255 + full_scale // 2) // full_scale).astype(np.uint8)


def refuse_deep_colour(image: Image.Image) -> None:
    """Refuse 16-bit colour: Pillow keeps only its high byte, which is wrong for 12-bit data.

    Raises:
        ImageError: The picture has several bands of 16 bits.
    """
    raw_modes = [str(tile[3]) for tile in getattr(image, "tile", [])]
    if len(image.getbands()) > 1 and any(";16" in raw for raw in raw_modes):
        raise ImageError(Reason.UNSUPPORTED, f"16-bit {image.mode}; save it as 16-bit greyscale")


def _over_black(image: Image.Image) -> Image.Image:
    image = image.convert("LA" if image.mode == "La" else image.mode).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)


def _from_integers(values: NDArray[Any], steps: list[str]) -> tuple[Plane, int]:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > FULL_SCALES[-1]:
        raise ImageError(Reason.UNSUPPORTED, f"grey values from {low} to {high}; expected 0 to {FULL_SCALES[-1]}")
    full_scale = next(scale for scale in FULL_SCALES if high <= scale)
    steps.append(f"divided_by_{full_scale}")
    return scale_to_8_bit(values, full_scale), full_scale.bit_length()
