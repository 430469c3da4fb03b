"""Whatever a file's content causes is an ImageError, and never ends who reads it."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.valuerep import PersonName

from cxr.core.errors import ImageError, Reason
from cxr.imaging import dicom
from cxr.imaging.decode import decode, decode_bytes
from cxr.imaging.dicom import dicom_attributes
from cxr.imaging.pixels import named
from tests.dicoms import save_dicom


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    save_dicom(tmp_path / "x.dcm", np.arange(4096, dtype=np.uint16).reshape(64, 64), PatientID="7")
    return (tmp_path / "x.dcm").read_bytes()


def nested(data: bytes, depth: int) -> bytes:
    """Return an object with sequences in sequences."""
    begin = struct.pack("<HH2sHI", 0x0008, 0x1115, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    end = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    place = data.index(struct.pack("<HH", 0x0010, 0x0020))
    return data[:place] + begin * depth + end * depth + data[place:]


def test_sequences_nested_deeper_than_the_interpreter_goes(data: bytes) -> None:
    assert decode_bytes(nested(data, 10), 16)[0].shape == (64, 64)
    with pytest.raises(ImageError) as error:
        decode_bytes(nested(data, 5000), 16)
    assert error.value.reason is Reason.UNREADABLE
    assert dicom_attributes(nested(data, 10), ["PatientID"]) == ("7",)
    assert dicom_attributes(nested(data, 5000), ["PatientID"]) == ("",)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("raised", [RecursionError, SystemError, struct.error, OSError, ValueError, MemoryError])
def test_what_decoding_raises(raised: type[Exception], data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Any:
        raise raised("odd")

    for place in ("luminance_of_stored", "_is_lateral", "decode_dicom"):
        with monkeypatch.context() as patch:
            patch.setattr(dicom, place, fails)
            with pytest.raises(ImageError) as error:
                decode_bytes(data, 16)
        assert error.value.reason is (Reason.MEMORY if raised is MemoryError else Reason.UNREADABLE)


@pytest.mark.usefixtures("in_this_process")
def test_ctrl_c_is_not_a_files_fault(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(dicom, "decode_dicom", interrupted)
    with pytest.raises(KeyboardInterrupt):
        decode_bytes(data, 16)


def test_a_file_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> bytes:
        raise MemoryError

    (tmp_path / "x.png").touch()
    monkeypatch.setattr(Path, "read_bytes", full)
    with pytest.raises(ImageError) as error:
        decode(tmp_path / "x.png", 16)
    assert error.value.reason is Reason.MEMORY


def test_an_attribute_that_has_no_text_is_empty_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(_: PersonName) -> str:
        raise RecursionError

    path = tmp_path / "x.dcm"
    save_dicom(path, np.zeros((8, 8), np.uint8), PatientName="Doe^Jane", PatientID="7", StudyDate="20200101")
    monkeypatch.setattr(PersonName, "__str__", odd)
    assert dicom_attributes(path.read_bytes(), ["PatientID", "PatientName", "StudyDate"]) == ("7", "", "20200101")


def test_a_detail_that_quotes_a_file_is_one_line_that_can_be_read() -> None:
    assert ImageError(Reason.UNSUPPORTED, "the syntax \x01\0 is\n  unknown\udcff").detail == "the syntax ?? is unknown?"
    assert ImageError(Reason.UNREADABLE, "x" * 400).detail == "x" * 297 + "..."
    assert ImageError(Reason.UNREADABLE, "Größe \N{LUNGS}").detail == "Größe \N{LUNGS}"


@pytest.mark.parametrize(
    ("said", "reason", "detail"),
    [
        ("Error -5 while decompressing data: incomplete stream", Reason.TRUNCATED, "its content ends early"),
        ("Error -3 while decompressing data: invalid distance", Reason.UNREADABLE, None),
        ("2 bytes, set pydicom.config.x = True", Reason.UNREADABLE, None),
        ("Unable to decode as all plugins failed:\n  pydicom: 7 segments", Reason.UNREADABLE, "7 segments"),
    ],
)
def test_what_a_library_says_to_programmers(said: str, reason: Reason, detail: str | None) -> None:
    error = named(ValueError(said))
    assert (error.reason, error.detail) == (reason, detail or "the decoder cannot make sense of its content")
