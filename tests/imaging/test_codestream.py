import io
import struct

import pytest
from PIL import Image

from cxr.imaging.codestream import size_of


def encoded(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (70, 50), 99).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg(progressive: bool) -> None:
    data = encoded("JPEG", progressive=progressive, comment=b"\xff\xc0 no frame" * 3)
    assert size_of(data) == (70, 50)
    assert size_of(data[:2] + b"\xff\xff" + data[2:]) == (70, 50), "fill bytes may stand before markers"


def test_jpeg_2000_bare_and_in_a_file() -> None:
    assert size_of(encoded("JPEG2000", no_jp2=True)) == (70, 50)
    assert size_of(encoded("JPEG2000")) == (70, 50)


def test_jpeg_2000_less_its_offset() -> None:
    siz = struct.pack(">HH4I", 41, 0, 170, 60, 100, 10)
    assert size_of(b"\xff\x4f\xff\x51" + siz) == (70, 50)
    assert size_of(b"\xff\x4f\xff\x51" + struct.pack(">HH4I", 41, 0, 100, 60, 100, 10)) is None


def test_jpeg_ls() -> None:
    assert size_of(b"\xff\xd8\xff\xf7" + struct.pack(">HBHHB", 11, 12, 50, 70, 1)) == (70, 50)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\xff\xd8",
        b"\xff\xd8\xff\xc0\0",
        b"\xff\xd8" + b"\xff" * 100,
        b"\xff\xd8\xff\xda\0\x02" + b"\xff\xc0\0\x0b\x08\0\x09\0\x09",
        b"\xff\xd8\xff\xc0\0\x0b\x08\0\0\0\x09\x01",
        b"\xff\x4f\xff\x51\0",
        b"\x01\0\0\0\x40\0\0\0" + bytes(56) + b"\xff\x4f\xff\x51" + bytes(100),
    ],
)
def test_where_no_size_is_declared(data: bytes) -> None:
    assert size_of(data) is None


def test_every_cut_of_a_picture() -> None:
    for data in (encoded("JPEG"), encoded("JPEG2000")):
        assert {size_of(data[:length]) for length in range(len(data))} == {None, (70, 50)}
