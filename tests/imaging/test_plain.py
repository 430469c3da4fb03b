"""Which files are decoded in the process that reads them."""

import struct
import time

import pytest
from PIL import Image

from cxr.core.errors import ImageError
from cxr.imaging import decode
from cxr.imaging.decode import MOST_NOTES, MOST_PIXELS, decode_bytes, decode_here, is_plain
from cxr.imaging.formats import HEAD_BYTES, recognise
from cxr.imaging.jpeg import frame_of
from tests.screening.hostile import chunk, encoded, oriented, picture

GREY = picture()
JPEG = encoded(GREY, "JPEG")


def plain(data: bytes) -> bool:
    found = recognise(data[:HEAD_BYTES])
    assert found is not None
    return is_plain(data, found)


def png_of(width: int, height: int) -> bytes:
    """A header that says so, and little else."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


def with_scans(data: bytes, number: int) -> bytes:
    """Repeat the header of the last scan before its data."""
    place = data.rindex(b"\xff\xda")
    length = 2 + struct.unpack_from(">H", data, place + 2)[0]
    return data[:place] + data[place : place + length] * number + data[place + length :]


def jpeg_of(width: int, height: int) -> bytes:
    frame = frame_of(JPEG)
    assert frame is not None
    return JPEG[: frame.place + 5] + struct.pack(">HH", height, width) + JPEG[frame.place + 9 :]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_png_is_plain(mode: str) -> None:
    image = GREY.convert(mode) if mode != "I;16" else Image.new("I;16", (40, 30), 500)
    assert plain(encoded(image))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_sequential_jpeg_is_plain(mode: str) -> None:
    assert plain(encoded(GREY.convert(mode), "JPEG", exif=oriented(6)))


def test_a_thumbnail_before_the_frame_is_no_scan() -> None:
    exif = Image.Exif()
    exif[0x010E] = JPEG.decode("latin-1")  # stands where a thumbnail would
    assert plain(JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(JPEG) + 2) + JPEG + JPEG[2:])


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "GIF", "WEBP"])
def test_other_formats_are_not(kind: str) -> None:
    assert not plain(encoded(GREY, kind))


def test_a_progressive_jpeg_or_one_of_many_scans_is_not() -> None:
    assert not plain(encoded(GREY, "JPEG", progressive=True))
    assert plain(with_scans(JPEG, 1))
    assert not plain(with_scans(JPEG, 2))


def test_what_is_larger_than_a_detector_is_not() -> None:
    side = int(MOST_PIXELS**0.5)
    assert plain(png_of(side, side))
    assert not plain(png_of(side, side + 1))
    assert plain(jpeg_of(side, side))
    assert not plain(jpeg_of(side, side + 1))


def test_what_is_much_longer_than_its_pixels_is_not() -> None:
    small = encoded(GREY)
    notes = chunk(b"teSt", b"") * (MOST_NOTES // 12)
    assert plain(small[:-12] + notes + small[-12:])
    assert not plain(small[:-12] + notes * 2 + small[-12:])
    assert not plain(JPEG + bytes(2 * MOST_NOTES))


def test_a_scan_costs_ten_bytes_and_a_pass_over_the_picture() -> None:
    """So many that decoding would take minutes; here it may take a second."""
    data = with_scans(encoded(GREY.resize((3000, 3000)), "JPEG", quality=1, progressive=True), 40_000)
    begin = time.monotonic()
    with pytest.raises(ImageError, match=r"decoder_crashed: decoding was not done after 1 s"):
        decode_bytes(data, 2000, seconds=1)
    assert time.monotonic() - begin < 60


def test_where_it_is_decoded_changes_nothing() -> None:
    for kind in ("TIFF", "BMP", "GIF", "WEBP"):
        data = encoded(GREY, kind)
        plane, facts = decode_here(data, 64, kind)
        assert (decode_bytes(data, 64)[0] == plane).all()
        assert decode_bytes(data, 64)[1] == facts


@pytest.mark.parametrize(
    "answer",
    [
        ("", b""),
        ("[]", b""),
        ('{"reason": "odd", "detail": ""}', b""),
        ('{"shape": [2, 2], "facts": {}}', b"1234"),
        (
            '{"shape": [3, 2], "facts": {"width": 2, "height": 2, "mode": "L", "bit_depth": 8, "format": "BMP"}}',
            b"1234",
        ),
    ],
)
def test_a_child_that_was_taken_over(answer: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "isolated", lambda *_, **__: answer)
    with pytest.raises(ImageError, match="decoder_crashed: its decoder's answer makes no sense"):
        decode_bytes(encoded(GREY, "BMP"), 64)
