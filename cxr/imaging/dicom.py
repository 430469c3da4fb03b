"""Luminance and attributes of a DICOM radiograph: one frame, one sample a pixel, through its own transformations."""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import ImageError, Reason, UsageError
from cxr.core.image import ImageFacts, Plane
from cxr.imaging.formats import HEAD_BYTES, lacks_preamble
from cxr.imaging.headers import LONGEST_QUOTE, check_header, class_of, first_item, integer, number, text
from cxr.imaging.pixel_data import LONGEST_UID, Values, stored_values, syntax_steps
from cxr.imaging.pixels import CONVERT, FULL_SCALES, MAX_PIXELS, named, scale_to_8_bit

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement, RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag
    from pydicom.uid import UID


LUT_BITS = range(8, 17)
TRANSFER_SYNTAX = 0x00020010
_ELEMENT_HEADER = 8  # bytes, at least
LITTLE, BIG = "in little endian", "in big endian"
FIRST_GROUPS = range(0x0004, 0x0030)  # of what a data set may begin with: mostly 0008
MOST_INFLATED = 2 * MAX_PIXELS + (64 << 20)  # bytes: the largest picture that is read, and what may stand beside it
_MOST_HEADER = 16 << 20  # bytes of a deflated object that its attributes are looked for in
_STEP = 4096  # bytes that are inflated at once: 1,032 times as many at most come out
FLOATS = ("FloatPixelData", "DoubleFloatPixelData")
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})  # those, and PixelData
_ZEROS = 0x00000000  # the element that zeros are read as
_UNDEFINED = 0xFFFFFFFF  # the length of an element that has an end mark instead
_CLASS = 0x00080016  # which every object has: a header read without it was not read


def luminance_of_stored(stored: Values, dataset: "Dataset") -> tuple[Plane, list[str]]:
    """Return luminance before any inversion, uint8 (Rows, Columns), and what was done.

    Args:
        stored: Integers of (Rows, Columns), unused bits cleared or sign-extended, see `stored_values`.
        dataset: What they belong to.

    Raises:
        ImageError: An attribute of the transformations makes no sense.
    """
    steps: list[str] = []
    bits, signed = integer(dataset, "BitsStored"), _is_signed(dataset)
    values: Values = stored.astype(np.int64)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    values, low, high = _modality(values, low, high, dataset, steps)
    table = first_item(dataset, "VOILUTSequence", "LUTDescriptor", "LUTData")
    if table is not None:
        values, high = _looked_up(values, table, low < 0, _is_big_endian(dataset), steps)
        steps.append("voi_lut")
        return _scaled(values, 0, high), steps
    window = _window(dataset, steps)
    if window is not None:
        return np.rint(255 * _windowed(values, *window, dataset, steps)).astype(np.uint8), steps
    steps.append(f"divided_by_{high - low:g}")
    return _scaled(values, low, high), steps


def _is_signed(dataset: "Dataset") -> bool:
    return integer(dataset, "PixelRepresentation", 0) == 1


def _is_big_endian(dataset: "Dataset") -> bool:
    return dataset.original_encoding[1] is False


def _modality(
    values: Values, low: float, high: float, dataset: "Dataset", steps: list[str]
) -> tuple[Values, float, float]:
    """Apply the modality LUT or rescale to values and to the range that they can have."""
    table = first_item(dataset, "ModalityLUTSequence", "LUTDescriptor", "LUTData")
    if table is not None:
        values, high = _looked_up(values, table, low < 0, _is_big_endian(dataset), steps)
        steps.append("modality_lut")
        return values, 0, high
    found = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    slope, intercept = (1.0 if found[0] is None else found[0]), found[1] or 0.0
    if (slope, intercept) == (1.0, 0.0):
        return values, low, high
    ends = sorted((low * slope + intercept, high * slope + intercept))
    if slope == 0 or not np.spacing(max(map(abs, ends))) <= abs(slope):  # too large, or too close to tell apart
        steps.append(f"rescale_ignored={slope + 0:g}:{intercept:g}")
        return values, low, high
    steps.append(f"rescaled={slope:g}:{intercept:g}")
    return values * slope + intercept, ends[0], ends[1]


def _looked_up(values: Values, item: "Dataset", signed: bool, big_endian: bool, steps: list[str]) -> tuple[Values, int]:
    """Apply a LUT; what lies before its first or after its last entry gets that entry. Also the largest output."""
    entries, first, bits = _descriptor(item, signed)
    table = _entries(item, entries, bits, big_endian)
    largest = int(table.max())
    if largest >= 2**bits:
        raise ImageError(Reason.UNREADABLE, f"a LUT of {bits} bits has the entry {largest}")
    # Devices say 16 bits of tables of 12, whose picture would be all but black.
    full_scale = min(2**bits - 1, next(scale for scale in FULL_SCALES if scale >= largest))
    if full_scale < 2**bits - 1:
        steps.append(f"lut_bits={full_scale.bit_length()}")
    places = _places(np.rint(values).astype(np.int64), first, first + entries - 1)
    return table.astype(np.int64)[places], full_scale


def _places(values: NDArray[np.int64], first: int, last: int) -> NDArray[np.int64]:
    """Return the place of each value in a LUT from `first` to `last`, some of which must be in the picture."""
    low, high = int(values.min()), int(values.max())
    if high < first or low > last:  # all pixels would have one grey
        raise ImageError(Reason.UNREADABLE, f"a LUT of the values {first} to {last}; the picture has {low} to {high}")
    return np.clip(values, first, last) - first


def _descriptor(item: "Dataset", signed: bool) -> tuple[int, int, int]:
    """Return number of entries, first value mapped and bits of an entry (PS3.3, C.11.1.1)."""
    found = item.get("LUTDescriptor")
    values = list(found) if isinstance(found, Sequence) and not isinstance(found, (str, bytes)) else []
    if len(values) != 3:
        raise ImageError(Reason.UNREADABLE, f"LUTDescriptor has {len(values)} numbers; expected 3")
    if not all(isinstance(one, (int, float)) and float(one).is_integer() for one in values):
        said = " ".join(map(str, values))[:LONGEST_QUOTE]
        raise ImageError(Reason.UNREADABLE, f"LUTDescriptor is {said!r}; expected 3 integers")
    entries, first, bits = map(int, values)
    if bits not in LUT_BITS:
        raise ImageError(Reason.UNSUPPORTED, f"a LUT of {bits} bits; expected 8 to 16")
    if signed and first >= 2**15:  # written as US where SS was meant
        first -= 2**16
    return entries % 2**16 or 2**16, first, bits


def _entries(item: "Dataset", entries: int, bits: int, big_endian: bool) -> NDArray[np.uint16]:
    """Return the table, whether its entries are words, or bytes packed two a word (PS3.3, C.11.1.1.1)."""
    words = _words(item, big_endian)
    if bits == 8 and len(words) == (entries + 1) // 2 and words.max(initial=0) > 0xFF:  # else half of a table of words
        return words.astype("<u2").view(np.uint8)[:entries].astype(np.uint16)
    if len(words) < entries:
        raise ImageError(Reason.TRUNCATED, f"a LUT of {len(words)} entries; expected {entries}")
    if len(words) > entries + 1:
        raise ImageError(Reason.UNREADABLE, f"a LUT of {len(words)} entries; LUTDescriptor says {entries}")
    return words[:entries]


def _words(item: "Dataset", big_endian: bool) -> NDArray[np.uint16]:
    data = item.get("LUTData")
    if isinstance(data, (bytes, bytearray)):
        swapped = big_endian and item["LUTData"].VR != "OB"
        return np.frombuffer(bytes(data) + b"\0" * (len(data) % 2), ">u2" if swapped else "<u2").astype(np.uint16)
    try:
        return np.atleast_1d(np.asarray([] if data is None else data, np.int64)).astype(np.uint16)
    except (TypeError, ValueError) as error:
        raise ImageError(Reason.UNREADABLE, "LUTData are no numbers") from error


def _window(dataset: "Dataset", steps: list[str]) -> tuple[float, float] | None:
    """Return center and width of the first window; None where there is none, or one that shows nothing."""
    center, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
    if center is None or width is None:
        return None
    if width < 0:
        raise ImageError(Reason.UNSUPPORTED, f"a window of center {center:g} and width {width:g}")
    if width == 0 or (width < 1 and _voi_function(dataset) == "LINEAR"):
        steps.append(f"window_ignored={center:g}:{width:g}")
        return None
    return center, width


def _voi_function(dataset: "Dataset") -> str:
    return (text(dataset, "VOILUTFunction") or "LINEAR").upper()


def _windowed(values: Values, center: float, width: float, dataset: "Dataset", steps: list[str]) -> NDArray[np.float64]:
    """Apply a window; return 0 (black) to 1."""
    function = _voi_function(dataset)
    if function == "SIGMOID":
        steps.append(f"window_sigmoid={center:g}:{width:g}")
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700))))
    if function == "LINEAR_EXACT":
        steps.append(f"window_exact={center:g}:{width:g}")
        return np.clip((values - center) / width + 0.5, 0, 1)
    if function != "LINEAR":
        raise ImageError(Reason.UNSUPPORTED, f"the VOI LUT function {function[:LONGEST_QUOTE]}")
    steps.append(f"window={center:g}:{width:g}")
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def _scaled(values: Values, low: float, high: float) -> Plane:
    """Map `low` to 0 and `high` to 255, exactly where the values are integers."""
    if np.issubdtype(values.dtype, np.integer):
        return scale_to_8_bit(values - int(low), int(high - low))
    return np.rint(255 * (values - low) / (high - low)).astype(np.uint8)


# PS3.3 C.8.7.1.1.1, and what devices write instead; RLD and LLD are not among them: frontal, of a patient on the side.
LATERAL_WORDS = frozenset({"LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LEFTLATERAL", "RIGHTLATERAL"})
# Left lateral, right lateral, lateral (PS3.16 CID 4010), in SNOMED CT and in the older SNOMED-RT.
LATERAL_CODES = frozenset({"399173006", "399198007", "399067008", "R-10236", "R-10232", "R-102CD"})


def decode_dicom(data: bytes, any_dicom: bool = False) -> tuple[Plane, ImageFacts]:
    """Decode a DICOM object in memory.

    First `check_header` refuses what its header calls another modality or part of the body, unless `any_dicom`.

    Stored values go through the modality LUT or rescale (PS3.3 C.11.1), then the first VOI LUT or window (C.11.2),
    else their full range by BitsStored; MONOCHROME1 is inverted last (C.7.6.3.1.2). The range found in the pixels is
    never used. Padding and overlays stay as they are. Nothing but pixels, size, view and these attributes is read out.

    Returns:
        uint8 of shape (Rows, Columns), 0 black, 255 white; and the facts.

    Raises:
        ImageError: By its header no radiograph of the chest, multi-frame, colour, without pixels, broken, or in a
            transfer syntax without a decoder.
    """
    import pydicom

    bare, length = lacks_preamble(data), len(data)
    try:
        data = _inflated(data)
        with _whole(data) as source:
            dataset = pydicom.dcmread(source, force=True)
        has_pixels = any(keyword in dataset for keyword in ("PixelData", *FLOATS))
        header = dataset if has_pixels else _header_without_pixels(data)
        if not any_dicom:
            check_header(header)
        if "PixelData" not in dataset:
            raise _without_pixels(dataset, header, length, ended_early=source.ended_early)
        _check_shape(dataset)
        _fill_transfer_syntax(dataset)
        luminance, steps = luminance_of_stored(stored_values(dataset), dataset)
        steps = [*syntax_steps(dataset), *steps]
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(Reason.MEMORY, "not enough memory for its pixels") from error
    except Exception as error:  # as in `cxr.imaging.decode.decode_here`
        raise named(error) from error
    photometric = text(dataset, "PhotometricInterpretation")
    if photometric == "MONOCHROME1":
        luminance = np.subtract(255, luminance, dtype=np.uint8)
        steps.append("inverted")
    # The two say the same (PS3.3 C.8.11.1); where they do not, the mandatory one, of the pixels, is followed.
    if text(dataset, "PresentationLUTShape") == {"MONOCHROME1": "IDENTITY", "MONOCHROME2": "INVERSE"}[photometric]:
        steps.append("presentation_contradicts")
    steps = ["no_preamble", *steps] if bare else steps
    facts = ImageFacts(
        width=luminance.shape[1],
        height=luminance.shape[0],
        mode=photometric,
        bit_depth=integer(dataset, "BitsStored"),
        format="DICOM",
        steps=tuple(steps),
        lateral=_is_lateral(dataset),
    )
    return luminance, facts


class _Source(BytesIO):
    """Bytes of an object that know whether a reader has met their end within an element."""

    ended_early = False

    def read(self, size: int | None = -1) -> bytes:
        """See `BytesIO`; where the next element would begin, readers find nothing of 8 bytes."""
        found = super().read(size)
        self.ended_early |= len(found) < (size or 0) and not (size == _ELEMENT_HEADER and not found)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        """See `BytesIO`; who goes back to the start has only looked for a preamble."""
        self.ended_early &= (offset, whence) != (0, 0)
        return super().seek(offset, whence)


@contextmanager
def _whole(data: bytes) -> Iterator[_Source]:
    """Give an object to be read; raise what that raises as ImageError where the object ends too early."""
    source = _Source(data)
    try:
        yield source
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # as in `cxr.imaging.decode.decode_here`
        # pydicom says OSError where the next item of a sequence would begin, and EOFError where no end mark follows.
        raise _cut(len(data)) if source.ended_early or isinstance(error, OSError | EOFError) else error from error


def _cut(length: int) -> ImageError:
    return ImageError(Reason.TRUNCATED, f"the file ends after {length:,} bytes, before the end of its pixel data")


def _content(data: bytes) -> tuple[memoryview, "UID | None"]:
    """Return what follows an object's meta information, and the transfer syntax that this says; None for none."""
    from pydicom.filereader import data_element_generator
    from pydicom.uid import UID

    with _whole(data) as file:
        file.seek(HEAD_BYTES if data[:HEAD_BYTES].endswith(b"DICM") else 0)
        meta = data_element_generator(file, is_implicit_VR=False, is_little_endian=True, stop_when=_is_after_meta)
        syntaxes = [bytes(element.value or b"").strip(b" \0") for element in meta if element.tag == TRANSFER_SYNTAX]
    said = UID(syntaxes[-1].decode("ascii", "replace")) if syntaxes else None
    return memoryview(data)[file.tell() :], said


def _inflated(data: bytes) -> bytes:
    """Return the data set of a deflated object (PS3.5, A.5), which is explicit, little endian; others as they are.

    pydicom would inflate it into as much memory as it takes.
    """
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    content, syntax = _content(data)
    if syntax is not None:
        _check_form(content, syntax)
    if syntax != DeflatedExplicitVRLittleEndian:
        return data
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(content, MOST_INFLATED)
    except zlib.error as error:
        raise ImageError(Reason.UNREADABLE, "its deflated data are damaged") from error
    if inflater.unconsumed_tail:
        raise ImageError(Reason.TOO_LARGE, f"its deflated data are more than {MOST_INFLATED:,} bytes")
    if not inflater.eof:
        raise ImageError(
            Reason.TRUNCATED, f"the file ends after {len(data):,} bytes, before the end of its deflated data"
        )
    return inflated


def _check_form(content: memoryview, syntax: "UID") -> None:
    """Refuse a data set that is written in another form than its transfer syntax says, and cannot be read so.

    Explicit and implicit value representation, little endian, are told apart element by element; either is read.
    """
    if syntax.is_private or not syntax.is_transfer_syntax:
        return
    plain, inflated = _order_of(bytes(content[:HEAD_BYTES])), _order_of(_first_inflated(content))
    deflated = "deflated" if inflated else ""
    written = deflated or plain if syntax.is_deflated else plain or deflated
    named = "deflated" if syntax.is_deflated else LITTLE if syntax.is_little_endian else BIG
    if written and written != named:
        raise ImageError(
            Reason.UNREADABLE, f"the transfer syntax is {syntax} ({syntax.name}); its data set is written {written}"
        )


def _order_of(head: bytes) -> str:
    """Return the byte order of a data set, by the group of its first element; empty where these bytes begin none."""
    if len(head) < 8:
        return ""
    groups = {LITTLE: int.from_bytes(head[:2], "little"), BIG: int.from_bytes(head[:2], "big")}
    return next((order for order, group in groups.items() if group in FIRST_GROUPS), "")


def _first_inflated(content: memoryview) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content[:4096], HEAD_BYTES)
    except zlib.error:
        return b""


def _is_after_meta(tag: int, *_: object) -> bool:
    return tag >> 16 != 0x0002


def _is_lateral(dataset: "Dataset") -> bool:
    """Tell whether ViewPosition or ViewCodeSequence says that the picture was taken from the side."""
    try:
        position = "".join(character for character in str(dataset.get("ViewPosition", "")) if character.isalpha())
        codes = {str(view.get("CodeValue", "")) for view in dataset.get("ViewCodeSequence") or ()}
    except Exception:  # its picture could be decoded: an odd header must not cost the answer
        return False
    return position.upper() in LATERAL_WORDS or not codes.isdisjoint(LATERAL_CODES)


def _header_without_pixels(data: bytes) -> "Dataset":
    """Return the header of an object whose pixel data were not found.

    pydicom drops a whole dataset when its last element of undefined length has no end, so the header is read again.

    Raises:
        ImageError: It is an object of another kind, which has none.
    """
    import pydicom

    with _whole(data) as source:
        header = pydicom.dcmread(source, force=True, stop_before_pixels=True)
    if not _may_be_picture(header, ended_early=source.ended_early):
        raise ImageError(Reason.NOT_AN_IMAGE, "a DICOM object without pixel data")
    return header


# Classes of objects that may have pixels and are not called images: volumes, maps, segmentations, doses, prints.
PICTURES = frozenset(
    f"1.2.840.10008.{last}"
    for last in (
        *(f"5.1.4.1.1.{last}" for last in ("6.2", "30", "66.4", "66.7", "66.8", "77.1.5.8", "81.1", "82.1", "481.2")),
        *("5.1.4.1.1.501.4", "5.1.4.1.1.501.5", "5.1.4.1.1.501.6", "5.1.1.27"),
    )
)


def _may_be_picture(header: "Dataset", *, ended_early: bool) -> bool:
    """Tell whether an object whose pixel data were not found should have some, by its class and what it has else."""
    from pydicom.uid import UID

    kind = UID(class_of(header))
    is_defined = kind.name != kind
    if "Image Storage" in kind.name:
        return True
    if is_defined and "Storage" in kind.name and kind not in PICTURES:  # a report with Rows stays a report
        return False
    is_cut = ended_early and not is_defined  # perhaps the beginning of another one
    return not kind or is_cut or "Rows" in header or "Columns" in header


def _without_pixels(dataset: "Dataset", header: "Dataset", length: int, *, ended_early: bool) -> ImageError:
    """Say why an object of a picture has no pixel data.

    Args:
        dataset: The object as it was read; nothing of it where an element without a length has no end.
        header: What stands before its pixel data.
        length: Of the file, in bytes.
        ended_early: Whether the file ends within an element.
    """
    # A copy that stopped in a file made full-length at once leaves zeros.
    if ended_early or not len(dataset) or _ZEROS in dataset:
        return _cut(length)
    if any(keyword in dataset for keyword in FLOATS):
        return ImageError(Reason.UNSUPPORTED, "floating-point pixels have no defined black and white")
    if "PixelDataProviderURL" in header:
        syntax = text(header.file_meta, "TransferSyntaxUID")[:LONGEST_UID]
        return ImageError(
            Reason.NO_DECODER, f"its pixel data lie on a server (transfer syntax {syntax}); fetch it from there whole"
        )
    if "Rows" not in dataset or "Columns" not in dataset:
        return ImageError(
            Reason.TRUNCATED, f"the file ends after {length:,} bytes, without the size and the pixel data of a picture"
        )
    # A copy that stopped between two elements looks the same. Once it is whole, it is another file and is read again.
    return ImageError(
        Reason.UNSUPPORTED,
        f"it has no pixel data: its {length:,} bytes were written without, or are a copy that stopped just before them",
    )


def _check_shape(dataset: "Dataset") -> None:
    """Refuse what is not one grey picture of 8 or 16 bits; write what was understood, as the decoder expects it."""
    frames = integer(dataset, "NumberOfFrames", 1)
    if frames > 1:
        raise ImageError(Reason.MULTI_FRAME, f"{frames} frames; expected one picture")
    if frames < 0:
        raise ImageError(Reason.UNREADABLE, f"NumberOfFrames is {frames}; expected 1")
    rows, columns = integer(dataset, "Rows"), integer(dataset, "Columns")
    if rows * columns > MAX_PIXELS:
        raise ImageError(Reason.TOO_LARGE, f"{columns} x {rows} is more than {MAX_PIXELS:,} pixels")
    if min(rows, columns) < 1:
        raise ImageError(Reason.UNREADABLE, f"Rows x Columns are {rows} x {columns}")
    photometric = text(dataset, "PhotometricInterpretation").upper()
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        said = photometric[:LONGEST_QUOTE] or "absent or empty"
        raise ImageError(Reason.UNSUPPORTED, f"photometric interpretation {said}")
    samples = integer(dataset, "SamplesPerPixel", 1)
    if samples != 1:
        raise ImageError(Reason.UNSUPPORTED, f"{samples} samples per pixel; expected 1")
    bits, allocated = integer(dataset, "BitsStored"), integer(dataset, "BitsAllocated")
    if allocated not in (8, 16) or bits not in range(1, allocated + 1):
        raise ImageError(Reason.UNSUPPORTED, f"{bits} of {allocated} bits a sample; expected 8 or 16")
    high_bit = integer(dataset, "HighBit", bits - 1)
    if high_bit != bits - 1:
        raise ImageError(Reason.UNSUPPORTED, f"HighBit = {high_bit} with {bits} of {allocated} bits")
    representation = integer(dataset, "PixelRepresentation", 0)
    if representation not in (0, 1):
        raise ImageError(Reason.UNSUPPORTED, f"PixelRepresentation is {representation}; expected 0 or 1")
    _write(
        dataset,
        NumberOfFrames=frames,
        Rows=rows,
        Columns=columns,
        PhotometricInterpretation=photometric,
        SamplesPerPixel=samples,
        BitsAllocated=allocated,
        BitsStored=bits,
        HighBit=high_bit,
        PixelRepresentation=representation,
    )


def _write(dataset: "Dataset", **elements: int | str) -> None:
    """Write elements in the value representation that they should have, whatever they were written in."""
    for keyword, value in elements.items():
        if keyword in dataset:
            del dataset[keyword]
        setattr(dataset, keyword, value)


def _fill_transfer_syntax(dataset: "Dataset") -> None:
    """Write the transfer syntax that the bytes were read in where the file does not say one."""
    from pydicom import uid

    if text(dataset.file_meta, "TransferSyntaxUID"):
        return
    if dataset["PixelData"].is_undefined_length:
        raise ImageError(Reason.NO_DECODER, f"TransferSyntaxUID is absent or empty, the pixels compressed; {CONVERT}")
    implicit, little = dataset.original_encoding
    plain = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else plain


def check_keywords(keywords: Sequence[str]) -> None:
    """Refuse what is no DICOM keyword, such as a misspelt one, which would give an empty column. Raises UsageError."""
    from pydicom.datadict import tag_for_keyword

    unknown = [keyword for keyword in keywords if tag_for_keyword(keyword) is None]
    if unknown:
        raise UsageError(
            f"DICOM has no attribute {', '.join(unknown)}; expected keywords of its data dictionary, such as "
            f"StudyDate or PatientID"
        )


def dicom_attributes(data: bytes, keywords: Sequence[str]) -> tuple[str, ...]:
    """Return the values of `keywords` as text, several values joined by a backslash as DICOM does.

    A file that is not DICOM, and an attribute that is absent or cannot be read, give an empty text; what stands before
    damage, or before the end of a file that is not whole, is read all the same.
    """
    from pydicom.tag import Tag

    try:
        content = _readable(data)
    except Exception:  # an odd header must cost neither the answer nor the row
        return ("",) * len(keywords)
    tags = [Tag(keyword) for keyword in keywords]
    # The whole header first, because some have their elements in another order than that of their tags; then what comes
    # before an attribute alone, because pydicom drops everything where an element after it has no end.
    whole = _elements(content, (_CLASS, *tags), max(_PIXELS))
    return tuple(_text_of(whole or _elements(content, (tag,), tag), tag) for tag in tags)


def _readable(data: bytes) -> bytes:
    """Return an object, of a deflated one the beginning of its data set, as far as it can be inflated."""
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    content, syntax = _content(data)
    if syntax != DeflatedExplicitVRLittleEndian:
        return data
    inflater, inflated = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    with suppress(zlib.error):
        for start in range(0, len(content), _STEP):
            inflated += inflater.decompress(content[start : start + _STEP])
            if len(inflated) >= _MOST_HEADER:
                break
    return bytes(inflated)


def _elements(data: bytes, wanted: Sequence[int], last: int) -> "Dataset | None":
    """Return elements that stand before the pixels and no later than `last`; nothing of a header that is damaged."""
    from pydicom.filereader import read_partial

    with suppress(Exception):  # as in `dicom_attributes`
        return read_partial(
            BytesIO(data),
            stop_when=lambda tag, *_: tag in _PIXELS or tag > last,
            force=True,
            specific_tags=list(wanted),
        )
    return None


def _text_of(header: "Dataset | None", wanted: "BaseTag") -> str:
    """Return the text of an element; empty where it is absent, cut off or cannot be read."""
    from pydicom.multival import MultiValue

    with suppress(Exception):
        if header is not None and wanted in header and not _is_cut(header.get_item(wanted)):
            value = header[wanted].value
            return "" if value is None else "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
    return ""


def _is_cut(element: "RawDataElement | DataElement | None") -> bool:
    """Tell whether the file ends within a value: the beginning of a number of a patient is that of another one."""
    length, value = getattr(element, "length", _UNDEFINED), getattr(element, "value", None)
    return length != _UNDEFINED and isinstance(value, bytes) and len(value) < length
