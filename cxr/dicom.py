"""Luminance of a DICOM radiograph: one frame, one sample a pixel, through its own modality and VOI transformations."""

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from cxr.dicom_grey import luminance_of_stored
from cxr.errors import ImageError, Reason
from cxr.formats import lacks_preamble
from cxr.images import MAX_PIXELS, ImageFacts, named
from cxr.planes import Plane

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# PS3.3 C.8.7.1.1.1, and what devices write instead; RLD and LLD are not among them: frontal, of a patient on the side.
LATERAL_WORDS = frozenset({"LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LEFTLATERAL", "RIGHTLATERAL"})
# Left lateral, right lateral, lateral (PS3.16 CID 4010), in SNOMED CT and in the older SNOMED-RT.
LATERAL_CODES = frozenset({"399173006", "399198007", "399067008", "R-10236", "R-10232", "R-102CD"})


def decode_dicom(data: bytes) -> tuple[Plane, ImageFacts]:
    """Decode a DICOM object in memory.

    Stored values go through the modality LUT or rescale (PS3.3 C.11.1), then the first VOI LUT or window (C.11.2),
    else their full range by BitsStored; MONOCHROME1 is inverted last (C.7.6.3.1.2). The range found in the pixels is
    never used. Padding and overlays stay as they are. Nothing but pixels, size, view and these attributes is read out.

    Returns:
        uint8 of shape (Rows, Columns), 0 black, 255 white; and the facts.

    Raises:
        ImageError: Multi-frame, colour, without pixels, broken, or in a transfer syntax without a decoder.
    """
    import pydicom

    bare = lacks_preamble(data)
    try:
        dataset = pydicom.dcmread(BytesIO(data), force=bare)
        if "PixelData" not in dataset:
            raise ImageError(Reason.NOT_AN_IMAGE, "a DICOM object without pixel data")
        _check_shape(dataset)
        _check_decoder(dataset)
        luminance, steps = luminance_of_stored(dataset.pixel_array, dataset)
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
