import contextlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from cxr.core.errors import ImageError, Reason
from cxr.imaging.decode import decode_bytes
from tests.imaging.decoding import luminance, refusal

INPUTS = Path(__file__).parents[1] / "inputs"
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64) * 16 + 15  # to 65535
GREY = np.round(RAMP / 65535 * 255).astype(int)
DEFLATE = 8


def tiff(
    samples: NDArray[Any],
    order: str = "<",
    big: bool = False,
    by_number: dict[int, int | None] | None = None,
    **tags: Any,
) -> bytes:
    """Write one strip; tags, some by name and all by number, replace or, with None, remove."""
    planes = samples.shape[0] if samples.ndim == 3 else 1
    form, size = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind], samples.dtype.itemsize
    pixels = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    pixels = zlib.compress(pixels) if tags.get("Compression") == DEFLATE else pixels
    start = 16
    values = {
        256: samples.shape[-1], 257: samples.shape[-2], 258: 8 * size,
        259: tags.get("Compression", 1), 262: tags.get("Photometric", 1), 273: start, 277: planes,
        278: samples.shape[-2], 279: len(pixels),
        284: tags.get("Planar", 1), 339: tags.get("SampleFormat", form), **(by_number or {}),
    }  # fmt: skip
    entry, count, offset = ("HHQQ", "Q", "Q") if big else ("HHII", "H", "I")
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}H", 43 if big else 42)
    head += struct.pack(f"{order}HH", 8, 0) if big else b""
    head += struct.pack(order + offset, start + len(pixels))
    directory = b"".join(
        struct.pack(order + entry, tag, 16 if big else 4, 1, value)
        for tag, value in sorted(values.items())
        if value is not None
    )
    number = sum(value is not None for value in values.values())
    return head.ljust(start, b"\0") + pixels + struct.pack(order + count, number) + directory + bytes(8)


@pytest.mark.parametrize("compression", [1, DEFLATE])
@pytest.mark.parametrize("planar", [1, 2, None])
@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
@pytest.mark.parametrize("photometric", [0, 1, None])
@pytest.mark.parametrize("bits", [8, 16])
def test_every_form_of_the_same_grey_picture_is_the_same_picture(
    bits: int, photometric: int | None, order: str, big: bool, planar: int | None, compression: int
) -> None:
    samples = RAMP if bits == 16 else GREY.astype(np.uint8)
    samples = np.iinfo(samples.dtype).max - samples if photometric == 0 else samples
    data = tiff(samples, order, big, Photometric=photometric, Planar=planar, Compression=compression)
    plane, facts = decode_bytes(data, 16)
    assert np.abs(plane.astype(int) - GREY).max() <= (photometric == 0)
    assert facts.bit_depth == bits
    assert ("inverted" in facts.steps) == (photometric == 0 and bits == 16)


def test_samples_of_undefined_format_are_unsigned() -> None:
    assert np.array_equal(luminance(tiff(RAMP, SampleFormat=4)), GREY)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "samples",
    [
        RAMP.astype(np.float16),
        RAMP.astype(np.float32),
        RAMP.astype(np.float64),
        GREY.astype(np.int8),
        RAMP.astype(np.int16),
        np.full((9, 9), 2**20, np.uint32),
        RAMP.astype(np.uint64),
    ],
    ids=lambda samples: str(samples.dtype),
)
def test_samples_without_black_and_white_are_unsupported_and_not_damaged(samples: NDArray[Any], order: str) -> None:
    error = refusal(tiff(samples, order))
    assert error.reason is Reason.UNSUPPORTED
    assert "object" not in error.detail


@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_deep_colour_is_unsupported(order: str, planar: int) -> None:
    error = refusal(tiff(np.stack([RAMP] * 3), order, Photometric=2, Planar=planar))
    assert error.reason is Reason.UNSUPPORTED
    assert "16-bit colour" in error.detail


def test_an_unknown_compression_is_named() -> None:
    error = refusal(tiff(RAMP, Compression=34712))
    assert error.reason is Reason.UNSUPPORTED
    assert "Compression 34712" in error.detail


@pytest.mark.parametrize("compression", [34661, 34887, 34892, 50001, 50002, 52546])
@pytest.mark.parametrize("order", ["<", ">"])
def test_so_is_one_that_this_libtiff_was_built_without(order: str, compression: int) -> None:
    """JBIG, LERC, the lossy JPEG of DNG, WebP, JPEG XL twice."""
    error = refusal(tiff(GREY.astype(np.uint8), order, Compression=compression))
    assert error.reason is Reason.UNSUPPORTED
    assert error.detail.startswith("no decoder for a ")
    assert error.detail.endswith(f"Compression {compression}")


@pytest.mark.parametrize("name", ["zstd", "lzma", "tiff_deflate", "jpeg"])
def test_damage_of_one_that_it_was_built_with_is_damage(name: str) -> None:
    file = io.BytesIO()
    noise = np.random.default_rng(4).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(noise).save(file, "TIFF", compression=name)
    whole = file.getvalue()
    with Image.open(io.BytesIO(whole)) as image:
        start = image.tag_v2[273][0]  # type: ignore[attr-defined]
    luminance(whole)
    damaged = refusal(whole[:start] + b"\x07" * 200 + whole[start + 200 :])
    assert damaged.reason is Reason.UNREADABLE


def with_palette(
    numbers: NDArray[np.uint8],
    colours: NDArray[Any],
    bits: int = 8,
    kind: str = "H",
    order: str = "<",
    big: bool = False,
) -> bytes:
    """A picture whose pixels are numbers of colours, an array of (3, n)."""
    step = 8 // bits
    packed = sum(numbers[:, place::step].astype(int) << (8 - bits * (place + 1)) for place in range(step))
    entry, room = ("HHQ8s", 8) if big else ("HHI4s", 4)
    data = bytearray(
        tiff(
            np.asarray(packed).astype(np.uint8), order, big, Photometric=3,
            by_number={256: numbers.shape[1], 258: bits, 320: 0},
        )
    )  # fmt: skip
    content = struct.pack(f"{order}{colours.size}{kind}", *colours.ravel().tolist())
    place = struct.pack(order + ("Q" if big else "I"), len(data))
    at = data.index(struct.pack(f"{order}HH", 320, 16 if big else 4))
    value = content.ljust(room, b"\0") if len(content) <= room else place
    data[at : at + 4 + 2 * room] = struct.pack(order + entry, 320, {"B": 1, "H": 3, "I": 4}[kind], colours.size, value)
    return bytes(data) + content


def ramp_of(bits: int, full: int = 65535) -> NDArray[np.int64]:
    """Colours of (3, 2**bits), from dark red to white."""
    steps = np.arange(2**bits) * full // (2**bits - 1)
    return np.stack([steps, steps // 2, steps // 4])


def painted(numbers: NDArray[np.uint8], colours: NDArray[np.int64]) -> NDArray[np.float64]:
    """The luminance of numbers of colours of 8 bits."""
    return np.tensordot([0.299, 0.587, 0.114], colours, 1)[numbers]


@pytest.mark.parametrize("kind", ["B", "H", "I"])
@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_colours_of_8_bits_are_read_as_what_they_are(bits: int, order: str, big: bool, kind: str) -> None:
    numbers = (np.arange(16 * 24) % 2**bits).reshape(16, 24).astype(np.uint8)
    colours = ramp_of(bits, 255)
    plane, facts = decode_bytes(with_palette(numbers, colours, bits, kind, order, big), 16)
    assert np.abs(plane - painted(numbers, colours)).max() <= 1
    assert facts.steps == ("lut_bits=8", "luma_601")
    if kind == "H":
        wide, facts = decode_bytes(with_palette(numbers, colours * 257, bits, kind, order, big), 16)
        assert np.array_equal(wide, plane)
        assert facts.steps == ("luma_601",)


@pytest.mark.parametrize("full", [0, 256, 65535])
def test_colours_of_16_bits_are_taken_as_they_are(full: int) -> None:
    numbers = np.arange(256, dtype=np.uint8).reshape(16, 16)
    plane, facts = decode_bytes(with_palette(numbers, ramp_of(8, full)), 16)
    assert np.abs(plane - painted(numbers, ramp_of(8, full) // 256)).max() <= 1
    assert facts.steps == ("luma_601",)


@pytest.mark.parametrize(("bits", "found"), [(8, 300), (8, 765), (8, 769), (8, 1), (8, 256), (4, 768), (4, 45), (1, 3)])
def test_a_palette_of_another_number_of_values_is_refused_with_both(bits: int, found: int) -> None:
    numbers = np.zeros((8, 8), np.uint8)
    error = refusal(with_palette(numbers, np.full(found, 40_000), bits))
    said = f"its palette, ColorMap, has {found} values; samples of {bits} bits need 3 x 2^{bits}, {3 * 2**bits}"
    assert (error.reason, error.detail) == (Reason.UNREADABLE, said)


def test_a_palette_that_is_absent_is_one_without_values() -> None:
    assert "has 0 values" in refusal(tiff(GREY.astype(np.uint8), Photometric=3)).detail


def test_associated_alpha_lies_over_black() -> None:
    data = (INPUTS / "tiff-grey-associated-alpha.tif").read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        premultiplied = np.frombuffer(image.tobytes(), np.uint8)[::2].reshape(image.height, image.width)
    assert np.abs(luminance(data).astype(int) - premultiplied).max() <= 1


def test_what_pillow_does_not_open_is_named() -> None:
    error = refusal(tiff(RAMP, ">", big=True))
    assert error.reason is Reason.UNSUPPORTED
    assert "big-endian BigTIFF" in error.detail


def test_a_file_that_stops_before_its_directory_ends_is_truncated() -> None:
    data = tiff(RAMP)
    assert {refusal(data[:kept]).reason for kept in (6, 100, len(data) - 150, len(data) - 30)} == {Reason.TRUNCATED}


@pytest.mark.parametrize("compression", [1, DEFLATE])
@pytest.mark.parametrize(
    ("rows", "height", "said"),
    [(8, 64, "1 strips of 8 rows; 64 x 64 pixels need 8"), (64, 128, "1 strips of 64 rows; 64 x 128 pixels need 2")],
)
def test_strips_that_are_absent_are_not_shown_black(rows: int, height: int, said: str, compression: int) -> None:
    error = refusal(tiff(RAMP, Compression=compression, by_number={278: rows, 257: height}))
    assert (error.reason, error.detail) == (Reason.UNREADABLE, f"it names {said}")


@pytest.mark.parametrize("height", [64, 65])
def test_tiles_that_are_absent_are_not_shown_black(height: int) -> None:
    tile: dict[int, int | None] = {273: None, 278: None, 279: None, 322: 64, 323: 64, 324: 16, 325: RAMP.nbytes}
    data = tiff(RAMP, by_number={**tile, 257: height})
    if height == 64:
        assert np.array_equal(luminance(data), GREY)
    else:
        assert refusal(data).detail == "it names 1 tiles of 64 x 64 pixels; 64 x 65 pixels need 2"


@pytest.mark.parametrize("rows", [64, 65, 2**32 - 1, None])
def test_a_strip_may_have_room_for_more_rows(rows: int | None) -> None:
    assert np.array_equal(luminance(tiff(RAMP, by_number={278: rows})), GREY)


def test_a_directory_of_zeros_is_what_a_copy_leaves() -> None:
    data = tiff(RAMP)
    start = 16 + RAMP.nbytes
    assert refusal(data[:start] + bytes(len(data) - start)).reason is Reason.TRUNCATED


def test_a_file_that_stops_before_its_second_directory_is_truncated() -> None:
    data = tiff(RAMP)
    error = refusal(data[:-8] + struct.pack("<I", len(data)) + data[-4:])
    assert (error.reason, error.detail[-28:]) == (Reason.TRUNCATED, "before its second TIFF directory"[-28:])


def test_no_rows_are_damage() -> None:
    assert refusal(tiff(RAMP, by_number={257: 0})).detail == "a TIFF of 64 x 0 pixels"


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damage_of_a_directory_is_refused_with_a_reason(draw: st.DataObject) -> None:
    data = bytearray(tiff(RAMP[:8, :8], draw.draw(st.sampled_from("<>")), draw.draw(st.booleans())))
    for _ in range(draw.draw(st.integers(1, 3))):
        place = draw.draw(st.integers(0, len(data) - 1))
        if not 16 <= place < 16 + 128:
            data[place] = draw.draw(st.integers(0, 255))
    with contextlib.suppress(ImageError):
        decode_bytes(bytes(data), 16)
