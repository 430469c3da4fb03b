"""What the headers of JPEG, JPEG-LS and JPEG 2000 say, without decoding (ITU-T T.81, B.2.2; T.87; T.800, A.5.1)."""

import struct
from typing import NamedTuple

START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}  # no tables, no extension; JPEG-LS
SEQUENTIAL = frozenset({0xC0, 0xC1})  # of them: baseline and extended, coded by Huffman
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
FILL = 0xFF
JPEG_2000 = b"\xff\x4f\xff\x51"
SSIZ = 42  # where a JPEG 2000 codestream says bits, less one, and sign of its first samples


class Frame(NamedTuple):
    """A frame header.

    Attributes:
        place: Of its marker, in bytes.
        marker: Second byte of it.
        bits: Of a sample.
        height: Lines.
        width: Pixels of a line.
        samples: Of a pixel.
    """

    place: int
    marker: int
    bits: int
    height: int
    width: int
    samples: int


def precision_of(data: bytes) -> int | None:
    """Return the bits of a sample of any of them; None where the header does not tell."""
    if data.startswith(JPEG_2000):
        return (data[SSIZ] & 0x7F) + 1 if len(data) > SSIZ else None
    frame = frame_of(data) if data.startswith(b"\xff\xd8") else None
    return frame.bits if frame else None


def frame_of(data: bytes) -> Frame | None:
    """Return the first frame header of a JPEG or JPEG-LS; None where none is found."""
    place = 2
    while place + 10 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker in START_OF_FRAME:
            return Frame(place, marker, *struct.unpack_from(">BHHB", data, place + 4))
        if marker == FILL:
            place += 1
        elif marker in WITHOUT_LENGTH:
            place += 2
        else:
            place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    return None
