"""Absence, emptiness and contradiction in DICOM headers, and objects that are not whole."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import DataElement, dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from cxr.core.errors import ImageError, Reason
from cxr.core.image import Plane
from cxr.imaging.decode import decode_bytes
from cxr.imaging.dicom import decode_dicom, dicom_attributes
from cxr.screening.candidates import Candidate
from cxr.screening.read import read
from tests.dicoms import save_dicom
from tests.imaging.decoding import refusal

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
EXACT = np.round(RAMP / 4095 * 255).astype(np.uint8)
INPUTS = Path(__file__).parents[1] / "inputs"


@pytest.fixture
def drawn(tmp_path: Path) -> Any:
    """Return a function that draws a 12-bit object with elements; None removes one."""

    def draw(**elements: Any) -> Dataset:
        save_dicom(tmp_path / "x.dcm", RAMP, **({"BitsStored": 12, "HighBit": 11} | elements))
        return dcmread(tmp_path / "x.dcm")

    return draw


def written(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    buffer = io.BytesIO()
    little = syntax != ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = syntax
    if not little and "PixelData" in dataset:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    dcmwrite(buffer, dataset, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=little)
    return buffer.getvalue()


def with_text(data: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    assert data.count(old) == 1
    return data.replace(old, new)


def decoded(data: bytes) -> tuple[Plane, tuple[str, ...]]:
    plane, facts = decode_bytes(data, 16)
    return plane, facts.steps


EMPTY: list[dict[str, Any]] = [
    {"WindowCenter": "", "WindowWidth": 4096},
    {"WindowCenter": 2048, "WindowWidth": ""},
    {"WindowCenter": "", "WindowWidth": ""},
    {"RescaleSlope": "", "RescaleIntercept": 0},
    {"RescaleSlope": 1, "RescaleIntercept": ""},
    {"VOILUTSequence": []},
    {"VOILUTSequence": [Dataset()]},
    {"ModalityLUTSequence": [Dataset()]},
    {"NumberOfFrames": ""},
    {"PresentationLUTShape": ""},
]


@pytest.mark.parametrize("elements", EMPTY, ids=str)
def test_an_empty_element_is_as_absent(elements: dict[str, Any], drawn: Any) -> None:
    plane, steps = decoded(written(drawn(**elements)))
    assert np.array_equal(plane, EXACT)
    assert steps == ("divided_by_4095",)


@pytest.mark.parametrize("keyword", ["SamplesPerPixel", "PixelRepresentation", "HighBit"])
@pytest.mark.parametrize("empty", [True, False])
def test_numbers_that_have_one_possible_value_may_be_empty_or_absent(keyword: str, empty: bool, drawn: Any) -> None:
    dataset = drawn()
    if empty:
        dataset[keyword].value = None
    else:
        del dataset[keyword]
    assert np.array_equal(decoded(written(dataset))[0], EXACT)


def test_a_blank_window_is_as_absent(drawn: Any) -> None:
    data = written(drawn(WindowCenter="2048", WindowWidth="4096"))
    assert decoded(with_text(with_text(data, b"2048", b"    "), b"4096", b"    "))[1] == ("divided_by_4095",)


@pytest.mark.parametrize(
    ("elements", "step"),
    [
        ({"WindowCenter": 5, "WindowWidth": 0}, "window_ignored=5:0"),
        ({"WindowCenter": 0, "WindowWidth": 0}, "window_ignored=0:0"),
        ({"WindowCenter": 5, "WindowWidth": 0.5}, "window_ignored=5:0.5"),
        ({"RescaleSlope": 0, "RescaleIntercept": 7}, "rescale_ignored=0:7"),
        ({"RescaleSlope": "-0", "RescaleIntercept": 7}, "rescale_ignored=0:7"),
        ({"RescaleSlope": "1e308", "RescaleIntercept": 0}, "rescale_ignored=1e+308:0"),
        ({"RescaleSlope": "0.5", "RescaleIntercept": "1e300"}, "rescale_ignored=0.5:1e+300"),
    ],
    ids=str,
)
def test_what_would_show_nothing_is_ignored_with_a_step(elements: dict[str, Any], step: str, drawn: Any) -> None:
    plane, steps = decoded(written(drawn(**elements)))
    assert np.array_equal(plane, EXACT)
    assert steps == (step, "divided_by_4095")


@pytest.mark.parametrize("value", ["20,5", "abcd", "nan ", "inf ", "7_53", "0x75", "75 3", "7.5."])
def test_text_where_a_number_belongs_is_quoted(value: str, drawn: Any) -> None:
    data = with_text(written(drawn(WindowCenter="7531", WindowWidth="4096")), b"7531", value.encode())
    error = refusal(data)
    assert error.reason is Reason.UNSUPPORTED
    assert f"WindowCenter is '{value.strip()}'" in error.detail


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("Rows", "DS", "64"),
        ("Columns", "IS", "64"),
        ("Rows", "FD", 64.0),
        ("Columns", "UL", 64),
        ("Rows", "US", [64, 7]),
        ("BitsStored", "DS", "12"),
        ("BitsAllocated", "FD", 16.0),
        ("NumberOfFrames", "US", 1),
        ("PixelRepresentation", "IS", "0"),
        ("PhotometricInterpretation", "LO", "MONOCHROME2"),
        ("PhotometricInterpretation", "CS", " MONOCHROME2"),
        ("PhotometricInterpretation", "OB", b"MONOCHROME2\0"),
        ("PhotometricInterpretation", "CS", ["MONOCHROME2", "MONOCHROME2"]),
        ("PhotometricInterpretation", "CS", "monochrome2"),
    ],
)
def test_a_value_that_is_plain_may_be_written_in_another_representation(
    keyword: str, vr: str, value: Any, drawn: Any
) -> None:
    dataset = drawn()
    dataset[keyword] = DataElement(keyword, vr, value)
    plane, facts = decode_bytes(written(dataset), 16)
    assert np.array_equal(plane, EXACT)
    assert facts.mode == "MONOCHROME2"


@pytest.mark.parametrize(
    ("keyword", "vr", "value", "detail"),
    [
        ("Rows", "OB", b"ab", "Rows is 'ab'; expected a number"),
        ("Rows", "SS", -64, "Rows x Columns are -64 x 64"),
        ("NumberOfFrames", "IS", "-1", "NumberOfFrames is -1; expected 1"),
        ("PixelRepresentation", "US", 2, "PixelRepresentation is 2; expected 0 or 1"),
        ("PixelData", "UT", "text", "PixelData is written as UT; expected OW or OB"),
        ("PixelData", "SQ", [], "PixelData is written as SQ; expected OW or OB"),
    ],
)
def test_a_value_that_makes_no_sense_is_quoted(keyword: str, vr: str, value: Any, detail: str, drawn: Any) -> None:
    dataset = drawn()
    dataset[keyword] = DataElement(keyword, vr, value)
    assert refusal(written(dataset)).detail == detail


def test_two_negative_sides_make_no_picture(drawn: Any) -> None:
    dataset = drawn()
    for keyword in ("Rows", "Columns"):
        dataset[keyword] = DataElement(keyword, "SS", -64)
    assert refusal(written(dataset)).detail == "Rows x Columns are -64 x -64"


def test_pixels_that_lie_on_a_server_are_not_truncated(drawn: Any) -> None:
    error = refusal(written(drawn(PixelData=None, PixelDataProviderURL="http://127.0.0.1/film")))
    assert error.reason is Reason.NO_DECODER
    assert "127.0.0.1" not in error.detail


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsStored", "BitsAllocated", "PhotometricInterpretation"])
def test_what_has_no_default_is_named_where_it_is_empty(keyword: str, drawn: Any) -> None:
    dataset = drawn()
    dataset[keyword].value = None
    assert "absent or empty" in refusal(written(dataset)).detail


def table(data: bytes, descriptor: list[int], vr: str = "OW") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", descriptor)
    item.add_new("LUTData", vr, data)
    return item


def test_a_table_of_bytes_packed_in_words_is_read(drawn: Any) -> None:
    packed = (np.arange(4096) // 16).astype(np.uint8).tobytes()
    assert np.array_equal(decoded(written(drawn(VOILUTSequence=[table(packed, [4096, 0, 8])])))[0], RAMP // 16)


@pytest.mark.parametrize("packed", [True, False])
def test_a_big_endian_table_is_read_right(packed: bool, drawn: Any) -> None:
    entries = np.arange(4096) // 16
    data = entries.astype(np.uint8).view("<u2").astype(">u2") if packed else entries.astype(">u2")
    dataset = drawn(VOILUTSequence=[table(data.tobytes(), [4096, 0, 8])])
    assert np.array_equal(decoded(written(dataset, ExplicitVRBigEndian))[0], RAMP // 16)


def test_a_table_that_says_more_bits_than_it_has_is_not_shown_dark(drawn: Any) -> None:
    dataset = drawn(VOILUTSequence=[table(np.arange(4096, dtype="<u2").tobytes(), [4096, 0, 16])])
    plane, steps = decoded(written(dataset))
    assert np.array_equal(plane, EXACT)
    assert steps == ("lut_bits=12", "voi_lut")


@pytest.mark.parametrize(
    ("entries", "descriptor", "numbers"),
    [
        (4096, [8192, 0, 12], ("4096", "8192")),
        (8192, [4096, 0, 16], ("8192", "4096")),
        (4096, [4096, 0, 8], ("4095", "8 bits")),
        (4096, [4096, 0], ("2", "3")),
        (4096, [4096, 0, 20], ("20 bits", "16")),
    ],
    ids=str,
)
def test_a_table_that_contradicts_its_descriptor_is_refused_with_both_numbers(
    entries: int, descriptor: list[int], numbers: tuple[str, str], drawn: Any
) -> None:
    dataset = drawn(VOILUTSequence=[table(np.arange(entries, dtype="<u2").tobytes(), descriptor)])
    detail = refusal(written(dataset)).detail
    assert all(number in detail for number in numbers)


def test_half_of_a_table_of_words_is_not_taken_for_one_of_bytes(drawn: Any) -> None:
    half = (np.arange(2048) // 16).astype("<u2").tobytes()
    error = refusal(written(drawn(VOILUTSequence=[table(half, [4096, 0, 8])])))
    assert (error.reason, error.detail) == (Reason.TRUNCATED, "a LUT of 2048 entries; expected 4096")


def test_a_descriptor_of_text_is_quoted_where_it_is_no_numbers(drawn: Any) -> None:
    item = table((np.arange(4096) // 16).astype("<u2").tobytes(), [4096, 0, 8])
    item["LUTDescriptor"] = DataElement("LUTDescriptor", "DS", ["4096", "0", "8"])
    assert np.array_equal(decoded(written(drawn(VOILUTSequence=[item])))[0], RAMP // 16)
    item["LUTDescriptor"] = DataElement("LUTDescriptor", "LO", ["4096", "0", "eight"])
    assert refusal(written(drawn(VOILUTSequence=[item]))).detail == (
        "LUTDescriptor is '4096 0 eight'; expected 3 integers"
    )


@pytest.mark.parametrize(("first", "said"), [(65535, "65535 to 69630"), (4096, "4096 to 8191")])
@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_table_of_other_values_than_the_picture_has_is_not_shown_black(
    sequence: str, first: int, said: str, drawn: Any
) -> None:
    entries = np.arange(4096, dtype="<u2").tobytes()
    error = refusal(written(drawn(**{sequence: [table(entries, [4096, first, 12])]})))
    assert error.reason is Reason.UNREADABLE
    assert error.detail == f"a LUT of the values {said}; the picture has 0 to 4095"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("form", ["no syntax", "no meta", "bare"])
def test_without_a_syntax_an_object_is_read_as_its_bytes_show(syntax: str, form: str, drawn: Any) -> None:
    whole = written(drawn(), syntax)
    meta = 132 + 12 + int.from_bytes(whole[140:144], "little")
    head = whole[: {"no syntax": meta, "no meta": 132, "bare": 0}[form]]
    if form == "no syntax":
        uid = dcmread(io.BytesIO(whole)).file_meta["TransferSyntaxUID"].value.encode()
        uid += b"\0" * (len(uid) % 2)
        element = b"\x02\0\x10\0UI" + len(uid).to_bytes(2, "little") + uid
        head = with_length(head.replace(element, b""), len(element))
    plane, steps = decoded(head + whole[meta:])
    assert np.array_equal(plane, EXACT)
    assert steps == (("no_preamble",) if form == "bare" else ()) + ("divided_by_4095",)


def with_length(head: bytes, fewer: int) -> bytes:
    return head[:140] + (int.from_bytes(head[140:144], "little") - fewer).to_bytes(4, "little") + head[144:]


def test_an_empty_syntax_of_compressed_pixels_is_no_decoder(drawn: Any) -> None:
    data = io.BytesIO()
    drawn(compress=True).save_as(data)
    uid = b"1.2.840.10008.1.2.5\0"
    element = b"\x02\0\x10\0UI"
    whole = data.getvalue().replace(element + b"\x14\0" + uid, element + b"\0\0")
    assert refusal(with_length(whole, len(uid))).reason is Reason.NO_DECODER


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [(8190, Reason.TRUNCATED), (2 * 8192, Reason.UNREADABLE), (8192 + 128, Reason.UNREADABLE)],
)
def test_pixel_data_of_another_length_are_refused_with_both_numbers(pixels: int, reason: Reason, drawn: Any) -> None:
    error = refusal(written(drawn(PixelData=bytes(pixels))))
    assert error.reason is reason
    assert f"{pixels:,} bytes" in error.detail
    assert "8,192" in error.detail


def test_a_few_bytes_of_padding_are_no_contradiction(drawn: Any) -> None:
    assert np.array_equal(decoded(written(drawn(PixelData=RAMP.tobytes() + bytes(10))))[0], EXACT)


@pytest.mark.parametrize("kept", [136, 150, 200, 300, 420, 1000, 8000])
def test_an_object_that_stops_anywhere_is_truncated(kept: int, drawn: Any) -> None:
    assert refusal(written(drawn())[:kept]).reason is Reason.TRUNCATED


SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]
FLOATS = [("FloatPixelData", 4), ("DoubleFloatPixelData", 8)]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("keyword", "size"), FLOATS)
def test_floating_point_pixels_are_unsupported_whatever_they_are_written_in(
    keyword: str, size: int, syntax: str, drawn: Any
) -> None:
    pixels = {"PixelData": None, keyword: bytes(4096 * size)}
    for elements in (pixels, pixels | {"BitsAllocated": 8 * size, "BitsStored": None, "HighBit": None}):
        error = refusal(written(drawn(**elements), syntax))
        assert error.reason is Reason.UNSUPPORTED
        assert error.detail == "floating-point pixels have no defined black and white"


@pytest.mark.parametrize("syntax", [one for one in SYNTAXES if one != DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize(("keyword", "size"), FLOATS)
def test_floating_point_pixels_that_stop_are_truncated(keyword: str, size: int, syntax: str, drawn: Any) -> None:
    data = written(drawn(PixelData=None, **{keyword: bytes(4096 * size)}), syntax)
    pixels = len(data) - 4096 * size
    for end in (*range(pixels - 7, pixels + 2), len(data) - 1):
        error = refusal(data[:end])
        assert error.reason is Reason.TRUNCATED
        assert f"after {end:,} bytes" in error.detail


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("kind", ["1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3.4", None])
def test_an_object_without_pixel_data_that_does_not_stop_is_not_truncated(
    kind: str | None, syntax: str, drawn: Any
) -> None:
    data = written(drawn(PixelData=None, SOPClassUID=kind), syntax)
    error = refusal(data)
    assert error.reason is Reason.UNSUPPORTED
    assert error.detail == (
        f"it has no pixel data: its {len(data):,} bytes were written without, or are a copy that stopped just before "
        "them"
    )


def test_an_object_without_pixel_data_has_a_row_whatever_its_name(drawn: Any, tmp_path: Path) -> None:
    (tmp_path / "IM0001").write_bytes(written(drawn(PixelData=None)))
    reading = read(Candidate("IM0001", "IM0001"), tmp_path, [16])
    assert reading.is_image
    assert reading.error is not None
    assert reading.error.reason is Reason.UNSUPPORTED


def of_undefined_length(*texts: str) -> Sequence:
    items = []
    for text in texts:
        item = Dataset()
        item.RequestedProcedureDescription, item.is_undefined_length_sequence_item = text, True
        items.append(item)
    sequence = Sequence(items)
    sequence.is_undefined_length = True
    return sequence


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_header_that_stops_within_an_element_is_truncated_and_nowhere_else_told_to_be_whole(
    syntax: str, drawn: Any
) -> None:
    sequence = of_undefined_length("XR CHEST", "CHEST PA")
    whole = written(drawn(PixelData=None, RequestAttributesSequence=sequence), syntax)
    kept = [one for one in dcmread(io.BytesIO(whole)) if one.tag >= 0x00280011]  # from Columns on
    ends = {len(whole)}
    for element in kept[:0:-1]:  # what is written without an element ends where this would begin
        smaller = dcmread(io.BytesIO(whole))
        for one in kept[kept.index(element) :]:
            del smaller[one.tag]
        buffer = io.BytesIO()
        dcmwrite(buffer, smaller)
        ends.add(len(buffer.getvalue()))
    for end in range(140, len(whole) + 1):
        with pytest.raises(ImageError) as error:
            decode_dicom(whole[:end])
        assert (end, error.value.reason) == (end, Reason.UNSUPPORTED if end in ends else Reason.TRUNCATED)


def test_an_object_that_ends_before_the_size_of_a_picture_does_not_say_that_it_has_pixels(drawn: Any) -> None:
    error = refusal(written(drawn(PixelData=None, Rows=None, Columns=None)))
    assert error.reason is Reason.TRUNCATED
    assert error.detail.endswith("bytes, without the size and the pixel data of a picture")


@pytest.mark.parametrize("zeros", [8, 64, 1001, 4096])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_copy_that_stopped_before_the_pixels_in_a_file_of_full_length_is_truncated(
    syntax: str, zeros: int, drawn: Any
) -> None:
    assert refusal(written(drawn(PixelData=None), syntax) + bytes(zeros)).reason is Reason.TRUNCATED


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_attributes_are_read_up_to_where_an_object_stops_and_never_half(syntax: str, drawn: Any) -> None:
    keywords = ("StudyDate", "AccessionNumber", "PatientID", "StudyInstanceUID", "WindowCenter")
    values = ("20200101", "A-12", "4711-0815", "1.2.3.99", "300.0\\400.0")
    elements = dict(zip(keywords, (*values[:-1], [300, 400]), strict=True))
    sequence = of_undefined_length("XR CHEST")
    data = written(drawn(ReferencedImageSequence=sequence, WindowWidth=[1, 2], PixelData=None, **elements), syntax)
    assert dicom_attributes(data, keywords) == values
    seen = set()
    for end in range(len(data)):
        found = dicom_attributes(data[:end], keywords)
        assert all(one in ("", value) for one, value in zip(found, values, strict=True)), end
        seen.add(found)
    assert {(*values[:2], "", "", ""), (*values[:3], "", ""), (*values[:4], "")} <= seen


@pytest.mark.parametrize("name", ["IM0001", "film.dcm", "notes.txt"])
def test_a_compressed_film_that_stops_has_a_row_whatever_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes((INPUTS / "cut-j2k.dcm").read_bytes())
    reading = read(Candidate(name, name), tmp_path, [16])
    assert reading.is_image
    assert reading.error is not None
    assert reading.error.reason is Reason.TRUNCATED
