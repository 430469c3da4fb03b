"""Can the class be told from the file's format, before decoding and in what reaches the network?"""

import os
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cxr.core.errors import DataError
from cxr.core.files import Track, untracked
from cxr.core.process import Map
from cxr.core.records import Audit, AuditRecord, Result
from cxr.dataset.audits.sources import Features, Groups, Labels, is_measurable, permutation_p, probe
from cxr.imaging.formats import HEAD_BYTES, recognise
from cxr.imaging.pixels import FORMATS

FORMAT_LEAK_HEADER = Audit("format_leak_header", "Format leakage, from headers alone", fixable=False)
FORMAT_LEAK_DECODED = Audit("format_leak_decoded", "Format leakage, after decoding", fixable=True)

HEADER_MARGIN = 0.10  # five standard errors of a balanced accuracy on 700 images
DECODED_MARGIN = 0.03  # four on 3,600
LARGEST_P = 0.01
TEXTS = ["format", "mode", "chunks"]
CONTENT = ["bytes", "bits_per_pixel"]  # depend on the picture itself: noise and detail pack badly
FEW = "A class has too few images for a cross-validation."


def format_leak_header(headers: pd.DataFrame, labels: Labels, groups: Groups, seed: int) -> AuditRecord:
    """Ask whether headers alone give the class away; see `cxr.dataset.audits.formats.read_headers`."""
    limit = (
        f"A balanced accuracy of more than chance + {HEADER_MARGIN:.2f} with p < {LARGEST_P} is a warning: "
        "what decodes the files must remove it."
    )
    if not is_measurable(labels, groups):
        return FORMAT_LEAK_HEADER.record(Result.NOT_MEASURABLE, FEW, limit, {})
    features, chance = header_features(headers), 1 / len(np.unique(labels))
    accuracy = probe(features, labels, groups, seed)
    stored = header_features(headers.drop(columns=CONTENT))
    without_size = probe(stored, labels, groups, seed)
    beyond = accuracy > chance + HEADER_MARGIN
    p = permutation_p(features, labels, groups, seed) if beyond else None
    leaks = p is not None and p < LARGEST_P
    found = (
        f"Headers alone give the class with a balanced accuracy of {accuracy:.3f}, without the size in bytes "
        f"{without_size:.3f}; chance is {chance:.3f}" + (f", p = {p:.3f}." if p is not None else ".")
    )
    values = {
        "balanced_accuracy": round(accuracy, 6),
        "balanced_accuracy_without_bytes": round(without_size, 6),
        "chance": round(chance, 6),
        "p": None if p is None else round(p, 6),
        "modes": _modes(headers, labels),
    }
    return FORMAT_LEAK_HEADER.record(Result.WARN if leaks else Result.PASS, found, limit, values)


def format_leak_decoded(arrays: Sequence[NDArray[Any]], labels: Labels, groups: Groups, seed: int) -> AuditRecord:
    """Ask the same of the arrays that reach the network: their shape, channels and number format must be one.

    Args:
        arrays: One an image, as the network would receive it: (side, side) or (side, side, channels).
        labels: Classes.
        groups: What stays together.
        seed: Of the folds.
    """
    limit = f"A balanced accuracy of more than chance + {DECODED_MARGIN:.2f} with p < {LARGEST_P} is a failure."
    if not is_measurable(labels, groups):
        return FORMAT_LEAK_DECODED.record(Result.NOT_MEASURABLE, FEW, limit, {})
    kinds = [_kind(array) for array in arrays]
    codes, chance = _codes(kinds), 1 / len(np.unique(labels))
    accuracy = probe(codes, labels, groups, seed)
    leaks = accuracy > chance + DECODED_MARGIN and permutation_p(codes, labels, groups, seed) < LARGEST_P
    table = [
        {"label": label, "array": kind, "images": count}
        for (label, kind), count in _counted(zip(labels.tolist(), map(_said, kinds), strict=True))
    ]
    found = (
        f"What reaches the network has {len(set(kinds))} format{'s' if len(set(kinds)) > 1 else ''} "
        f"({', '.join(sorted({_said(kind) for kind in kinds}))}); from it the class is given with a balanced accuracy "
        f"of {accuracy:.3f}, chance is {chance:.3f}."
    )
    values = {"balanced_accuracy": round(accuracy, 6), "chance": round(chance, 6), "arrays": table}
    return FORMAT_LEAK_DECODED.record(Result.FAIL if leaks else Result.PASS, found, limit, values)


def header_features(headers: pd.DataFrame) -> Features:
    """Return float64 (n, k): the columns as numbers, texts as the rank of their value."""
    columns = [
        pd.factorize(headers[name], sort=True)[0] if name in TEXTS else headers[name]
        for name in headers.columns
        if name != "file"
    ]
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def _kind(array: NDArray[Any]) -> tuple[tuple[int, ...], str, bool]:
    """Return shape, number format, and whether channels differ: all that a tensor's format can say."""
    differs = array.ndim > 2 and bool((array != array[..., :1]).any())
    return array.shape, array.dtype.str, differs


def _codes(kinds: Sequence[tuple[tuple[int, ...], str, bool]]) -> Features:
    order = {kind: number for number, kind in enumerate(sorted(set(kinds)))}
    rows = [
        (order[kind], len(kind[0]), kind[0][0], kind[0][1], kind[0][2] if len(kind[0]) > 2 else 1, kind[2])
        for kind in kinds
    ]
    return np.array(rows, np.float64)


def _said(kind: tuple[tuple[int, ...], str, bool]) -> str:
    shape, number, differs = kind
    return f"{np.dtype(number).name} {'x'.join(map(str, shape))}" + (", channels differ" if differs else "")


def _modes(headers: pd.DataFrame, labels: Labels) -> list[dict[str, str | int]]:
    names = (headers["bit_depth"].astype(str) + "-bit " + headers["mode"] + " " + headers["format"]).tolist()
    rows = _counted(zip(labels.tolist(), names, strict=True))
    return [{"label": label, "stored": name, "images": count} for (label, name), count in rows]


def _counted(pairs: Iterable[tuple[str, str]]) -> list[tuple[tuple[str, str], int]]:
    return sorted(Counter(pairs).items())


HEADERS_FILE = "headers.csv"
PNG_SIGNATURE = 8  # bytes

Header = dict[str, Any]  # of a row, by its column
HEADER_COLUMNS = [
    "file", "bytes", "format", "mode", "channels", "bit_depth", "width", "height", "bits_per_pixel", "chunks",
    "exif", "icc", "dpi", "text", "progressive",
]  # fmt: skip
# Bits a sample takes in the file, where Pillow's mode does not mean 8.
_BITS = {"1": 1, "I": 32, "F": 32}
CHUNK = 256  # files of one task


def read_headers(root: Path, files: Sequence[str], track: Track = untracked, each: Map = map) -> pd.DataFrame:
    """Read headers.

    Args:
        root: Of the release.
        files: POSIX paths relative to it.
        track: Shows the progress.
        each: From `cxr.core.process.worker_processes`.

    Returns:
        One row a file, in order, with the columns:
        bytes: size of the file;
        format, mode: as `cxr.imaging.decode` names them;
        channels, bit_depth: samples of a pixel, and bits that each takes in the file;
        width, height: pixels as stored;
        bits_per_pixel: 8 bytes / (width height), three decimals;
        chunks: names of a PNG's chunks in order, each once; empty for other formats;
        exif, icc, dpi, text, progressive: 1 where the file has such a thing, else 0.

    Raises:
        DataError: A header cannot be read.
    """
    tasks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    read = chain.from_iterable(each(partial(_read_task, root), tasks))
    return pd.DataFrame(list(track(read, "reading headers", len(files))), columns=HEADER_COLUMNS)


def _read_task(root: Path, files: Sequence[str]) -> list[Header]:
    return [_read(root / file) | {"file": file} for file in files]


def _read(path: Path) -> Header:
    try:
        with path.open("rb") as file:
            found = recognise(file.read(HEAD_BYTES))
        facts = _dicom(path) if found == "DICOM" else _picture(path)
    except Exception as error:  # header parsers raise almost anything on odd bytes
        raise DataError(f"{path} was decoded, but its header cannot be read again: {error}; run again") from error
    size = path.stat().st_size
    return facts | {"bytes": size, "bits_per_pixel": round(8 * size / (facts["width"] * facts["height"]), 3)}


def _picture(path: Path) -> Header:
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


def _dicom(path: Path) -> Header:
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
