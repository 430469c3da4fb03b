"""How colourful a picture is, whatever its mode; files with zeros from where a copy stopped; films black there."""

import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cxr.core.errors import Reason
from cxr.core.image import Plane
from cxr.imaging.decode import decode
from cxr.imaging.pixels import COLOUR_SIDE, colour_of
from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom
from tests.dicoms import save_dicom
from tests.imaging.decoding import luminance, refusal
from tests.screening.hostile import deep, drawn, encoded


def film(side: int) -> Image.Image:
    return Image.fromarray(draw_phantom(Finding.NONE, (1, 2), 0).luminance).resize((side, side))


def halves(side: int = 2 * COLOUR_SIDE) -> Image.Image:
    """Left half (200, 100, 50), right half grey 90: mean chroma 75 of 255."""
    values = np.full((side, side, 3), 90, np.uint8)
    values[:, : side // 2] = (200, 100, 50)
    return Image.fromarray(values)


def colour(path: Path, image: Image.Image, **options: Any) -> float:
    image.save(path, **options)
    return decode(path, 16)[1].colour


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16"])
def test_grey_samples_have_no_colour(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(np.asarray(film(80)).astype(np.uint16) * 16) if mode == "I;16" else film(80).convert(mode)
    assert colour(tmp_path / "a.png", image) == 0.0


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize("side", [40, 100, 700])
def test_a_grey_film_saved_in_colour_has_no_colour(mode: str, side: int, tmp_path: Path) -> None:
    assert colour(tmp_path / "a.png", film(side).convert(mode)) == 0.0


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_a_grey_film_saved_as_colour_jpeg_has_hardly_any(mode: str, tmp_path: Path) -> None:
    assert colour(tmp_path / "a.jpg", film(700).convert(mode)) < 0.01


@pytest.mark.parametrize("side", [4, 2 * COLOUR_SIDE, 6 * COLOUR_SIDE])
def test_colour_is_the_mean_of_largest_less_smallest(side: int, tmp_path: Path) -> None:
    assert colour(tmp_path / "a.png", halves(side)) == pytest.approx(75 / 255, abs=1e-12)


@pytest.mark.parametrize(
    ("suffix", "mode", "tolerance"),
    [("png", "RGBA", 1e-12), ("png", "P", 0.005), ("gif", "P", 0.005), ("tif", "CMYK", 0.005), ("jpg", "CMYK", 0.03)],
)
def test_colour_does_not_depend_on_how_it_is_stored(suffix: str, mode: str, tolerance: float, tmp_path: Path) -> None:
    image = halves().quantize(4) if mode == "P" else halves().convert(mode)
    assert colour(tmp_path / f"a.{suffix}", image) == pytest.approx(75 / 255, abs=tolerance)


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_what_is_transparent_has_no_colour(mode: str, tmp_path: Path) -> None:
    if mode == "RGBA":
        image = halves().convert("RGBA")
        image.putalpha(Image.fromarray(np.repeat(np.array([[0, 255]], np.uint8), COLOUR_SIDE, 1).repeat(128, 0)))
        assert colour(tmp_path / "a.png", image) == 0.0
        return
    image = halves().quantize(2)
    number = np.asarray(image)[0, 0]
    assert colour(tmp_path / "a.png", image, transparency=int(number)) == 0.0


def test_a_strip_is_made_small_both_ways() -> None:
    values: NDArray[np.uint8] = np.zeros((3, 30_000, 3), np.uint8)
    values[:, :15_000, 0] = 255
    assert colour_of(Image.fromarray(values)) == pytest.approx(0.5, abs=0.01)


def test_measuring_changes_no_pixel() -> None:
    image = halves(1000)
    before = image.tobytes()
    colour_of(image)
    assert (image.size, image.tobytes()) == ((1000, 1000), before)


pytestmark = pytest.mark.usefixtures("in_this_process")

TWELVE = {"BitsStored": 12, "HighBit": 11}
Write = Callable[[Plane], bytes]


def dicom(**elements: object) -> Write:
    def write(plane: Plane) -> bytes:
        buffer = io.BytesIO()
        save_dicom(buffer, plane.astype(np.uint16) * 16, **TWELVE | elements)
        return buffer.getvalue()

    return write


def eight_bits(plane: Plane) -> bytes:
    buffer = io.BytesIO()
    save_dicom(buffer, plane)
    return buffer.getvalue()


def picture(kind: str, mode: str = "L", **options: object) -> Write:
    return lambda plane: encoded(Image.fromarray(plane).convert(mode), kind, **options)


def sixteen_bits(plane: Plane) -> bytes:
    return encoded(Image.fromarray(plane.astype(np.uint16) * 257), "TIFF")


UNCOMPRESSED: dict[str, Write] = {
    "dicom": dicom(),
    "monochrome1": dicom(PhotometricInterpretation="MONOCHROME1"),
    "8 bits": eight_bits,
    "bmp": picture("BMP"),
    "bmp colour": picture("BMP", "RGB"),
    "bmp palette": picture("BMP", "P"),
    "tiff": picture("TIFF"),
    "tiff 16 bits": sixteen_bits,
    "tiff colour": picture("TIFF", "RGB"),
    "big tiff": picture("TIFF", big_tiff=True),
}
CODED: dict[str, Write] = {
    "webp": picture("WEBP", quality=80),
    "webp lossless": picture("WEBP", lossless=True),
}
SIDE = 204  # no row but the first begins at a multiple of a block in these files


def film_of_tail() -> Plane:
    return np.asarray(Image.fromarray(drawn()).resize((SIDE, SIDE))).clip(1)


def stopped(data: bytes, share: float, block: int) -> bytes:
    kept = int(len(data) * share) // block * block
    return data[:kept] + bytes(len(data) - kept)


@pytest.mark.parametrize("block", [512, 4096])
@pytest.mark.parametrize("share", [0.3, 0.55, 0.9])
@pytest.mark.parametrize("name", [*UNCOMPRESSED, *CODED])
def test_a_copy_that_stopped_is_truncated_and_says_where(name: str, share: float, block: int) -> None:
    data = (UNCOMPRESSED | CODED)[name](film_of_tail())
    if block > len(data) * share:
        pytest.skip("shorter than a block")
    luminance(data)
    error = refusal(stopped(data, share, block))
    assert error.reason is Reason.TRUNCATED
    if name in UNCOMPRESSED:
        assert f"zero from byte {int(len(data) * share) // block * block:,} of the file on" in error.detail


def test_pixels_that_were_black_anyway_do_not_hide_where_it_stopped() -> None:
    """The last ones before the place, and those at the side of the film."""
    data = bytearray(eight_bits(film_of_tail()))
    data[len(data) // 2 // 512 * 512 - 1] = 0
    assert refusal(stopped(bytes(data), 0.5, 512)).reason is Reason.TRUNCATED
    deep_film = deep(12)
    deep_film[:, :40] &= 0xFF  # high bytes are zero
    buffer = io.BytesIO()
    save_dicom(buffer, deep_film, **TWELVE)
    assert refusal(stopped(buffer.getvalue(), 0.5, 512)).reason is Reason.TRUNCATED


def black_films() -> Iterator[tuple[str, Plane]]:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    plane = film_of_tail()
    for name, is_open in {
        "below": rows < 150,
        "all around": (rows < 170) & (rows > 20) & (columns > 30) & (columns < 160),
        "a turned field": rows + 0.01 * columns < 150.3,
        "a round field": np.hypot(rows - 90, columns - 100) < 85,
        "above": rows > 60,
        "at the right": columns < 120,
        "nothing": rows < 0,
        "a corner": rows < 202 - (columns > 100) * 90,
    }.items():
        yield name, np.where(is_open, plane, 0).astype(np.uint8)
    letters = np.zeros_like(plane)
    letters[:100] = plane[:100]
    letters[150:158, 60:90] = 255 * (np.random.default_rng(0).random((8, 30)) > 0.5)
    yield "letters on black", letters


BLACK = dict(black_films())


@pytest.mark.parametrize("black", BLACK)
@pytest.mark.parametrize("name", [*UNCOMPRESSED, *CODED])
def test_a_film_that_is_black_at_an_edge_is_whole(name: str, black: str) -> None:
    plane: NDArray[np.uint8] = BLACK[black]
    for turned in (plane, plane[::-1], plane.T, plane.T[:, ::-1]):
        luminance((UNCOMPRESSED | CODED)[name](np.ascontiguousarray(turned)))


def test_no_length_of_the_header_before_it_makes_a_black_border_a_stopped_copy() -> None:
    """Wherever in a block of the file the border begins."""
    for length in range(0, 1024, 2):
        for name in ("below", "all around", "letters on black", "a round field"):
            buffer = io.BytesIO()
            save_dicom(buffer, BLACK[name], ImageComments="x" * length)
            luminance(buffer.getvalue())


def runs(*, emptied: bool) -> bytes:
    """A BMP of 8 bits with run-length codes, ten runs a row; zeros in place of four of them."""
    rows = [bytes((4, 9 * number)) * 10 + bytes(2) for number in range(20)]
    coded = b"".join(rows) + b"\0\1"
    coded = coded[:180] + bytes(8) + coded[188:] if emptied else coded
    palette = b"".join(bytes((grey, grey, grey, 0)) for grey in range(256))
    start = 14 + 40 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, 40, 20, 1, 8, 1, len(coded), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(coded), 0, 0, start) + header + palette + coded


def test_zeros_in_run_length_codes_are_no_rows() -> None:
    assert luminance(runs(emptied=False))[::-1, 0].tolist() == [9 * number for number in range(20)]
    error = refusal(runs(emptied=True))
    assert error.reason is Reason.TRUNCATED
    assert "row 10 of its run-length codes is empty at byte" in error.detail
