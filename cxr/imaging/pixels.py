"""Samples as they lie in a file, and decoded: whether a copy has reached them, and their 8-bit luminance.

From decoded samples of any mode luminance is scaled, never clipped, never stretched to the range found. A copy that
stopped in a file which had its full length from the start leaves zeros up to its end. Most formats tell by a checksum
or an end marker; pixels that are not compressed have neither, and would be a film with a black part; nor has WebP.
"""

import re
import struct
from collections.abc import Iterator
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
# Samples of 16 bits in Pillow's words, with the order of their bytes; `BGR;16` are pixels of 16 bits.
_DEEP = re.compile(r"\b(\w+);16[BLN]")
_WITH_ALPHA = {"LA": "grey with alpha", "RGBA": "colour with alpha"}
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
    """Refuse several samples a pixel of 16 bits: Pillow keeps only their high byte, which is wrong for 12-bit data.

    Raises:
        ImageError: The picture has several samples a pixel, each of 16 bits; pixels of 16 bits are something else.
    """
    deep = [found[1] for tile in getattr(image, "tile", []) if (found := _DEEP.search(str(tile[3])))]
    if len(image.getbands()) > 1 and deep:
        samples = _WITH_ALPHA.get(deep[0], "colour")
        remedy = "save it as 16-bit greyscale" + " without alpha" * (deep[0] in _WITH_ALPHA)
        raise ImageError(Reason.UNSUPPORTED, f"16-bit {samples}; {remedy}")


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


_BLOCK = 512  # bytes: copies write multiples of it
_DARK = 1  # byte before the place where a copy stopped that may be zero by itself: the high one of a sample
_BRIGHT = 4  # one byte of so many must be above zero in the row above, on either side
_FADED = 1.5  # times as bright is another brightness
_LEAST_CODED = 64  # zeros in a row that no coded picture ends with
_CORE_HEADER = 12  # bytes of the oldest information header of BMP
_UNCOMPRESSED, _RUN_LENGTHS = (0, 3), (1, 2)  # of BMP: plain, and with bit fields; of 8 bits, and of 4


def check_rows(pixels: bytes | memoryview, start: int, stride: int) -> None:
    """Refuse uncompressed pixels that a copy has not reached.

    A black border begins where a row begins or ends, or where the row above is black as well. A copy stops at a
    multiple of 512 bytes of the file, mostly in the midst of a row, below bright pixels; where it stops elsewhere,
    nothing tells.

    Args:
        pixels: Row by row, up to the end of the file.
        start: Where in the file they begin, bytes.
        stride: Bytes of a row.

    Raises:
        ImageError: They are truncated.
    """
    values = np.frombuffer(pixels, np.uint8)
    filled = _filled(values)
    if stride <= 0 or len(values) - filled < max(_BLOCK, 2 * stride):
        return
    first = filled + -(start + filled) % _BLOCK
    for stopped in range(first, min(filled + stride, len(values)), _BLOCK):
        if _stops_in_row(values, filled, stopped, stride):
            row = stopped // stride + 1
            raise _stopped(f"its pixels are zero from byte {start + stopped:,} of the file on, within row {row:,}")


def check_bmp(data: bytes) -> None:
    """Refuse a BMP that a copy has not reached: uncompressed as `check_rows`, run-length codes where rows are empty.

    Raises:
        ImageError: It is truncated.
    """
    start, header = struct.unpack_from("<II", data, 10)
    pattern = "<HHHH" if header == _CORE_HEADER else "<iiHH"
    width, _, _, bits = struct.unpack_from(pattern, data, 18)
    compression = 0 if header == _CORE_HEADER else struct.unpack_from("<I", data, 30)[0]
    if compression in _UNCOMPRESSED and bits >= 8:
        check_rows(memoryview(data)[start:], start, (width * bits + 31) // 32 * 4)
    if compression in _RUN_LENGTHS:
        _check_runs(data, start, bits)


def check_webp(data: bytes) -> None:
    """Refuse a WebP whose coded picture ends in zeros (RFC 9649, 2.3). Raises ImageError."""
    for name, place, size in _chunks(data):
        if name in (b"VP8 ", b"VP8L"):
            content = np.frombuffer(data[place : place + size], np.uint8)
            filled = _filled(content)
            if len(content) - filled >= _LEAST_CODED:
                raise _stopped(f"its picture is zero from byte {place + filled:,} of the file on")


def _check_runs(data: bytes, start: int, bits: int) -> None:
    """Refuse a row without pixels, as zeros are; Pillow would leave it out, and move the others."""
    place, row, pixels = start, 1, 0
    while place + 2 <= len(data):
        number, value = data[place : place + 2]
        place += 2
        if number:
            pixels += number
        elif value == 0 and not pixels:
            raise _stopped(f"row {row:,} of its run-length codes is empty at byte {place:,} of the file")
        elif value == 0:
            row, pixels = row + 1, 0
        elif value == 1:  # the end
            return
        elif value == 2:  # a move
            place, pixels = place + 2, pixels + 1
        else:
            size = (value * bits + 7) // 8
            place, pixels = place + size + size % 2, pixels + value


def _stopped(found: str) -> ImageError:
    return ImageError(Reason.TRUNCATED, f"{found}, as where a copy stopped")


def _filled(values: NDArray[np.uint8]) -> int:
    """Return how many bytes there are before the zeros at the end."""
    end = len(values)
    while end and not values[(start := max(end - (1 << 16), 0)) : end].any():
        end = start
    bright = np.flatnonzero(values[max(end - (1 << 16), 0) : end])
    return max(end - (1 << 16), 0) + int(bright[-1]) + 1 if len(bright) else 0


def _stops_in_row(values: NDArray[np.uint8], filled: int, stopped: int, stride: int) -> bool:
    """Tell whether zeros from `filled` on are those of a copy that `stopped` within a row, and no border."""
    column = stopped % stride
    if filled <= stopped - column or stopped < 3 * stride:  # the whole row is black, or there are too few above
        return False
    begin = stopped - column
    farther, above, own = (values[begin - rows * stride :][:stride] for rows in (2, 1, 0))
    between = values[filled - stride : stopped - stride]
    return bool(
        np.count_nonzero(between) <= _DARK
        and all(_BRIGHT * np.count_nonzero(side) >= len(side) for side in (above[:column], above[column:]))
        # A film fades into its border, within some rows; what a copy has brought is as bright as the rows above.
        and _is_as_bright(own[:column], above[:column])
        and _is_as_bright(above[column:], farther[column:])
    )


def _is_as_bright(some: NDArray[np.uint8], others: NDArray[np.uint8]) -> bool:
    return bool(_FADED * int(some.sum(dtype=np.int64)) >= int(others.sum(dtype=np.int64)))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Give name, place and size of the content of each chunk of a RIFF file."""
    place = 12
    while place + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        yield name, place + 8, size
        place += 8 + size + size % 2
