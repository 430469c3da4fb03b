"""What a compressed picture says of its own size, read from its first bytes: nothing is decoded."""

import struct

SOI, SOC = b"\xff\xd8", b"\xff\x4f\xff\x51"  # of JPEG and JPEG-LS; of JPEG 2000, with the marker of SIZ
JP2 = b"\0\0\0\x0cjP  "  # a file around a JPEG 2000 codestream, which the standard forbids and devices write
# Start of frame: every SOF of JPEG (T.81, B.1.1.3), which leaves out DHT, JPG and DAC, and SOF55 of JPEG-LS (T.87).
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a segment
START_OF_SCAN = 0xDA


def size_of(data: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels that a JPEG, JPEG-LS or JPEG 2000 codestream declares; None where it does not.

    Args:
        data: Of one frame.
    """
    if data.startswith(SOI):
        return _of_jpeg(data)
    start = data.find(SOC) if data.startswith((SOC, JP2)) else -1
    if start < 0 or len(data) < start + 24:
        return None
    right, low, left, top = struct.unpack(">4I", data[start + 8 : start + 24])
    return (right - left, low - top) if right > left and low > top else None


def _of_jpeg(data: bytes) -> tuple[int, int] | None:
    place = 2
    while (place := data.find(b"\xff", place)) >= 0 and place + 9 <= len(data):
        marker = data[place + 1]
        if marker in FRAMES:
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return (width, height) if width and height else None  # 0: told after the first scan
        if marker == START_OF_SCAN:
            return None
        if marker == 0xFF or marker == 0 or marker in ALONE:
            place += 1
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None
