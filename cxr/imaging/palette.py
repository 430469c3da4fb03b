"""Palettes of PNG, BMP and GIF: a pixel of a colour that the file does not have is no black one.

Pillow shows such pixels black, or, where the palette is a ramp of greys, which it then leaves out, as the grey of their
number. It reads a palette of BMP as long as the header says, which may be on into the pixels. That of TIFF is looked at
in `cxr.imaging.tiff`, before Pillow sees it.
"""

import struct

import numpy as np
from PIL import Image

from cxr.core.errors import ImageError, Reason

_PALETTED = ("P", "L", "1")  # modes of a picture that has a palette, or had one before Pillow left it out
_MOST_COLOURS = 256
_CORE_HEADER = 12  # bytes of the oldest information header of BMP, whose colours have three bytes
_FILE_HEADER = 14  # bytes before the information header
_SHORTEST_BMP = 54  # bytes of both, but for the oldest kind
_NO_GREY = b"\1\2\3\0"  # a colour more, so that a palette is no ramp of greys
_GIF_HEADER = 13  # bytes up to the table of colours of the whole file
_DESCRIPTOR, _EXTENSION = 0x2C, 0x21  # of GIF: what stands before a picture, and before anything else
_DESCRIPTOR_BYTES = 10


def check_palette(image: Image.Image, data: bytes) -> None:
    """Refuse pixels whose colour the palette does not have.

    Args:
        image: A loaded picture of any format, not yet turned; nothing is asked of formats without a palette.
        data: The file.

    Raises:
        ImageError: The number of a pixel's colour is not below the number of colours.
    """
    if image.mode not in _PALETTED:
        return
    colours = _colours(image, data)
    if colours is None or colours >= _MOST_COLOURS:
        return
    counts = np.array(image.histogram())
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):  # which needs no colour
        counts[transparent : transparent + 1] = 0
    largest = int(counts.nonzero()[0].max(initial=0))
    largest = min(largest, 1) if image.mode == "1" else largest
    if largest >= colours:
        raise ImageError(
            Reason.UNREADABLE,
            f"a pixel has the colour number {largest}, counted from 0; its palette has {colours:,} colours",
        )


def with_kept_palette(data: bytes) -> bytes:
    """Return a BMP of the same pixels whose palette Pillow does not leave out where it then misreads the pixels.

    It leaves out a ramp of greys, and takes the numbers for samples: of 8 bits, which numbers of 4 are not, or of 1 bit
    where there are two colours, whatever bits their numbers have.

    Args:
        data: A BMP file, of whose header nothing is known yet.
    """
    if len(data) < _SHORTEST_BMP or struct.unpack_from("<I", data, 14)[0] == _CORE_HEADER:
        return data
    start, header = struct.unpack_from("<II", data, 10)
    colours, bits = _colours_of_bmp(data), struct.unpack_from("<H", data, 28)[0]
    if colours is None or bits == 1 or (bits == 8 and colours > 2):
        return data
    table = _FILE_HEADER + header
    end, is_said = table + 4 * colours, start > table  # else the pixels follow, wherever the palette ends
    if not end <= (start if is_said else end) <= len(data):
        return data
    moved = struct.pack("<I", start + len(_NO_GREY) * is_said)
    more = struct.pack("<I", colours + 1)
    return b"".join((data[:10], moved, data[14:46], more, data[50:end], _NO_GREY, data[end:]))


def _colours(image: Image.Image, data: bytes) -> int | None:
    """Return how many colours the palette of a file has; None where its pixels are no numbers of colours."""
    if image.format == "PNG" and image.mode == "P":
        return len(image.palette.palette) // len(image.palette.mode) if image.palette is not None else 0
    if image.format == "BMP":
        return _colours_of_bmp(data)
    return _colours_of_gif(data) if image.format == "GIF" else None


def _colours_of_bmp(data: bytes) -> int | None:
    """Return how many colours a BMP says that it has, and has room for before its pixels; None: it has no palette."""
    start, header = struct.unpack_from("<II", data, 10)
    bits, used, size = struct.unpack_from("<H", data, 24)[0], 0, 3
    if header != _CORE_HEADER:
        bits, used, size = struct.unpack_from("<H", data, 28)[0], struct.unpack_from("<I", data, 46)[0], 4
    if bits > 8:
        return None
    said, room = used or 1 << bits, (start - _FILE_HEADER - header) // size
    return min(said, room) if room > 0 else said  # else the pixels follow, wherever the palette ends


def _colours_of_gif(data: bytes) -> int:
    """Return how many colours the one picture of a GIF has: its own, or those of the file; 0 where there are none."""
    of_file = _table(data[10])
    place = _GIF_HEADER + 3 * of_file
    while place + _DESCRIPTOR_BYTES <= len(data) and data[place] != _DESCRIPTOR:
        place = _behind_extension(data, place) if data[place] == _EXTENSION else place + 1
    return (_table(data[place + _DESCRIPTOR_BYTES - 1]) if place + _DESCRIPTOR_BYTES <= len(data) else 0) or of_file


def _table(flags: int) -> int:
    """Return how many colours a table has, of flags of which the highest tells whether there is one."""
    return 2 << (flags & 7) if flags & 0x80 else 0


def _behind_extension(data: bytes, place: int) -> int:
    """Return where an extension ends: behind its first empty block."""
    place += 2
    while place < len(data) and data[place]:
        place += 1 + data[place]
    return place + 1
