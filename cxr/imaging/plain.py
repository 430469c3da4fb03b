"""Which files are decoded in the process that reads them: those whose decoder cannot need much, whatever they hold.

A grey or coloured PNG and a sequential JPEG, of no more pixels than a detector has, each with a bound on what
undoing the compression can cost. All other files go to a child, see `cxr.imaging.isolation` and ADR 24.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from cxr.core.survival import ending
from cxr.imaging.codestream import SOF0, SOF1, frame_of
from cxr.imaging.png import HEADER_BEGIN, HEADER_END, inflated_length

MOST_PIXELS = 1 << 24  # twice what most detectors have
MOST_NOTES = 1 << 20  # bytes beyond those of the pixels: so many can be a million chunks, each looked at
START_OF_SCAN = b"\xff\xda"

_is_suspected = False


@contextmanager
def suspected(yes: bool = True) -> Iterator[None]:
    """Let no file be plain in the block: a process has ended, perhaps of one of them."""
    global _is_suspected
    before, _is_suspected = _is_suspected, yes
    try:
        yield
    finally:
        _is_suspected = before


def is_plain(data: bytes, kind: str) -> bool:
    """Tell whether a file of a format, as `recognise` names it, may be decoded where it is read."""
    if _is_suspected or ending():
        return False
    if kind == "PNG":
        return _is_plain_png(data)
    return kind == "JPEG" and _is_plain_jpeg(data)


def _is_plain_png(data: bytes) -> bool:
    if len(data) < HEADER_END or data[8:16] != HEADER_BEGIN:  # refused
        return True
    width, height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
    return width * height <= MOST_PIXELS and len(data) <= inflated_length(data) + MOST_NOTES


def _is_plain_jpeg(data: bytes) -> bool:
    """Each scan goes over the whole picture, and costs a file ten bytes: one, then."""
    frame = frame_of(data)
    if frame is None or frame.marker not in (SOF0, SOF1) or data.count(START_OF_SCAN, frame.place) != 1:
        return False
    pixels = frame.width * frame.height
    return pixels <= MOST_PIXELS and len(data) <= pixels * frame.samples + MOST_NOTES
