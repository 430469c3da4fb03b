"""Draws DICOM files."""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, RLELossless


def save_dicom(
    path: Path | BinaryIO, pixels: NDArray[np.integer[Any]], compress: bool = False, **elements: Any
) -> None:
    """Write `pixels` as MONOCHROME2 that uses all bits of its type; `elements` replace or, with None, remove."""
    bits = pixels.dtype.itemsize * 8
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    values = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": "1.2.3",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelData": pixels.tobytes(),
    }
    for name, value in (values | elements).items():
        if value is not None:
            setattr(dataset, name, value)
    if compress:
        dataset.compress(RLELossless)
    dataset.save_as(path, enforce_file_format=True)
