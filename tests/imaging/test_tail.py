"""Files that have their full length and zeros from where a copy stopped; and films that are black there."""

import io
import struct
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cxr.core.errors import Reason
from cxr.core.image import Plane
from tests.dicoms import save_dicom
from tests.imaging.decoding import luminance, refusal
from tests.screening.hostile import deep, drawn, encoded

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


def film() -> Plane:
    return np.asarray(Image.fromarray(drawn()).resize((SIDE, SIDE))).clip(1)


def stopped(data: bytes, share: float, block: int) -> bytes:
    kept = int(len(data) * share) // block * block
    return data[:kept] + bytes(len(data) - kept)


@pytest.mark.parametrize("block", [512, 4096])
@pytest.mark.parametrize("share", [0.3, 0.55, 0.9])
@pytest.mark.parametrize("name", [*UNCOMPRESSED, *CODED])
def test_a_copy_that_stopped_is_truncated_and_says_where(name: str, share: float, block: int) -> None:
    data = (UNCOMPRESSED | CODED)[name](film())
    if block > len(data) * share:
        pytest.skip("shorter than a block")
    luminance(data)
    error = refusal(stopped(data, share, block))
    assert error.reason is Reason.TRUNCATED
    if name in UNCOMPRESSED:
        assert f"zero from byte {int(len(data) * share) // block * block:,} of the file on" in error.detail


def test_pixels_that_were_black_anyway_do_not_hide_where_it_stopped() -> None:
    """The last ones before the place, and those at the side of the film."""
    data = bytearray(eight_bits(film()))
    data[len(data) // 2 // 512 * 512 - 1] = 0
    assert refusal(stopped(bytes(data), 0.5, 512)).reason is Reason.TRUNCATED
    deep_film = deep(12)
    deep_film[:, :40] &= 0xFF  # high bytes are zero
    buffer = io.BytesIO()
    save_dicom(buffer, deep_film, **TWELVE)
    assert refusal(stopped(buffer.getvalue(), 0.5, 512)).reason is Reason.TRUNCATED


def black_films() -> Iterator[tuple[str, Plane]]:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    plane = film()
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
