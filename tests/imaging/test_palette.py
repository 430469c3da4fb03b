"""Pixels of colours that a palette does not have, in every format with palettes but TIFF (see test_tiff)."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cxr.core.errors import Reason
from cxr.imaging.decode import decode_bytes
from tests.imaging.decoding import luminance, refusal
from tests.screening.hostile import chunk

Numbers = NDArray[np.uint8]
Write = Callable[[Numbers, bytes], bytes]

RAMP: Numbers = np.arange(64, dtype=np.uint8).reshape(8, 8)


def greys(colours: int, step: int = 2) -> bytes:
    """Colours that are greys; of step 1 Pillow leaves such a palette out."""
    return bytes(np.repeat(np.arange(colours, dtype=np.uint8) * step, 3))


def packed(numbers: Numbers, bits: int) -> list[bytes]:
    """Rows of numbers of some bits."""
    of_row = np.unpackbits(numbers[..., None], axis=2)[:, :, 8 - bits :].reshape(len(numbers), -1)
    return [np.packbits(row).tobytes() for row in of_row]


def png(numbers: Numbers, colours: bytes, bits: int = 8, interlaced: bool = False) -> bytes:
    header = struct.pack(">IIBBBBB", numbers.shape[1], len(numbers), bits, 3, 0, 0, interlaced)
    rows = zlib.compress(b"".join(b"\0" + row for row in packed(numbers, bits)))
    parts = chunk(b"IHDR", header), chunk(b"PLTE", colours), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bmp(numbers: Numbers, colours: bytes, bits: int = 8, said: int | None = None, header: int = 40) -> bytes:
    """With `header` 12 the number of colours is not said; 0 says as many as there can be."""
    size = 3 if header == 12 else 4
    table = b"".join(colours[place : place + 3][::-1].ljust(size, b"\0") for place in range(0, len(colours), 3))
    pixels = b"".join(row + bytes(-len(row) % 4) for row in packed(numbers[::-1], bits))
    start = 14 + header + len(table)
    used = len(colours) // 3 if said is None else said
    if header == 12:
        information = struct.pack("<IHHHH", 12, numbers.shape[1], len(numbers), 1, bits)
    else:
        information = struct.pack(
            "<IiiHHIIiiII", header, numbers.shape[1], len(numbers), 1, bits, 0, len(pixels), 0, 0, used, 0
        )
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + information + table + pixels


def gif(numbers: Numbers, colours: bytes, own: bytes = b"", transparent: int | None = None) -> bytes:
    """With the table of the file, which may be empty, and one of the picture's own."""
    file = io.BytesIO()
    Image.fromarray(numbers).save(file, "GIF", optimize=False)
    written = file.getvalue()
    picture = written[written.index(b",", 13 + 768) :]
    note = b"!\xfe\x02hi\0"
    control = b"" if transparent is None else b"!\xf9\4\1\0\0" + bytes((transparent, 0))
    head = written[:10] + bytes((flags(colours), 0, 0)) + colours
    return head + note + control + picture[:9] + bytes([flags(own)]) + own + picture[10:]


def flags(table: bytes) -> int:
    return 0x80 | ((len(table) // 3).bit_length() - 2) if table else 0


WRITE: dict[str, Write] = {
    "png": png,
    "png interlaced": lambda numbers, colours: png(numbers[:1, :1], colours, interlaced=True),
    "bmp": bmp,
    "bmp that says 256": lambda numbers, colours: bmp(numbers, colours, said=0),
    "bmp of the oldest kind": lambda numbers, colours: bmp(numbers, colours, header=12),
    "gif": gif,
    "gif with a table of its own": lambda numbers, colours: gif(numbers, greys(64), colours),
    "gif without a table of the file": lambda numbers, colours: gif(numbers, b"", colours),
}


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("name", WRITE)
def test_a_colour_beyond_the_palette_is_refused_with_its_number_and_theirs(name: str, step: int) -> None:
    error = refusal(WRITE[name](np.full((8, 8), 63, np.uint8), greys(32, step)))
    assert (error.reason, error.detail) == (
        Reason.UNREADABLE,
        "a pixel has the colour number 63, counted from 0; its palette has 32 colours",
    )


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("name", WRITE)
def test_the_last_colour_of_a_palette_is_one(name: str, step: int) -> None:
    plane = luminance(WRITE[name](RAMP, greys(64, step)))
    assert np.array_equal(plane, RAMP[: len(plane), : len(plane[0])] * step)
    assert (luminance(WRITE[name](np.full((8, 8), 31, np.uint8), greys(32, step))) == 31 * step).all()


@pytest.mark.parametrize(("write", "bits"), [(png, 1), (png, 2), (png, 4), (bmp, 1), (bmp, 4)])
def test_numbers_of_fewer_bits(write: Callable[..., bytes], bits: int) -> None:
    most = 2**bits
    numbers = RAMP % most
    assert np.array_equal(luminance(write(numbers, greys(most, 15), bits)), numbers * 15)
    detail = refusal(write(numbers, greys(most - 1, 15), bits)).detail
    assert detail.startswith(f"a pixel has the colour number {most - 1}, counted from 0; its palette has {most - 1} ")


def test_colours_that_no_pixel_has_may_be_absent_or_too_many() -> None:
    for write in (png, bmp):
        assert np.array_equal(luminance(write(RAMP, greys(100))), RAMP * 2)
    assert np.array_equal(luminance(png(RAMP % 16, greys(100), 4)), RAMP % 16 * 2)


def test_what_is_transparent_needs_no_colour() -> None:
    numbers = np.where(RAMP < 32, RAMP, 200).astype(np.uint8)
    plane, facts = decode_bytes(gif(numbers, greys(32), transparent=200), 8)
    assert np.array_equal(plane, np.where(RAMP < 32, RAMP * 2, 0))
    assert "alpha_over_black" in facts.steps
    assert "colour number 200" in refusal(gif(numbers, greys(32), transparent=201)).detail


@pytest.mark.parametrize("write", [png, gif])
def test_a_palette_without_colours_has_none(write: Write) -> None:
    assert "colour number 63, counted from 0; its palette has 0 colours" in refusal(write(RAMP, b"")).detail


def test_a_png_without_a_palette_has_no_colours_either() -> None:
    absent = png(RAMP, b"").replace(chunk(b"PLTE", b""), b"")
    assert "colour number 63, counted from 0; its palette has 0 colours" in refusal(absent).detail


@pytest.mark.parametrize("start", ["said", "0", "before the palette"])
@pytest.mark.parametrize(("bits", "colours"), [(4, 1), (4, 2), (8, 1), (8, 2)])
def test_black_and_white_of_a_bmp_is_not_taken_for_samples_of_1_bit(bits: int, colours: int, start: str) -> None:
    """Pillow shows a picture without a meaning, and does not say so."""
    numbers = RAMP // 3 % colours
    data = bytearray(bmp(numbers, greys(colours, 255), bits))
    if start != "said":
        struct.pack_into("<I", data, 10, {"0": 0, "before the palette": 54}[start])
    assert np.array_equal(luminance(bytes(data)), numbers * 255)


@pytest.mark.parametrize("colours", [7, 16])
def test_a_ramp_of_numbers_of_4_bits_is_a_palette(colours: int) -> None:
    numbers = RAMP % colours
    assert np.array_equal(luminance(bmp(numbers, greys(colours, 1), 4)), numbers)
    beyond = refusal(bmp(numbers, greys(colours - 1, 1), 4)).detail
    assert beyond.endswith(f"its palette has {colours - 1} colours")


def test_run_lengths_of_black_and_white_too() -> None:
    coded = b"".join(bytes((3, row % 2, 5, 1)) + bytes(2) for row in range(8)) + b"\0\1"
    plain = bmp(np.zeros((8, 8), np.uint8), greys(2, 255))
    data = bytearray(plain[:62] + coded)
    struct.pack_into("<I", data, 30, 1)
    expected = np.array([[row % 2] * 3 + [1] * 5 for row in range(8)])[::-1] * 255
    assert np.array_equal(luminance(bytes(data)), expected)
