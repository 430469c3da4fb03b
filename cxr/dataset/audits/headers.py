"""What an image file says of itself before a single pixel is decoded."""

import os
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from cxr.errors import DataError
from cxr.formats import HEAD_BYTES, recognise
from cxr.images import FORMATS

HEADERS_FILE = "headers.csv"
PNG_SIGNATURE = 8  # bytes
HEADER_COLUMNS = [
    "file", "bytes", "format", "mode", "channels", "bit_depth", "width", "height", "bits_per_pixel", "chunks",
    "exif", "icc", "dpi", "text", "progressive",
]  # fmt: skip
# Bits a sample takes in the file, where Pillow's mode does not mean 8.
_BITS = {"1": 1, "I": 32, "F": 32}


def read_headers(root: Path, files: Sequence[str]) -> pd.DataFrame:
    """Read the header of each of `files`, POSIX paths relative to `root`.

    Returns:
        One row a file, in order, with the columns:
        bytes: size of the file;
        format, mode: as `cxr.images` names them;
        channels, bit_depth: samples of a pixel, and bits that each takes in the file;
        width, height: pixels as stored;
        bits_per_pixel: 8 bytes / (width height), three decimals;
        chunks: names of a PNG's chunks in order, each once; empty for other formats;
        exif, icc, dpi, text, progressive: 1 where the file has such a thing, else 0.

    Raises:
        DataError: A header cannot be read.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(lambda file: _read(root / file) | {"file": file}, files))
    return pd.DataFrame(rows, columns=HEADER_COLUMNS)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = recognise(file.read(HEAD_BYTES))
        facts = _dicom(path) if found == "DICOM" else _picture(path)
    except Exception as error:  # header parsers raise almost anything on odd bytes
        raise DataError(f"{path} was decoded, but its header cannot be read again: {error}; run again") from error
    size = path.stat().st_size
    return facts | {"bytes": size, "bits_per_pixel": round(8 * size / (facts["width"] * facts["height"]), 3)}


def _picture(path: Path) -> dict[str, Any]:
    with Image.open(path, formats=FORMATS) as image:
        info = image.info
        chunks = _png_chunks(path) if image.format == "PNG" else []
        return {
            "format": image.format,
            "mode": image.mode,
            "channels": len(image.getbands()),
            "bit_depth": _png_depth(path) if chunks else _BITS.get(image.mode, 16 if "16" in image.mode else 8),
            "width": image.width,
            "height": image.height,
            "chunks": " ".join(dict.fromkeys(chunks)),
            "exif": int("exif" in info or "eXIf" in chunks),
            "icc": int("icc_profile" in info),
            "dpi": int("dpi" in info or "jfif_density" in info),
            "text": int(any(name in ("tEXt", "zTXt", "iTXt") for name in chunks) or "comment" in info),
            "progressive": int(bool(info.get("progressive") or info.get("interlace"))),
        }


def _dicom(path: Path) -> dict[str, Any]:
    from pydicom import dcmread

    data = dcmread(path, stop_before_pixels=True, force=True)
    return {
        "format": "DICOM",
        "mode": str(data.PhotometricInterpretation),
        "channels": int(data.get("SamplesPerPixel", 1)),
        "bit_depth": int(data.BitsStored),
        "width": int(data.Columns),
        "height": int(data.Rows),
        "chunks": "",
    } | dict.fromkeys(("exif", "icc", "dpi", "text", "progressive"), 0)


def _png_chunks(path: Path) -> list[str]:
    """Return the names of all chunks up to IEND, in order; their content is skipped."""
    names: list[str] = []
    with path.open("rb") as file:
        file.seek(PNG_SIGNATURE)
        while len(head := file.read(8)) == 8 and (not names or names[-1] != "IEND"):
            length, name = struct.unpack(">I4s", head)
            names.append(name.decode("latin-1"))
            file.seek(length + 4, os.SEEK_CUR)
    return names


def _png_depth(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(25)[24]  # of IHDR, which comes first (PNG 1.2, 4.1.1)
