import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cxr.imaging.formats import HEAD_BYTES, recognise


@pytest.mark.parametrize("name", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"])
def test_what_pillow_writes_is_recognised(name: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(buffer, name)
    assert recognise(buffer.getvalue()[:HEAD_BYTES]) == name


@pytest.mark.parametrize(
    "head",
    [
        b"MM\0*\0\0\0\x08",
        b"MM\0+\0\x08\0\0",
        b"II+\0\x08\0\0\0",
    ],
)
def test_every_kind_of_tiff_is_recognised(head: bytes) -> None:
    assert recognise(head) == "TIFF"


@pytest.mark.parametrize(
    "head",
    [
        bytes(128) + b"DICM",
        b"II*\0".ljust(128) + b"DICM",
        b"\xffpreamble of anything".ljust(128) + b"DICM",
        struct.pack("<HH2sH", 0x0002, 0x0000, b"UL", 4),
        struct.pack("<HH2sH", 0x0008, 0x0005, b"CS", 10),
        struct.pack("<HHI", 0x0008, 0x0000, 4),
        struct.pack("<HHI", 0x0008, 0x0005, 0),
        struct.pack("<HHI", 0x0008, 0x0008, 22),
        struct.pack("<HHI", 0x0008, 0x0020, 8),
        struct.pack("<HHI", 0x0008, 0x0060, 2),
        struct.pack("<HH2sH", 0x0008, 0x0016, b"UI", 26),
    ],
)
def test_dicom_is_recognised_with_and_without_preamble(head: bytes) -> None:
    assert recognise(head) == "DICOM"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"B",
        b"BMI 23.4, goes home tomorrow",
        b"GIF is a format",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"\x08\0\x05\0",
        struct.pack("<HHI", 0x0008, 0x0005, 2**31),
        struct.pack("<HHI", 0x0008, 0x0005, 5),
        struct.pack("<HHI", 0x0008, 0x0000, 0),
        struct.pack("<HHI", 0x0010, 0x0010, 8),
        struct.pack("<HH2sH", 0x0008, 0x0005, b"CS", 60000),
        bytes(132),
        b"II*",
    ],
)
def test_other_content_is_no_image(head: bytes) -> None:
    assert recognise(head) is None


@given(st.text(max_size=200))
def test_no_text_is_an_image(text: str) -> None:
    printable = "".join(character for character in text if character.isprintable())
    assert recognise(printable.encode("utf-8", "replace")[:HEAD_BYTES]) is None


@given(st.binary(max_size=HEAD_BYTES))
def test_any_bytes_give_an_answer(head: bytes) -> None:
    assert recognise(head) in (None, "PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "DICOM")
