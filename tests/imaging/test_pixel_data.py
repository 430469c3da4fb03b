"""Pixel data in every transfer syntax, and pixel data that contradict their object.

The objects in tests/inputs/syntaxes hold the picture that `drawn` draws, named by their syntax and its type. DCMTK
3.6.7 encoded JPEG, JPEG-LS, RLE and those without compression; OpenJPEG 2.5.4 JPEG 2000 and OpenJPH 0.26.3 HTJ2K.
"""

import io
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import JPEG2000, DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit

from cxr.core.errors import Reason
from cxr.imaging import dicom, pixel_data
from cxr.imaging.decode import decode_bytes
from cxr.imaging.pixel_data import stored_values
from tests.dicoms import save_dicom
from tests.imaging.decoding import luminance, refusal

pytestmark = pytest.mark.usefixtures("in_this_process")

SYNTAXES = Path(__file__).parents[1] / "inputs/syntaxes"
ROWS, COLUMNS = 40, 56
# How far a lossy encoder went from the picture, in stored values.
LOSSY = {
    "jpeg-baseline": 5,
    "jpeg-extended": 5,
    "jpeg-spectral": 5,
    "jpeg-progressive": 5,
    "jpeg-ls-near": 3,
    "jpeg-2000": 21,
    "htj2k": 1,
}
BY_IMAGECODECS = [
    *(f"jpeg-{process}-u12" for process in ("extended", "spectral", "progressive")),
    *(f"jpeg-lossless-{kind}" for kind in ("u8", "u12", "u16", "s12")),
    *(f"jpeg-lossless-sv1-{kind}" for kind in ("u8", "s12", "u16")),
    *(f"jpeg-ls-lossless-{kind}" for kind in ("u8", "s12", "u16")),
    *(f"jpeg-ls-near-{kind}" for kind in ("u8", "u12")),
]
NAMES = [path.stem for path in sorted(SYNTAXES.glob("*.dcm"))]


def drawn(kind: str) -> NDArray[np.int64]:
    """A ramp with a white and a black rectangle, in the full range of a type such as `u12`."""
    bits = int(kind[1:])
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    top = 2**bits - 1
    values = (rows * 37 + columns * 29) * top // (39 * 37 + 55 * 29)
    values[10:20, 12:30], values[24:34, 30:50] = top, 0
    return np.asarray(values - 2 ** (bits - 1) if kind[0] == "s" else values)


def expected_plane(kind: str) -> NDArray[np.float64]:
    return np.round((drawn(kind) - drawn(kind).min()) / (2 ** int(kind[1:]) - 1) * 255)


def of(name: str) -> Dataset:
    return dcmread(SYNTAXES / f"{name}.dcm")


def written(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def test_a_syntax_has_a_file() -> None:
    syntaxes = {of(path.stem).file_meta.TransferSyntaxUID for path in SYNTAXES.glob("*.dcm")}
    assert set(pixel_data._KINDS) <= syntaxes


@pytest.mark.parametrize("name", NAMES)
def test_every_syntax_gives_the_stored_values(name: str) -> None:
    syntax, kind = name.rsplit("-", 1)
    difference = np.abs(stored_values(of(name)) - drawn(kind))
    assert difference.max() <= LOSSY.get(syntax, 0)
    assert difference.mean() <= LOSSY.get(syntax, 0) * 0.75


@pytest.mark.parametrize("name", NAMES)
def test_every_syntax_gives_the_picture(name: str) -> None:
    syntax, kind = name.rsplit("-", 1)
    plane = luminance((SYNTAXES / f"{name}.dcm").read_bytes())
    assert np.abs(plane - expected_plane(kind)).max() <= (LOSSY.get(syntax, 0) + 1 if syntax in LOSSY else 0)


MPEG4, SMPTE, JPIP, ARITHMETIC = (f"1.2.840.10008.1.2.{end}" for end in ("4.102", "7.1", "4.94", "4.52"))


@pytest.mark.parametrize("syntax", [MPEG4, SMPTE, JPIP, ARITHMETIC, "1.2.3", "1.2.840.113619.5.2"])
def test_a_syntax_that_nothing_decodes_is_named_with_a_remedy(syntax: str) -> None:
    dataset = of("rle-u8")
    dataset.file_meta.TransferSyntaxUID = syntax
    error = refusal(written(dataset))
    assert error.reason is Reason.NO_DECODER
    assert syntax in error.detail
    assert "convert it to Explicit VR Little Endian" in error.detail
    assert "pip" not in error.detail


@pytest.mark.parametrize("marker", [0xC5, 0xC9, 0xCB])
def test_a_process_of_jpeg_that_nothing_decodes_is_named_with_a_remedy(marker: int) -> None:
    error = refusal(
        (SYNTAXES / "jpeg-extended-u8.dcm").read_bytes().replace(b"\xff\xc1\0\x0b", bytes([255, marker, 0, 11]))
    )
    assert error.reason is Reason.NO_DECODER
    assert f"SOF{marker - 0xC0}" in error.detail
    assert "convert it" in error.detail


def with_frame(dataset: Dataset, *frames: bytes) -> bytes:
    dataset.PixelData = encapsulate(list(frames), has_bot=False)
    return written(dataset)


def frame_in(dataset: Dataset) -> bytes:
    return get_frame(dataset.PixelData, 0, number_of_frames=1)


WITH_CODESTREAM = ["jpeg-baseline-u8", "jpeg-2000-lossless-u12", "htj2k-lossless-u16", *BY_IMAGECODECS]


@pytest.mark.parametrize("name", WITH_CODESTREAM)
@pytest.mark.parametrize(("rows", "columns"), [(41, 56), (39, 56), (40, 57), (40, 28), (56, 40)])
def test_a_codestream_of_another_size_is_refused_with_both(name: str, rows: int, columns: int) -> None:
    dataset = of(name)
    dataset.Rows, dataset.Columns = rows, columns
    error = refusal(written(dataset))
    assert error.reason is Reason.UNREADABLE
    assert "56 x 40" in error.detail
    assert f"{columns} x {rows}" in error.detail


@pytest.mark.parametrize("name", ["rle-u8", "rle-s12", "implicit-u12", "big-endian-u12"])
@pytest.mark.parametrize(("rows", "columns"), [(41, 56), (39, 56), (40, 57), (40, 55), (20, 56), (40, 28), (400, 560)])
def test_pixel_data_of_another_size_are_refused_with_both(name: str, rows: int, columns: int) -> None:
    dataset = of(name)
    dataset.Rows, dataset.Columns = rows, columns
    error = refusal(written(dataset))
    assert error.reason is (Reason.TRUNCATED if rows * columns > 40 * 56 else Reason.UNREADABLE)
    size = 1 if "rle" in name else 2
    assert f"{40 * 56 * size:,}" in error.detail
    assert f"{rows * columns * size:,}, of {rows} x {columns}" in error.detail


@pytest.mark.parametrize("segments", [0, 1, 3, 15, 2**31])
def test_rle_of_another_number_of_segments_is_refused(segments: int) -> None:
    dataset = of("rle-s12")
    error = refusal(with_frame(dataset, struct.pack("<I", segments) + frame_in(dataset)[4:]))
    assert error.reason is Reason.UNREADABLE


def test_a_run_that_inflates_rle_beyond_its_size_takes_no_memory() -> None:
    dataset = of("rle-u8")
    bomb = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x07" * 2_000_000
    error = refusal(with_frame(dataset, bomb))
    assert (error.reason, "256,000,000 samples" in error.detail) == (Reason.UNREADABLE, True)


@pytest.mark.parametrize(("name", "bits"), [("jpeg-2000-lossless-u12", 12), ("jpeg-baseline-u8", 8)])
def test_a_codestream_of_fewer_bits_than_the_header_says_is_refused(name: str, bits: int) -> None:
    dataset = of(name)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    error = refusal(written(dataset))
    assert error.reason is Reason.UNREADABLE
    assert error.detail == f"its compressed data have {bits} bits a sample; BitsStored is 16"


def test_a_codestream_of_more_bits_than_are_allocated_is_refused() -> None:
    dataset = of("jpeg-2000-lossless-u12")
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    assert refusal(written(dataset)).detail == "its compressed data have 12 bits a sample; BitsAllocated is 8"


def test_values_beyond_bits_stored_are_not_shown_wrapped() -> None:
    dataset = of("jpeg-2000-lossless-u16")
    dataset.BitsStored, dataset.HighBit = 12, 11
    error = refusal(written(dataset))
    assert (error.reason, error.detail) == (
        Reason.UNREADABLE,
        "its compressed data have values up to 65535; BitsStored is 12",
    )


IN_16_BITS = ["native", "big endian", "rle", "jpeg", "jpeg 2000"]


def of_12_in_16_bits(form: str, values: NDArray[np.int64], signed: int) -> bytes:
    """An object of 12 of 16 bits whose unused bits are what the values make of them, such as those of a sign."""
    words = values.astype(np.int16)
    names = {"native": "implicit-u12", "big endian": "big-endian-u12", "rle": "rle-s12", "jpeg": "jpeg-lossless-s12"}
    dataset = of(names.get(form, "jpeg-2000-lossless-s12"))
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, signed
    if form in ("native", "big endian"):
        dataset.PixelData = words.astype(">i2" if form == "big endian" else "<i2").tobytes()
        return written(dataset)
    if form == "rle":
        return with_frame(dataset, rle(words.view(np.uint16)))
    if form == "jpeg":
        return with_frame(dataset, imagecodecs.ljpeg_encode(words.view(np.uint16), bitspersample=16))
    return with_frame(dataset, imagecodecs.jpeg2k_encode(words, level=0, codecformat="j2k", reversible=True))


def rle(words: NDArray[np.uint16]) -> bytes:
    """Return a frame of two segments, of high and low bytes, in runs of one."""
    high, low = (b"".join(b"\0" + bytes([byte]) for byte in part.ravel()) for part in (words >> 8, words & 0xFF))
    return struct.pack("<16I", 2, 64, 64 + len(high), *[0] * 13) + high + low


@pytest.mark.parametrize("form", IN_16_BITS)
def test_a_sign_that_goes_on_into_the_unused_bits_is_read_where_there_is_a_sign(form: str) -> None:
    assert np.array_equal(luminance(of_12_in_16_bits(form, drawn("s12"), 1)), expected_plane("s12"))
    assert np.array_equal(luminance(of_12_in_16_bits(form, drawn("u12"), 0)), expected_plane("u12"))


@pytest.mark.parametrize(
    ("form", "said"),
    [
        *((form, "pixel data have values up to 65535; BitsStored is 12") for form in ("native", "big endian")),
        ("rle", "RLE data have values up to 65535; BitsStored is 12"),
        ("jpeg", "compressed data have values up to 65535; BitsStored is 12"),
        ("jpeg 2000", "compressed data have values down to -2048; BitsStored is 12 and PixelRepresentation 0"),
    ],
)
def test_negative_values_where_there_is_no_sign_are_not_shown_wrapped(form: str, said: str) -> None:
    error = refusal(of_12_in_16_bits(form, drawn("s12"), 0))
    assert error.reason is Reason.UNREADABLE
    assert error.detail.startswith(f"its {said}")


@pytest.mark.parametrize("form", IN_16_BITS)
@pytest.mark.parametrize("signed", [0, 1])
def test_values_of_more_bits_are_refused_with_and_without_a_sign(form: str, signed: int) -> None:
    error = refusal(of_12_in_16_bits(form, drawn("u12") + 1, signed))
    assert error.reason is Reason.UNREADABLE
    assert error.detail.endswith("have values up to 4096; BitsStored is 12")


@pytest.mark.parametrize("form", ["native", "rle", "jpeg"])
@pytest.mark.parametrize("signed", [0, 1])
def test_overlays_lie_in_unused_bits_whatever_the_syntax(form: str, signed: int) -> None:
    kind = "s12" if signed else "u12"
    marks = np.where(np.indices((ROWS, COLUMNS)).sum(axis=0) % 3 == 0, 0x8000, 0)
    words = drawn(kind) & 0x7FFF | marks
    dataset = dcmread(io.BytesIO(of_12_in_16_bits(form, words, signed)))
    assert refusal(written(dataset)).reason is Reason.UNREADABLE
    dataset.add_new(0x60000100, "US", 16)
    dataset.add_new(0x60000102, "US", 15)
    assert np.array_equal(luminance(written(dataset)), expected_plane(kind))


@pytest.mark.parametrize("name", ["jpeg-2000-lossless-s12", "htj2k-lossless-s12"])
def test_a_codestream_with_a_sign_in_an_object_without_is_read_where_no_value_is_negative(name: str) -> None:
    dataset = of(name)
    dataset.PixelRepresentation = 0
    assert "values down to -2048; BitsStored is 12" in refusal(written(dataset)).detail
    if "jpeg" in name:
        values = np.abs(drawn("s12")).clip(0, 2047)
        frame = imagecodecs.jpeg2k_encode(values.astype(np.int16), bitspersample=12, level=0, codecformat="j2k")
        dataset = dcmread(io.BytesIO(with_frame(dataset, frame)))
        assert np.array_equal(stored_values(dataset), values)


def test_a_codestream_without_a_sign_gets_that_of_the_header() -> None:
    """Many devices write it so: the same bits, of which PixelRepresentation says what they mean."""
    dataset = of("jpeg-2000-lossless-u12")
    dataset.PixelRepresentation = 1
    assert np.array_equal(stored_values(dataset), (drawn("u12") ^ 2048) - 2048)


def test_colour_in_a_grey_object_is_refused_with_both_numbers() -> None:
    data = bytearray(frame_in(of("jpeg-2000-lossless-u8")))
    data[41] = 3
    assert (
        "3 samples a pixel; SamplesPerPixel is 1"
        in refusal(with_frame(of("jpeg-2000-lossless-u8"), bytes(data))).detail
    )


@pytest.mark.parametrize(("name", "syntax"), [("jpeg-baseline-u8", JPEG2000), ("jpeg-2000-u8", JPEGBaseline8Bit)])
def test_a_codestream_of_another_kind_than_its_syntax_is_refused_with_both(name: str, syntax: str) -> None:
    dataset = of(name)
    dataset.file_meta.TransferSyntaxUID = syntax
    error = refusal(written(dataset))
    assert error.reason is Reason.UNREADABLE
    assert {"jpeg-baseline-u8": "are JPEG;", "jpeg-2000-u8": "are JPEG 2000;"}[name] in error.detail
    assert dataset.file_meta.TransferSyntaxUID.name in error.detail


HIGH_THROUGHPUT, PROGRESSIVE, LOSSLESS = (f"1.2.840.10008.1.2.4.{end}" for end in ("201", "55", "57"))


@pytest.mark.parametrize(
    ("name", "syntax", "form"),
    [
        ("jpeg-2000-lossless-u12", HIGH_THROUGHPUT, "JPEG_2000"),
        ("htj2k-lossless-u16", JPEG2000, "HTJ2K"),
        ("jpeg-baseline-u8", LOSSLESS, "lossy_JPEG"),
        ("jpeg-lossless-u8", JPEGBaseline8Bit, "lossless_JPEG"),
    ],
)
def test_a_codestream_of_another_form_than_its_syntax_is_read_and_told(name: str, syntax: str, form: str) -> None:
    expected, facts = decode_bytes(written(of(name)), 16)
    assert not [step for step in facts.steps if step.startswith("codestream")]
    dataset = of(name)
    dataset.file_meta.TransferSyntaxUID = syntax
    plane, facts = decode_bytes(written(dataset), 16)
    assert np.array_equal(plane, expected)
    assert f"codestream={form}" in facts.steps


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, PROGRESSIVE])
def test_lossy_jpeg_of_any_process_is_what_its_syntax_says(syntax: str) -> None:
    dataset = of("jpeg-extended-u8")
    dataset.file_meta.TransferSyntaxUID = syntax
    assert not [step for step in decode_bytes(written(dataset), 16)[1].steps if step.startswith("codestream")]


def test_a_jp2_file_around_the_codestream_changes_nothing() -> None:
    """DICOM forbids it, and devices write it."""
    buffer = io.BytesIO()
    Image.fromarray(drawn("u8").astype(np.uint8)).save(buffer, "JPEG2000", irreversible=False)
    assert buffer.getvalue().startswith(b"\0\0\0\x0cjP")
    assert np.array_equal(luminance(with_frame(of("jpeg-2000-lossless-u8"), buffer.getvalue())), drawn("u8"))


@pytest.mark.parametrize("name", WITH_CODESTREAM)
def test_a_codestream_without_its_end_is_truncated_and_no_decoder_sees_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are decoders that go on for ever, and some that fill the rest with grey."""
    dataset = of(name)
    whole = frame_in(dataset).rstrip(b"\0")

    def no_decoder(*_: object) -> Any:
        raise AssertionError("a decoder was called")

    monkeypatch.setattr(pixel_data, "_decompressed", no_decoder)
    for length in (len(whole) - 1, len(whole) - 2, len(whole) * 3 // 4):
        assert refusal(with_frame(dataset, whole[:length])).reason is Reason.TRUNCATED


@pytest.mark.parametrize("name", WITH_CODESTREAM)
def test_damaged_codestreams_have_no_picture_and_words_for_people(name: str) -> None:
    dataset = of(name)
    frame = frame_in(dataset)
    start = next(place for place in (frame.find(b"\xff\xda"), frame.find(b"\xff\x93"), len(frame)) if place > 0)
    error = refusal(with_frame(dataset, frame[:start] + b"\xff\x02" * 5 + frame[start:]))
    assert error.reason in (Reason.UNREADABLE, Reason.TRUNCATED)
    assert not {"charls_", "0x7f", "returned", "Error("} & set(error.detail.split())


@pytest.mark.parametrize("name", ["jpeg-baseline-u8", "jpeg-2000-lossless-u12"])
def test_two_pictures_without_a_number_of_frames(name: str) -> None:
    dataset = of(name)
    frame = frame_in(dataset)
    error = refusal(with_frame(dataset, frame, frame))
    assert (error.reason, error.detail) == (Reason.MULTI_FRAME, "2 compressed pictures; NumberOfFrames is 1")


def test_one_picture_in_several_fragments() -> None:
    dataset = of("jpeg-2000-lossless-u12")
    frame = frame_in(dataset)
    dataset.PixelData = encapsulate([frame], fragments_per_frame=3, has_bot=False)
    assert np.array_equal(luminance(written(dataset)), expected_plane("u12"))


@pytest.mark.parametrize("offsets", [(77_777_777,), (0, 0), (0, 500), (0, 100, 200)], ids=str)
def test_a_table_of_offsets_that_makes_no_sense_costs_no_picture(offsets: tuple[int, ...]) -> None:
    dataset = of("jpeg-2000-lossless-u12")
    frame = frame_in(dataset)
    items = [struct.pack(f"<{len(offsets)}I", *offsets), frame[:100], frame[100:]]
    dataset.PixelData = b"".join(b"\xfe\xff\0\xe0" + struct.pack("<I", len(item)) + item for item in items)
    assert np.array_equal(luminance(written(dataset)), expected_plane("u12"))


def test_pixel_data_without_a_fragment_are_truncated() -> None:
    dataset = of("jpeg-2000-lossless-u12")
    dataset.PixelData = b"\xfe\xff\0\xe0\0\0\0\0"
    error = refusal(written(dataset))
    assert (error.reason, error.detail) == (Reason.TRUNCATED, "its compressed data end after 0 bytes, in their header")


@pytest.mark.parametrize("name", WITH_CODESTREAM)
def test_a_codestream_that_stops_in_its_header_is_truncated(name: str) -> None:
    dataset = of(name)
    for length in (4, 10, 20):
        assert refusal(with_frame(dataset, frame_in(dataset)[:length])).reason is Reason.TRUNCATED


def test_what_is_no_codestream_is_damaged_and_not_truncated() -> None:
    dataset = of("jpeg-baseline-u8")
    error = refusal(with_frame(dataset, b"no picture"))
    assert (error.reason, error.detail) == (Reason.UNREADABLE, "its compressed data have no header of JPEG")


@pytest.fixture
def plain(tmp_path: Path) -> bytes:
    """An object of 40 x 56 without compression."""
    save_dicom(tmp_path / "x.dcm", drawn("u12").astype(np.uint16), BitsStored=12, HighBit=11)
    return (tmp_path / "x.dcm").read_bytes()


def deflated(plain: bytes, cut: int = 0, after: bytes = b"") -> bytes:
    """Return an object deflated, without its last bytes, with others after it."""
    dataset = dcmread(io.BytesIO(plain))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()[: len(buffer.getvalue()) - cut] + after


@pytest.mark.parametrize("after", [b"", b"\0", b"\0\0"])
def test_a_deflated_object_is_as_the_one_it_was(after: bytes, plain: bytes) -> None:
    (plane, facts), (expected, as_it_was) = (decode_bytes(data, 16) for data in (deflated(plain, after=after), plain))
    assert np.array_equal(plane, expected)
    assert facts == as_it_was


def test_a_deflated_object_that_is_cut_or_damaged(plain: bytes) -> None:
    whole = deflated(plain)
    assert refusal(whole[:-30]).reason is Reason.TRUNCATED
    damaged = refusal(whole[:-1000] + b"\xff" * 1000)
    assert (damaged.reason, damaged.detail) == (Reason.UNREADABLE, "its deflated data are damaged")


@pytest.mark.parametrize("place", ["pixels", "note", "after"])
def test_a_deflated_object_is_not_inflated_beyond_the_largest_picture(
    place: str, plain: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom, "MOST_INFLATED", 1 << 20)
    dataset = dcmread(io.BytesIO(plain))
    if place == "pixels":
        dataset.Rows, dataset.PixelData = 20_000, bytes(20_000 * 56 * 2)
    if place == "note":
        dataset.add_new(0x00091001, "OB", bytes(2 << 20))
    if place == "after":
        dataset.add_new(0x7FE1_1001, "OB", bytes(2 << 20))
    error = refusal(deflated(written(dataset)))
    assert (error.reason, error.detail) == (Reason.TOO_LARGE, "its deflated data are more than 1,048,576 bytes")


def test_a_deflated_bomb_takes_no_memory(plain: bytes) -> None:
    """Half a gigabyte of zeros in half a megabyte."""
    meta = deflated(plain)[: 132 + 12 + int.from_bytes(deflated(plain)[140:144], "little")]
    packer = zlib.compressobj(9, wbits=-15)
    bomb = meta + b"".join(packer.compress(bytes(1 << 24)) for _ in range(32)) + packer.flush()
    tracemalloc.start()
    try:
        error = refusal(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.reason is Reason.TOO_LARGE
    assert peak < 2.5 * dicom.MOST_INFLATED
