"""Luminance and attributes of a DICOM radiograph: one frame, one sample a pixel, through its own transformations."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import ImageError, Reason, UsageError
from cxr.core.image import ImageFacts, Plane
from cxr.imaging.codestream import size_of
from cxr.imaging.formats import lacks_preamble
from cxr.imaging.isolation import FILE_SECONDS, Answer, isolated
from cxr.imaging.pixels import MAX_PIXELS, named, scale_to_8_bit

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


Values = NDArray[Any]
LUT_BITS = range(8, 17)


def luminance_of_stored(stored: Values, dataset: "Dataset") -> tuple[Plane, list[str]]:
    """Return luminance before any inversion, uint8 (Rows, Columns), and what was done.

    Args:
        stored: Integers of (Rows, Columns), unused bits cleared or sign-extended, as pydicom gives them.
        dataset: What they belong to.

    Raises:
        ImageError: An attribute of the transformations makes no sense.
    """
    steps: list[str] = []
    bits, signed = int(dataset.BitsStored), int(dataset.get("PixelRepresentation", 0)) == 1
    values: Values = stored.astype(np.int64)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if int(values.min()) < low or int(values.max()) > high:
        raise ImageError(Reason.UNSUPPORTED, f"stored values do not fit BitsStored = {bits}")
    values, low, high = _modality(values, low, high, dataset, steps)
    if dataset.get("VOILUTSequence"):
        values, high = _looked_up(values, dataset.VOILUTSequence[0])
        steps.append("voi_lut")
        return _scaled(values, 0, high), steps
    if "WindowCenter" in dataset and "WindowWidth" in dataset:
        return np.rint(255 * _windowed(values, dataset, steps)).astype(np.uint8), steps
    steps.append(f"divided_by_{high - low:g}")
    return _scaled(values, low, high), steps


def _modality(
    values: Values, low: float, high: float, dataset: "Dataset", steps: list[str]
) -> tuple[Values, float, float]:
    """Apply the modality LUT or rescale to values and to the range that they can have."""
    if dataset.get("ModalityLUTSequence"):
        values, high = _looked_up(values, dataset.ModalityLUTSequence[0])
        steps.append("modality_lut")
        return values, 0, high
    slope, intercept = (
        float(dataset.get(name, default)) for name, default in (("RescaleSlope", 1), ("RescaleIntercept", 0))
    )
    if (slope, intercept) == (1.0, 0.0):
        return values, low, high
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise ImageError(Reason.UNSUPPORTED, f"RescaleSlope = {slope:g}, RescaleIntercept = {intercept:g}")
    steps.append(f"rescaled={slope:g}:{intercept:g}")
    ends = sorted((low * slope + intercept, high * slope + intercept))
    return values * slope + intercept, ends[0], ends[1]


def _looked_up(values: Values, item: "Dataset") -> tuple[Values, int]:
    """Apply a LUT; what lies before its first or after its last entry gets that entry. Also the largest output."""
    entries, first, bits = (int(number) for number in item.LUTDescriptor)
    entries = entries or 2**16
    if bits not in LUT_BITS:
        raise ImageError(Reason.UNSUPPORTED, f"a LUT of {bits} bits; expected 8 to 16")
    data = item.LUTData
    table = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.atleast_1d(np.asarray(data, np.int64))
    if len(table) < entries:
        raise ImageError(Reason.TRUNCATED, f"a LUT of {len(table)} entries; expected {entries}")
    places = np.clip(np.rint(values).astype(np.int64) - first, 0, entries - 1)
    return table[:entries].astype(np.int64)[places], 2**bits - 1


def _windowed(values: Values, dataset: "Dataset", steps: list[str]) -> NDArray[np.float64]:
    """Apply the first window; return 0 (black) to 1."""
    center, width = (_first(dataset[name].value) for name in ("WindowCenter", "WindowWidth"))
    function = str(dataset.get("VOILUTFunction", "") or "LINEAR").upper()
    if not np.isfinite([center, width]).all() or width <= 0 or (function == "LINEAR" and width < 1):
        raise ImageError(Reason.UNSUPPORTED, f"a window of center {center:g} and width {width:g}")
    if function == "SIGMOID":
        steps.append(f"window_sigmoid={center:g}:{width:g}")
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700))))
    if function == "LINEAR_EXACT":
        steps.append(f"window_exact={center:g}:{width:g}")
        return np.clip((values - center) / width + 0.5, 0, 1)
    if function != "LINEAR":
        raise ImageError(Reason.UNSUPPORTED, f"the VOI LUT function {function}")
    steps.append(f"window={center:g}:{width:g}")
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def _first(value: Any) -> float:
    return float(value[0] if isinstance(value, (list, tuple)) or hasattr(value, "__getitem__") else value)


def _scaled(values: Values, low: float, high: float) -> Plane:
    """Map `low` to 0 and `high` to 255, exactly where the values are integers."""
    if np.issubdtype(values.dtype, np.integer):
        return scale_to_8_bit(values - int(low), int(high - low))
    return np.rint(255 * (values - low) / (high - low)).astype(np.uint8)


# PS3.3 C.8.7.1.1.1, and what devices write instead; RLD and LLD are not among them: frontal, of a patient on the side.
LATERAL_WORDS = frozenset({"LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LEFTLATERAL", "RIGHTLATERAL"})
# Left lateral, right lateral, lateral (PS3.16 CID 4010), in SNOMED CT and in the older SNOMED-RT.
LATERAL_CODES = frozenset({"399173006", "399198007", "399067008", "R-10236", "R-10232", "R-102CD"})


def decode_dicom(data: bytes, seconds: float = FILE_SECONDS) -> tuple[Plane, ImageFacts]:
    """Decode a DICOM object in memory; compressed pixels in a child that has `seconds` for it, see `isolated`.

    Stored values go through the modality LUT or rescale (PS3.3 C.11.1), then the first VOI LUT or window (C.11.2),
    else their full range by BitsStored; MONOCHROME1 is inverted last (C.7.6.3.1.2). The range found in the pixels is
    never used. Padding and overlays stay as they are. Nothing but pixels, size, view and these attributes is read out.

    Returns:
        uint8 of shape (Rows, Columns), 0 black, 255 white; and the facts.

    Raises:
        ImageError: Multi-frame, colour, without pixels, broken, in a transfer syntax without a decoder, or its decoder
            crashed.
    """
    import pydicom

    bare = lacks_preamble(data)
    try:
        dataset = pydicom.dcmread(BytesIO(data), force=bare)
        if "PixelData" not in dataset:
            raise ImageError(Reason.NOT_AN_IMAGE, "a DICOM object without pixel data")
        _check_shape(dataset)
        _check_decoder(dataset)
        luminance, steps = luminance_of_stored(_stored_values(dataset, seconds), dataset)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(Reason.MEMORY, "not enough memory for its pixels") from error
    except Exception as error:  # as in images.decode_bytes: hostile bytes raise anything
        raise named(error) from error
    photometric = str(dataset.PhotometricInterpretation)
    if photometric == "MONOCHROME1":
        luminance = np.subtract(255, luminance, dtype=np.uint8)
        steps.append("inverted")
    # The two say the same (PS3.3 C.8.11.1); where they do not, the mandatory one, of the pixels, is followed.
    if dataset.get("PresentationLUTShape", "") == {"MONOCHROME1": "IDENTITY", "MONOCHROME2": "INVERSE"}[photometric]:
        steps.append("presentation_contradicts")
    steps = ["no_preamble", *steps] if bare else steps
    facts = ImageFacts(
        width=int(dataset.Columns),
        height=int(dataset.Rows),
        mode=photometric,
        bit_depth=int(dataset.BitsStored),
        format="DICOM",
        steps=tuple(steps),
        lateral=_is_lateral(dataset),
    )
    return luminance, facts


def _is_lateral(dataset: "Dataset") -> bool:
    """Tell whether ViewPosition or ViewCodeSequence says that the picture was taken from the side."""
    try:
        position = "".join(character for character in str(dataset.get("ViewPosition", "")) if character.isalpha())
        codes = {str(view.get("CodeValue", "")) for view in dataset.get("ViewCodeSequence") or ()}
    except Exception:  # its picture could be decoded: an odd header must not cost the answer
        return False
    return position.upper() in LATERAL_WORDS or not codes.isdisjoint(LATERAL_CODES)


def _check_shape(dataset: "Dataset") -> None:
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    if frames > 1:
        raise ImageError(Reason.MULTI_FRAME, f"{frames} frames; expected one picture")
    if int(dataset.Rows) * int(dataset.Columns) > MAX_PIXELS:
        raise ImageError(Reason.TOO_LARGE, f"{dataset.Columns} x {dataset.Rows} is more than {MAX_PIXELS:,} pixels")
    if str(dataset.PhotometricInterpretation) not in ("MONOCHROME1", "MONOCHROME2"):
        raise ImageError(Reason.UNSUPPORTED, f"photometric interpretation {dataset.PhotometricInterpretation}")
    if int(dataset.SamplesPerPixel) != 1:
        raise ImageError(Reason.UNSUPPORTED, f"{dataset.SamplesPerPixel} samples per pixel; expected 1")
    bits, allocated = int(dataset.BitsStored), int(dataset.BitsAllocated)
    if allocated not in (8, 16) or bits not in range(1, allocated + 1):
        raise ImageError(Reason.UNSUPPORTED, f"{bits} of {allocated} bits a sample; expected 8 or 16")
    if int(dataset.get("HighBit", bits - 1)) != bits - 1:
        raise ImageError(Reason.UNSUPPORTED, f"HighBit = {dataset.HighBit} with {bits} of {allocated} bits")


def _check_decoder(dataset: "Dataset") -> None:
    """Refuse a compressed transfer syntax that no installed library decodes, with what to install."""
    from pydicom import pixels

    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if syntax is None or not syntax.is_compressed or syntax.is_deflated:
        return
    try:
        available = pixels.get_decoder(syntax).is_available  # type: ignore[attr-defined]
    except NotImplementedError:
        available = False
    if not available:
        raise ImageError(
            Reason.NO_DECODER, f"no decoder for the transfer syntax {syntax.name}; try: pip install 'cxr-batch[dicom]'"
        )


# What decoding looks at; nothing else of the object goes to the child.
PIXEL_KEYWORDS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "PixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)


def _stored_values(dataset: "Dataset", seconds: float) -> Values:
    """Return integers of (Rows, Columns); compressed ones are decoded in a child.

    Raises:
        ImageError: There are more or fewer samples than the header says, or the child gave no answer.
    """
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if syntax is not None and syntax.is_encapsulated:
        _check_codestream(dataset)
        label, data = isolated(_decoded, _pixels_of(dataset), seconds=seconds)
        kind, *shape = label.split()
        values: Values = np.frombuffer(data, kind).reshape([int(length) for length in shape])
    else:
        values = dataset.pixel_array
    expected = (int(dataset.Rows), int(dataset.Columns))
    if values.shape != expected:
        found, said = (" x ".join(map(str, shape)) for shape in (values.shape, expected))
        raise ImageError(Reason.UNREADABLE, f"its pixel data are {found} samples; Rows x Columns is {said}")
    return values


def _check_codestream(dataset: "Dataset") -> None:
    """Refuse a codestream that contradicts the header, before it is given memory for what it claims."""
    from pydicom.encaps import get_frame

    size = size_of(get_frame(dataset.PixelData, 0, number_of_frames=1))
    said = (int(dataset.Columns), int(dataset.Rows))
    if size is not None and size != said:
        raise ImageError(
            Reason.UNREADABLE,
            f"its compressed data are of {size[0]} x {size[1]} pixels; Columns x Rows is {said[0]} x {said[1]}",
        )


def _pixels_of(dataset: "Dataset") -> "Dataset":
    from pydicom.dataset import Dataset, FileMetaDataset

    pixels = Dataset()
    for keyword in PIXEL_KEYWORDS:
        if keyword in dataset:
            pixels.add(dataset[keyword])
    pixels.file_meta = FileMetaDataset()
    pixels.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    return pixels


def _decoded(pixels: "Dataset") -> Answer:
    """Return type and shape as text, and the values; what the child computes."""
    values = pixels.pixel_array
    return " ".join((values.dtype.str, *map(str, values.shape))), values.tobytes()


def check_keywords(keywords: Sequence[str]) -> None:
    """Refuse what is no DICOM keyword, such as a misspelt one, which would give an empty column. Raises UsageError."""
    if not keywords:
        return
    from pydicom.datadict import tag_for_keyword

    unknown = [keyword for keyword in keywords if tag_for_keyword(keyword) is None]
    if unknown:
        raise UsageError(
            f"DICOM has no attribute {', '.join(unknown)}; expected keywords of its data dictionary, such as "
            f"StudyDate or PatientID"
        )


def dicom_attributes(data: bytes, keywords: Sequence[str]) -> tuple[str, ...]:
    """Return the values of `keywords` as text, several values joined by a backslash as DICOM does.

    A file that is not DICOM, and an attribute that is absent, give an empty text.
    """
    import pydicom
    from pydicom.multival import MultiValue

    try:
        dataset = pydicom.dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=list(keywords), force=True)
        values = [dataset.get(keyword) for keyword in keywords]
        return tuple(
            "" if value is None else "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
            for value in values
        )
    except Exception:  # its picture could be decoded: an odd header must not cost the answer
        return ("",) * len(keywords)
