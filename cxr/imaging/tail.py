"""What a copy leaves that stopped in a file which had its full length from the start: zeros up to its end.

Most formats tell by a checksum or an end marker. Pixels that are not compressed have neither, and would be a film with
a black part; nor has WebP.
"""

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import ImageError, Reason

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
