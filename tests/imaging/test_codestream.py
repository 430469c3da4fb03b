import io
import struct

import pytest
from PIL import Image

from cxr.imaging.codestream import SIZ, SOF0, SOF2, SOF55, FrameHeader, frame_of


def size_of(data: bytes) -> tuple[int, int] | None:
    frame = frame_of(data)
    return (frame.width, frame.height) if frame else None


def encoded(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (70, 50), 99).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg(progressive: bool) -> None:
    data = encoded("JPEG", progressive=progressive, comment=b"\xff\xc0 no frame" * 3)
    place = data.index(b"\xff\xc2" if progressive else b"\xff\xc0\0\x0b")
    expected = FrameHeader(place, SOF2 if progressive else SOF0, 70, 50, 8, 1, is_signed=False, is_whole=True)
    assert frame_of(data) == expected
    assert size_of(data[:2] + b"\xff\xff" + data[2:]) == (70, 50), "fill bytes may stand before markers"


def test_jpeg_2000_bare_and_in_a_file() -> None:
    assert size_of(encoded("JPEG2000", no_jp2=True)) == (70, 50)
    assert size_of(encoded("JPEG2000")) == (70, 50)


def siz(*corners: int) -> bytes:
    """Return the start of a codestream of three signed components of 12 bits."""
    return b"\xff\x4f\xff\x51" + struct.pack(">HH8IHB", 47, 0, *corners, *[0] * 4, 3, 0x8B)


def test_jpeg_2000_less_its_offset() -> None:
    assert frame_of(siz(170, 60, 100, 10)) == FrameHeader(2, SIZ, 70, 50, 12, 3, is_signed=True, is_whole=False)
    assert frame_of(siz(100, 60, 100, 10)) is None


def test_jpeg_ls() -> None:
    data = b"\xff\xd8\xff\xf7" + struct.pack(">HBHHB", 11, 12, 50, 70, 1)
    assert frame_of(data) == FrameHeader(2, SOF55, 70, 50, 12, 1, is_signed=False, is_whole=False)
    assert frame_of(data + b"\xff\xd9\0") == FrameHeader(2, SOF55, 70, 50, 12, 1, is_signed=False, is_whole=True)


def test_a_height_that_is_told_after_the_first_scan() -> None:
    assert size_of(b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 11, 8, 0, 70, 1)) == (70, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\xff\xd8",
        b"\xff\xd8\xff\xc0\0",
        b"\xff\xd8" + b"\xff" * 100,
        b"\xff\xd8\xff\xda\0\x02" + b"\xff\xc0\0\x0b\x08\0\x09\0\x09",
        b"\xff\xd8\xff\xc0\0\x0b\x08\0\x09\0\x09",
        b"\xff\x4f\xff\x51\0",
        b"\x01\0\0\0\x40\0\0\0" + bytes(56) + b"\xff\x4f\xff\x51" + bytes(100),
    ],
)
def test_where_there_is_no_header(data: bytes) -> None:
    assert frame_of(data) is None


def test_every_cut_of_a_picture() -> None:
    for data in (encoded("JPEG"), encoded("JPEG2000")):
        frames = [frame_of(data[:length]) for length in range(len(data))]
        assert {(frame.width, frame.height) for frame in frames if frame} == {(70, 50)}
        assert not any(frame.is_whole for frame in frames if frame)
        assert frame_of(data).is_whole
