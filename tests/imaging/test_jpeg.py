"""JPEG: the pixels are Pillow's, what is damaged has none, what is odd is no damage; and what headers say."""

import io
import re
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate, get_frame

from cxr.core.errors import ImageError, Reason
from cxr.imaging.decode import decode_bytes
from cxr.imaging.jpeg import SIZ, SOF0, SOF2, SOF55, FrameHeader, frame_of, loaded
from tests.imaging.decoding import luminance, refusal
from tests.screening.hostile import drawn, encoded, oriented

pytestmark = pytest.mark.usefixtures("in_this_process")

SYNTAXES = Path(__file__).parents[1] / "inputs" / "syntaxes"
GRAIN = np.random.default_rng(0).normal(0, 6, (3, *drawn().shape))
COLOUR = Image.fromarray(np.clip(drawn() + GRAIN, 0, 255).astype(np.uint8).transpose(1, 2, 0))
FORMS = {
    "baseline": {},
    "optimized": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "many restarts": {"restart_marker_blocks": 7},
    "progressive with restarts": {"progressive": True, "restart_marker_blocks": 20},
    "turned": {"exif": oriented(6)},
}
KINDS = {"L": ("L", 0), "4:4:4": ("RGB", 0), "4:2:2": ("RGB", 1), "4:2:0": ("RGB", 2), "CMYK": ("CMYK", 0)}
FILES = {
    f"{kind} {form}": encoded(COLOUR.convert(mode), "JPEG", quality=85, subsampling=subsampling, **options)
    for kind, (mode, subsampling) in KINDS.items()
    for form, options in FORMS.items()
}
END, SCAN = b"\xff\xd9", b"\xff\xda"
Damage = Callable[[bytes, int], bytes]
DAMAGE: dict[str, Damage] = {
    "cut, with an end put after": lambda data, place: data[:place] + END,
    "zeros": lambda data, place: data[:place] + bytes(512) + data[place + 512 :],
    "other bytes": lambda data, place: data[:place] + Random(0).randbytes(512) + data[place + 512 :],
    "a stretch removed": lambda data, place: data[:place] + data[place + 512 :],
    "a stretch twice": lambda data, place: data[: place + 512] + data[place:],
}


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image)


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("name", FILES)
def test_the_pixels_are_those_of_pillow(name: str, scale: int) -> None:
    with Image.open(io.BytesIO(FILES[name])) as image, Image.open(io.BytesIO(FILES[name])) as same:
        for one in (image, same):
            one.draft(None, (one.width // scale, one.height // scale))
        same.load()
        assert np.array_equal(pixels(loaded(image, FILES[name])), pixels(same))


def damaged(data: bytes, damage: Damage, share: float) -> bytes:
    start = data.index(SCAN) + 14
    return damage(data, start + int((len(data) - start - 600) * share))


@pytest.mark.parametrize("share", [0.05, 0.9])
@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_picture_is_none(name: str, kind: str, share: float) -> None:
    error = refusal(damaged(FILES[name], DAMAGE[kind], share))
    assert error.reason in (Reason.TRUNCATED, Reason.UNREADABLE)
    assert "JPEG" in error.detail or error.reason is Reason.UNREADABLE


def test_a_cut_is_truncated() -> None:
    error = refusal(damaged(FILES["L baseline"], DAMAGE["cut, with an end put after"], 0.5))
    assert (error.reason, error.detail) == (Reason.TRUNCATED, "its JPEG data end before its picture does")


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("kind", DAMAGE)
def test_in_tiff(kind: str, mode: str) -> None:
    data = encoded(COLOUR.convert(mode), "TIFF", compression="jpeg")
    luminance(data)
    place = data.index(SCAN) + 14
    changed = bytearray(data)
    with Image.open(io.BytesIO(data)) as image:
        size = image.tag_v2[279][0]  # type: ignore[attr-defined]
    strip = DAMAGE[kind](data[place : data.index(END, place) + 2], size // 2)
    changed[place : place + len(strip)] = strip[: len(data) - place]
    assert refusal(bytes(changed)).reason in (Reason.TRUNCATED, Reason.UNREADABLE)


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in SYNTAXES.glob("jpeg-[!2]*.dcm") if "-ls-" not in path.stem)
)
def test_in_dicom_of_any_depth(name: str) -> None:
    dataset = dcmread(SYNTAXES / f"{name}.dcm")
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    for kind in ("cut, with an end put after", "a stretch removed"):
        start = frame.index(SCAN) + 10
        place = start + (len(frame) - start) // 3
        dataset.PixelData = encapsulate([DAMAGE[kind](frame[:-2], place).removesuffix(END) + END], has_bot=False)
        buffer = io.BytesIO()
        dataset.save_as(buffer)
        assert refusal(buffer.getvalue()).reason in (Reason.TRUNCATED, Reason.UNREADABLE), kind


def scanned(data: bytes) -> bytes:
    """Return a JPEG as scanners write it that go on after the last row: with more intervals."""
    found = re.findall(rb"(?s)(.*?)\xff([\xd0-\xd7\xd9])", data[data.index(SCAN) + 10 :])
    more = b"".join(found[number][0] + bytes([255, 0xD0 + (len(found) - 1 + number) % 8]) for number in range(5))
    return data[:-2] + bytes([255, 0xD0 + (len(found) - 1) % 8]) + more[:-2] + END


ODD: dict[str, Callable[[bytes], bytes]] = {
    "bytes after the end": lambda data: data + b"junk \xff\xd9 and more",
    "fill bytes": lambda data: data[:-2] + b"\xff\xff\xff" + END,
    "a few bytes before the end": lambda data: data[:-2] + b"\x7f\1\2" + END,
    "zeros before the end": lambda data: data[:-2] + bytes(2000) + END,
    "bytes between segments": lambda data: data[:20] + b"junk" + data[20:],
    "an odd colour transform": lambda data: data[:20] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\7" + data[20:],
    "a damaged colour profile": lambda data: data[:20] + b"\xff\xe2\0\x14ICC_PROFILE\0\x09\x02abcd" + data[20:],
    "an odd version": lambda data: data.replace(b"JFIF\0\1", b"JFIF\0\xff"),
    "rows that a scanner adds": scanned,
}


@pytest.mark.parametrize("odd", ODD)
def test_what_is_odd_is_no_damage(odd: str) -> None:
    data = FILES["4:2:0 restarts"]
    assert np.array_equal(luminance(ODD[odd](data)), luminance(data))


@pytest.mark.parametrize("odd", ODD)
def test_what_is_odd_hides_no_damage(odd: str) -> None:
    data = ODD[odd](FILES["4:2:0 restarts"])
    place = data.index(SCAN) + 1000
    with pytest.raises(ImageError, match=r"truncated|unreadable"):
        decode_bytes(data[:place] + bytes(512) + data[place + 512 :], 16)


def size_of(data: bytes) -> tuple[int, int] | None:
    frame = frame_of(data)
    return (frame.width, frame.height) if frame else None


def coded(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (70, 50), 99).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg(progressive: bool) -> None:
    data = coded("JPEG", progressive=progressive, comment=b"\xff\xc0 no frame" * 3)
    place = data.index(b"\xff\xc2" if progressive else b"\xff\xc0\0\x0b")
    expected = FrameHeader(place, SOF2 if progressive else SOF0, 70, 50, 8, 1, is_signed=False, is_whole=True)
    assert frame_of(data) == expected
    assert size_of(data[:2] + b"\xff\xff" + data[2:]) == (70, 50), "fill bytes may stand before markers"


def test_jpeg_2000_bare_and_in_a_file() -> None:
    assert size_of(coded("JPEG2000", no_jp2=True)) == (70, 50)
    assert size_of(coded("JPEG2000")) == (70, 50)


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
    for data in (coded("JPEG"), coded("JPEG2000")):
        frames = [frame_of(data[:length]) for length in range(len(data))]
        assert {(frame.width, frame.height) for frame in frames if frame} == {(70, 50)}
        assert not any(frame.is_whole for frame in frames if frame)
        assert frame_of(data).is_whole
