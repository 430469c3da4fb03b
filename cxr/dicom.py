"""Luminance of a DICOM radiograph: one frame, one sample per pixel, scaled by BitsStored (PS3.3 C.7.6.3)."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cxr.errors import ImageError, Reason
from cxr.images import MAX_PIXELS, ImageFacts, named
from cxr.luminance import scale_to_8_bit
from cxr.planes import Plane

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def decode_dicom(path: Path) -> tuple[Plane, ImageFacts]:
    """Decode the stored pixel values of `path`.

    MONOCHROME1 (low values are bright) is inverted. Values are divided by 2**BitsStored - 1; modality and VOI
    transformations are not applied. Nothing but pixels, size and photometric interpretation is read out.

    Returns:
        uint8 of shape (Rows, Columns), 0 black, 255 white; and the facts.

    Raises:
        ImageError: Multi-frame, colour, without pixels, broken, or in a transfer syntax without a decoder.
    """
    import pydicom

    try:
        dataset = pydicom.dcmread(path)
        if "PixelData" not in dataset:
            raise ImageError(Reason.NOT_AN_IMAGE, "a DICOM object without pixel data")
        _check_shape(dataset)
        stored = dataset.pixel_array
    except ImageError:
        raise
    except Exception as error:  # as in images.decode: hostile bytes raise anything
        raise named(error) from error
    bits = int(dataset.BitsStored)
    signed = int(dataset.PixelRepresentation) == 1
    values = stored.astype(np.int64) + (2 ** (bits - 1) if signed else 0)
    full_scale = 2**bits - 1
    if int(values.min()) < 0 or int(values.max()) > full_scale:
        raise ImageError(Reason.UNSUPPORTED, f"stored values do not fit BitsStored = {bits}")
    luminance = scale_to_8_bit(values, full_scale)
    steps = [f"divided_by_{full_scale}"]
    photometric = str(dataset.PhotometricInterpretation)
    if photometric == "MONOCHROME1":
        luminance = 255 - luminance
        steps.append("inverted")
    facts = ImageFacts(int(dataset.Columns), int(dataset.Rows), photometric, bits, "DICOM", tuple(steps))
    return luminance, facts


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
    if int(dataset.BitsStored) not in range(1, 17):
        raise ImageError(Reason.UNSUPPORTED, f"BitsStored = {dataset.BitsStored}; expected 1 to 16")
