import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from cxr.core.errors import ImageError, Reason
from cxr.imaging.decode import decode_bytes
from cxr.imaging.dicom import decode_dicom
from tests.dicoms import save_dicom
from tests.imaging.decoding import luminance, refusal

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
TWELVE = {"BitsStored": 12, "HighBit": 11}
BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
EXACT = np.round(RAMP / 4095 * 255)


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Return a function that writes pixels with elements and returns the file's bytes."""

    def write(pixels: NDArray[Any] = RAMP, **elements: Any) -> bytes:
        save_dicom(tmp_path / "x.dcm", pixels, **(TWELVE | elements if pixels.dtype.itemsize == 2 else elements))
        return (tmp_path / "x.dcm").read_bytes()

    return write


def steps(data: bytes) -> tuple[str, ...]:
    return decode_bytes(data, 16)[1].steps


def lut(entries: NDArray[np.integer[Any]], first: int, bits: int) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 2**16, first, bits]
    item.LUTData = entries.tolist()
    item["LUTData"].VR = "US"
    item["LUTDescriptor"].VR = "US" if first >= 0 else "SS"
    return item


def test_without_transformations_the_range_of_bits_stored_is_scaled(written: Any) -> None:
    assert np.abs(luminance(written()).astype(int) - EXACT).max() == 0
    assert steps(written()) == ("divided_by_4095",)


def test_monochrome1_is_the_inverse_of_monochrome2_to_the_grey_level(written: Any) -> None:
    inverse = written(4095 - RAMP, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")
    assert np.abs(luminance(inverse).astype(int) - luminance(written())).max() <= 1
    assert steps(inverse) == ("divided_by_4095", "inverted")


@pytest.mark.parametrize(("photometric", "shape"), [("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")])
def test_a_presentation_that_contradicts_is_recorded_and_the_photometric_followed(
    photometric: str, shape: str, written: Any
) -> None:
    alone = written(PhotometricInterpretation=photometric)
    both = written(PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    assert np.array_equal(luminance(both), luminance(alone))
    assert steps(both) == (*steps(alone), "presentation_contradicts")


def test_8_bit_objects_are_taken_as_they_are(written: Any) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(luminance(written(pixels)), pixels)


def test_a_linear_window_is_that_of_the_standard(written: Any) -> None:
    """PS3.3 C.11.2.1.2.1, its own example: center 2048, width 4096 shows all 12 bits."""
    whole = written(WindowCenter=2048, WindowWidth=4096)
    assert np.array_equal(luminance(whole), EXACT)
    assert steps(whole) == ("window=2048:4096",)
    narrow = luminance(written(WindowCenter=1000, WindowWidth=201)).ravel()
    assert (narrow[:900] == 0).all()
    assert (narrow[1101:] == 255).all()
    assert narrow[1000] == 128
    step = luminance(written(WindowCenter=100, WindowWidth=1)).ravel()
    assert (step[:100] == 0).all()
    assert (step[100:] == 255).all()


def test_the_first_of_several_windows_is_taken(written: Any) -> None:
    one = written(WindowCenter=1000, WindowWidth=500)
    many = written(WindowCenter=[1000, 2000], WindowWidth=[500, 100])
    assert np.array_equal(luminance(many), luminance(one))


def test_exact_and_sigmoid_windows_are_those_of_the_standard(written: Any) -> None:
    exact = written(WindowCenter=2000, WindowWidth=1000, VOILUTFunction="LINEAR_EXACT")
    assert luminance(exact).ravel()[[1500, 2000, 2500]].tolist() == [0, 128, 255]
    sigmoid = written(WindowCenter=2000, WindowWidth=1000, VOILUTFunction="SIGMOID")
    expected = 255 / (1 + np.exp(-4 * (RAMP.ravel().astype(float) - 2000) / 1000))
    assert np.abs(luminance(sigmoid).ravel() - expected).max() <= 0.5
    assert steps(exact) + steps(sigmoid) == ("window_exact=2000:1000", "window_sigmoid=2000:1000")


def test_a_rescale_comes_before_the_window(written: Any) -> None:
    plain = written(WindowCenter=1000, WindowWidth=500)
    rescaled = written(RescaleSlope=2, RescaleIntercept=-300, WindowCenter=1700, WindowWidth=999)
    assert np.abs(luminance(rescaled).astype(int) - luminance(plain)).max() <= 1
    assert steps(rescaled) == ("rescaled=2:-300", "window=1700:999")


def test_a_rescale_alone_changes_nothing_but_its_sign(written: Any) -> None:
    assert np.array_equal(luminance(written(RescaleSlope=0.5, RescaleIntercept=7)), EXACT)
    negative = luminance(written(RescaleSlope=-1, RescaleIntercept=4095))
    assert np.abs(negative.astype(int) - (255 - EXACT)).max() <= 1


def test_signed_values_are_scaled_from_their_lowest(written: Any) -> None:
    signed = (RAMP.astype(np.int32) - 2048).astype(np.int16)
    assert np.array_equal(luminance(written(signed, PixelRepresentation=1)), EXACT)
    windowed = written(signed, PixelRepresentation=1, WindowCenter=0, WindowWidth=4096)
    assert np.array_equal(luminance(windowed), EXACT)


def test_a_modality_lut_comes_before_a_voi_lut(written: Any) -> None:
    halve = lut(np.arange(4096) // 2, 0, 11)
    square = lut((np.arange(2048) ** 2) >> 14, 0, 8)
    data = written(ModalityLUTSequence=[halve], VOILUTSequence=[square])
    assert np.array_equal(luminance(data), ((RAMP.astype(int) // 2) ** 2) >> 14)
    assert steps(data) == ("modality_lut", "voi_lut")


def test_a_modality_lut_alone_gives_its_own_range(written: Any) -> None:
    data = written(ModalityLUTSequence=[lut(np.arange(4096) * 16, 0, 16)])
    assert np.array_equal(luminance(data), np.round(RAMP.astype(float) * 16 / 65535 * 255))


def test_values_outside_a_lut_get_its_first_or_last_entry(written: Any) -> None:
    data = written(VOILUTSequence=[lut(np.array([10, 20, 30]), 100, 8)])
    assert luminance(data).ravel()[[0, 99, 100, 101, 102, 103, 4095]].tolist() == [10, 10, 10, 20, 30, 30, 30]


def test_a_voi_lut_is_preferred_to_a_window(written: Any) -> None:
    data = written(VOILUTSequence=[lut(np.arange(4096) // 16, 0, 8)], WindowCenter=7, WindowWidth=3)
    assert np.array_equal(luminance(data), RAMP // 16)


def with_overlays(data: bytes, *bits: int, own: bytes = b"") -> bytes:
    """Say that overlays lie in these bits of the cells, as old objects have them; with `own` they do not."""
    dataset = dcmread(io.BytesIO(data))
    for number, bit in enumerate(bits):
        dataset.add_new((0x6000 + 2 * number, 0x0100), "US", 16)
        dataset.add_new((0x6000 + 2 * number, 0x0102), "US", bit)
        if own:
            dataset.add_new((0x6000 + 2 * number, 0x3000), "OW", own)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def test_overlays_in_unused_bits_do_not_reach_the_picture(written: Any) -> None:
    dirty = RAMP | np.where(RAMP % 3 == 0, 0xA000, 0).astype(np.uint16)
    assert np.array_equal(luminance(with_overlays(written(dirty), 13, 15)), EXACT)


@pytest.mark.parametrize("beyond", [0x1000, 0x8000, 0xF000])
def test_values_beyond_bits_stored_that_no_overlay_explains_are_refused_with_both_numbers(
    beyond: int, written: Any
) -> None:
    dirty = RAMP | np.where(RAMP % 3 == 0, beyond, 0).astype(np.uint16)
    error = refusal(written(dirty))
    assert (error.reason, error.detail) == (
        Reason.UNREADABLE,
        f"its pixel data have values up to {int(dirty.max())}; BitsStored is 12",
    )
    other = with_overlays(written(dirty), 14)  # explains another bit
    assert "BitsStored is 12" in refusal(other).detail
    elsewhere = with_overlays(written(dirty), 12, 13, 14, 15, own=bytes(512))
    assert "BitsStored is 12" in refusal(elsewhere).detail


def test_negative_values_may_fill_the_unused_bits(written: Any) -> None:
    signed = RAMP.astype(np.int16) - 2048
    low = luminance(written(signed, PixelRepresentation=1))
    assert np.array_equal(low, luminance(written(signed & 0xFFF, PixelRepresentation=1)))


def encoded_as(data: bytes, *, implicit: bool, little: bool) -> bytes:
    """Return the data set of an object of 16 bits in another form, without meta information."""
    dataset = dcmread(io.BytesIO(data))
    if not little:
        dataset.PixelData = dataset.pixel_array.astype(">u2").tobytes()
    del dataset.file_meta
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = implicit, little
    write_dataset(file, dataset)
    return file.getvalue()


def called(syntax: str, data_set: bytes) -> bytes:
    """Return an object that says it is written in `syntax`."""
    meta = dcmread(io.BytesIO(OBJECT)).file_meta
    meta.TransferSyntaxUID = syntax
    file = DicomBytesIO(bytes(128) + b"DICM")
    file.seek(0, io.SEEK_END)
    write_file_meta_info(file, meta)
    return file.getvalue() + data_set


def _object() -> bytes:
    buffer = io.BytesIO()
    save_dicom(buffer, RAMP, **TWELVE)
    return buffer.getvalue()


OBJECT = _object()
EXPLICIT = encoded_as(OBJECT, implicit=False, little=True)
_DEFLATE = zlib.compressobj(wbits=-15)
FORMS = {
    "in little endian": EXPLICIT,
    "in big endian": encoded_as(OBJECT, implicit=False, little=False),
    "deflated": _DEFLATE.compress(EXPLICIT) + _DEFLATE.flush(),
}
SYNTAXES = {
    ImplicitVRLittleEndian: "in little endian",
    ExplicitVRLittleEndian: "in little endian",
    ExplicitVRBigEndian: "in big endian",
    DeflatedExplicitVRLittleEndian: "deflated",
    JPEGBaseline8Bit: "in little endian",
}


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("form", FORMS)
def test_a_data_set_in_another_form_than_its_syntax_says_is_refused_with_both(form: str, syntax: str) -> None:
    data = called(syntax, FORMS[form])
    if SYNTAXES[syntax] != form:
        error = refusal(data)
        assert error.reason is Reason.UNREADABLE
        assert f"the transfer syntax is {syntax} (" in error.detail
        assert error.detail.endswith(f"; its data set is written {form}")
    elif syntax != JPEGBaseline8Bit:
        assert np.array_equal(luminance(data), EXACT)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("implicit", [True, False])
def test_explicit_and_implicit_are_told_from_the_elements(syntax: str, *, implicit: bool) -> None:
    assert np.array_equal(luminance(called(syntax, encoded_as(OBJECT, implicit=implicit, little=True))), EXACT)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_other_encodings_of_the_object_change_nothing(syntax: str, written: Any) -> None:
    dataset = dcmread(io.BytesIO(written()))
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset)
    assert np.array_equal(luminance(buffer.getvalue()), EXACT)


def dcmwrite(buffer: io.BytesIO, dataset: Dataset) -> None:
    dataset.save_as(
        buffer,
        implicit_vr=dataset.file_meta.TransferSyntaxUID.is_implicit_VR,
        little_endian=True,
        enforce_file_format=True,
    )


def test_an_object_without_preamble_is_read(written: Any) -> None:
    assert np.array_equal(luminance(written()[132:]), EXACT)
    assert steps(written()[132:]) == ("no_preamble", "divided_by_4095")


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"NumberOfFrames": 2}, Reason.MULTI_FRAME),
        ({"PhotometricInterpretation": "RGB"}, Reason.UNSUPPORTED),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, Reason.UNSUPPORTED),
        ({"SamplesPerPixel": 3}, Reason.UNSUPPORTED),
        ({"BitsStored": 17}, Reason.UNSUPPORTED),
        ({"BitsAllocated": 32}, Reason.UNSUPPORTED),
        ({"HighBit": 15}, Reason.UNSUPPORTED),
        ({"Rows": 30000, "Columns": 30000}, Reason.TOO_LARGE),
        ({"Rows": 65}, Reason.TRUNCATED),
        ({"PixelData": None}, Reason.UNSUPPORTED),
        ({"PixelData": None, "Rows": None, "Columns": None, "SOPClassUID": BASIC_TEXT_SR}, Reason.NOT_AN_IMAGE),
        ({"WindowCenter": 5, "WindowWidth": -5}, Reason.UNSUPPORTED),
        ({"WindowCenter": 5, "WindowWidth": 5, "VOILUTFunction": "CURVED"}, Reason.UNSUPPORTED),
        ({"Rows": None}, Reason.UNREADABLE),
    ],
    ids=str,
)
def test_what_has_no_defined_luminance_is_refused_with_its_reason(
    elements: dict[str, Any], reason: Reason, written: Any
) -> None:
    assert refusal(written(**elements)).reason is reason


def test_no_name_of_a_patient_reaches_facts_or_errors(written: Any) -> None:
    data = written(PatientName="Secret^Name", PatientID="secret-7")
    assert "ecret" not in repr(decode_dicom(data)[1])
    assert "ecret" not in str(refusal(written(PatientName="Secret^Name", NumberOfFrames=3)))


def code(value: str) -> list[Dataset]:
    view = Dataset()
    view.CodeValue = value
    return [view]


@pytest.mark.parametrize(
    ("elements", "lateral"),
    [
        ({}, False),
        *(({"ViewPosition": word}, True) for word in ("LL", "RL", "LATERAL", "lateral", "L LAT", "LEFT LATERAL")),
        *(({"ViewPosition": word}, False) for word in ("PA", "AP", "", "RLD", "LLD", "LLO", "RLO", "COLLATERAL")),
        *(({"ViewCodeSequence": code(value)}, True) for value in ("399173006", "R-10236", "399198007", "R-10232")),
        *(({"ViewCodeSequence": code(value)}, False) for value in ("399348003", "R-10206")),
        ({"ViewPosition": "PA", "ViewCodeSequence": code("399067008")}, True),
        ({"ViewCodeSequence": []}, False),
    ],
)
def test_a_lateral_view_is_known_from_the_header(elements: dict[str, Any], lateral: bool, written: Any) -> None:
    assert decode_bytes(written(**elements), 16)[1].lateral is lateral


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), max_size=6), cut=st.integers(0, 400))
def test_garbled_objects_give_an_image_error_or_a_picture(
    changes: list[tuple[int, int]], cut: int, written: Any
) -> None:
    data = bytearray(written(RAMP[:16, :16].copy(), WindowCenter=100, WindowWidth=200))
    for position, byte in changes:
        data[position % len(data)] = byte
    try:
        plane, facts = decode_bytes(bytes(data[: len(data) - cut]), 16)
    except ImageError:
        return
    assert plane.shape == (facts.height, facts.width)
    assert plane.dtype == np.uint8
