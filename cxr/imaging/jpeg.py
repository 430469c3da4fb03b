"""JPEG: what its frame header says, without decoding (ITU-T T.81, B.2.2)."""

import struct

START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # but tables and an extension
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
FILL = 0xFF


def frame_of(data: bytes) -> tuple[int, int] | None:
    """Return the bits of a sample and the samples of a pixel; None where no frame header is found."""
    place = 2
    while place + 10 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker in START_OF_FRAME:
            return data[place + 4], data[place + 9]
        if marker == FILL:
            place += 1
        elif marker in WITHOUT_LENGTH:
            place += 2
        else:
            place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    return None
