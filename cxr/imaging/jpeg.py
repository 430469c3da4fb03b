"""What the headers of JPEG, JPEG-LS and JPEG 2000 say, without decoding (ITU-T T.81, B.2.2; T.87; T.800, A.5.1)."""

import struct

START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}  # no tables, no extension; JPEG-LS
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
FILL = 0xFF
JPEG_2000 = b"\xff\x4f\xff\x51"
SSIZ = 42  # where a JPEG 2000 codestream says bits, less one, and sign of its first samples


def precision_of(data: bytes) -> int | None:
    """Return the bits of a sample of any of them; None where the header does not tell."""
    if data.startswith(JPEG_2000):
        return (data[SSIZ] & 0x7F) + 1 if len(data) > SSIZ else None
    frame = frame_of(data) if data.startswith(b"\xff\xd8") else None
    return frame[0] if frame else None


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
