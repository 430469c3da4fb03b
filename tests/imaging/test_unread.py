"""Files that are not read say what they are; damage, lack of support and mistakes of decoders are told apart."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from cxr.core.errors import Reason
from cxr.imaging.formats import HEAD_BYTES, recognise
from cxr.imaging.pixels import named
from cxr.screening.candidates import Candidate
from cxr.screening.read import may_have_row, read
from tests.fuzz.seeds import seeds
from tests.imaging.decoding import refusal

INPUTS = Path(__file__).parents[1] / "inputs" / "unread"


@pytest.mark.parametrize(
    ("file", "name", "remedy"),
    [
        ("a.heic", "HEIC", "export it as PNG"),
        ("heic-as.jpg", "HEIC", "export it as PNG"),
        ("b.jxl", "JPEG XL", "export it as PNG"),
        ("c.jp2", "JPEG 2000", "export it as PNG"),
        ("jp2-as.dcm", "JPEG 2000", "export it as PNG"),
        ("d.nii", "NIfTI", "export the one picture"),
    ],
)
def test_a_picture_of_another_format_has_a_row_with_its_name_and_a_remedy(file: str, name: str, remedy: str) -> None:
    candidate = Candidate(file, file)
    reading = read(candidate, INPUTS, [16])
    assert may_have_row(candidate, INPUTS)
    assert reading.is_image
    assert reading.error is not None
    assert reading.error.reason is Reason.NOT_AN_IMAGE
    assert reading.error.detail.startswith(f"{name}, which is not read; {remedy}")


@pytest.mark.parametrize("file", ["a.heic", "b.jxl", "c.jp2"])
def test_such_a_picture_has_a_row_without_a_suffix_too(file: str, tmp_path: Path) -> None:
    (tmp_path / "IM0001").write_bytes((INPUTS / file).read_bytes())
    assert may_have_row(Candidate("IM0001", "IM0001"), tmp_path)
    assert read(Candidate("IM0001", "IM0001"), tmp_path, [16]).is_image


def test_an_archive_that_is_taken_for_an_image_is_named() -> None:
    assert refusal((INPUTS / "e.zip").read_bytes()).detail.startswith("zip, which is not read; unpack it first")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"%PDF-1.7\n", "PDF, which is not read; export its picture as PNG"),
        (b"BZh91AY&SY", "bzip2, which is not read; unpack it first"),
        (b"\xfd7zXZ\0\0\4", "xz, which is not read; unpack it first"),
    ],
)
def test_what_a_name_would_tell_is_told_by_content_too(data: bytes, said: str) -> None:
    assert refusal(data).detail == said


@pytest.mark.parametrize(
    "data",
    [
        *(bytes(60), bytes(100_000), b"\x89PN", b"\xff\xd8", b"II", b"GIF8"),
        *(b"RI", b"RIFF\x10\x20", b"RIFF\x10\x20\0\0WE", b"B", b"BM\x10\x20\0\0\0\0\0\0"),
        *(bytes(128) + mark for mark in (b"D", b"DI", b"DIC")),
    ],
)
def test_what_stops_in_its_first_bytes_is_truncated(data: bytes) -> None:
    assert refusal(data).reason is Reason.TRUNCATED


@pytest.mark.parametrize("name", ["WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("kept", [20, 40, 300, 1000])
def test_what_stops_later_is_truncated_too(name: str, kept: int) -> None:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (64, 64), np.uint8)).save(file, name)
    assert len(file.getvalue()) > kept
    assert refusal(file.getvalue()[:kept]).reason is Reason.TRUNCATED


# Whose pixels are whole before the file is: only an end marker is absent then.
ENDS = {"gif": 2, "png": 12, "dcm": 4}


def is_whole_without_pixels(data: bytes) -> bool:
    """Tell whether these are the bytes of a whole DICOM object of a picture that has no pixel data."""
    if recognise(data[:HEAD_BYTES]) != "DICOM":
        return False
    try:
        dataset, buffer = dcmread(io.BytesIO(data), force=True), io.BytesIO()
        dataset.save_as(buffer)
    except Exception:  # its transfer syntax is cut, or an element
        return False
    whole = len(buffer.getvalue()) == len(data) and "Columns" in dataset
    return whole and "PixelData" not in dataset


@pytest.mark.parametrize("name", [name for name in seeds() if name != "frames.gif"])
def test_a_file_that_stops_anywhere_is_truncated(name: str) -> None:
    whole = seeds()[name]
    last = len(whole) - ENDS.get(name.rpartition(".")[2], 0)
    kept = [*range(2, min(600, last), 9), *range(600, last, last // 20), last - 1]
    kept = [length for length in kept if not is_whole_without_pixels(whole[:length])]
    assert {length: refusal(whole[:length]).reason for length in kept} == dict.fromkeys(kept, Reason.TRUNCATED)


@pytest.mark.parametrize("data", [b"RIFF\0\0\0\0WAVEfmt ", b"RIFX\0\0\0\0", b"MB"])
def test_other_short_files_are_not_called_truncated(data: bytes) -> None:
    assert refusal(data).reason is Reason.NOT_AN_IMAGE


@pytest.mark.parametrize(("place", "value", "said"), [(4, 12, "12 bits"), (9, 2, "2 samples")])
def test_a_jpeg_of_another_kind_is_unsupported(place: int, value: int, said: str) -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(file, "JPEG")
    data = bytearray(file.getvalue())
    data[data.index(b"\xff\xc0") + place] = value
    error = refusal(bytes(data))
    assert error.reason is Reason.UNSUPPORTED
    assert said in error.detail


def test_jpeg_ls_alone_is_unsupported() -> None:
    header = b"\xff\xd8\xff\xf7\0\x0b\x08\0\x10\0\x10\x01\x01\x11\0"
    error = refusal(header + b"\xff\xda\0\2" + bytes(40) + b"\xff\xd9")
    assert (error.reason, error.detail) == (Reason.UNSUPPORTED, "JPEG-LS; expected JPEG")


def test_a_bmp_of_unknown_compression_is_unsupported() -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(file, "BMP")
    data = bytearray(file.getvalue())
    struct.pack_into("<I", data, 30, 9)
    assert refusal(bytes(data)).reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    "error",
    [
        AttributeError("'NoneType' object has no attribute 'x'"),
        TypeError("float() argument must be a string or a real number, not 'NoneType'"),
        KeyError(34712),
        struct.error("unpack requires a buffer of 4 bytes"),
        OSError("cannot identify image file <_io.BytesIO object at 0x7fb7fc73fd80>"),
        ValueError("cannot open /tmp/tmpab12/x.j2k"),
        ValueError("invalid literal for int() with base 10: 'x'"),
        RuntimeError("<class 'ValueError'>"),
        OSError("decoder error -2"),
        ValueError("could not create decoder object"),
    ],
    ids=str,
)
def test_what_only_programmers_understand_stays_out_of_the_table(error: Exception) -> None:
    assert named(error).detail == "the decoder cannot make sense of its content"
    assert named(error).reason is Reason.UNREADABLE


def test_what_a_decoder_says_of_a_file_is_kept() -> None:
    assert named(OSError("broken data stream when reading image file")).detail.startswith("broken data stream")
    assert named(OSError("image file is truncated (3 bytes not processed)")).reason is Reason.TRUNCATED
    assert named(OSError("Unsupported BMP compression (9)")).reason is Reason.UNSUPPORTED
