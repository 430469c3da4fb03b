"""Can the class be told from the file's format, before decoding and in what reaches the network?"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.audit import Result, audit
from cxr.dataset.audits.probing import Features, Groups, Labels, is_measurable, permutation_p, probe
from cxr.files import JsonObject

HEADER_MARGIN = 0.10  # five standard errors of a balanced accuracy on 700 images
DECODED_MARGIN = 0.03  # four on 3,600
LARGEST_P = 0.01
TEXTS = ["format", "mode", "chunks"]
CONTENT = ["bytes", "bits_per_pixel"]  # depend on the picture itself: noise and detail pack badly
FEW = "A class has too few images for a cross-validation."


def format_leak_header(headers: pd.DataFrame, labels: Labels, groups: Groups, seed: int) -> JsonObject:
    """Ask whether headers alone give the class away; see `cxr.dataset.audits.headers.read_headers`."""
    limit = (
        f"A balanced accuracy of more than chance + {HEADER_MARGIN:.2f} with p < {LARGEST_P} is a warning: "
        "what decodes the files must remove it."
    )
    named: dict[str, Any] = {"id": "format_leak_header", "name": "Format leakage, from headers alone"}
    named |= {"limit": limit, "fixable": False}
    if not is_measurable(labels, groups):
        return audit(result=Result.NOT_MEASURABLE, found=FEW, values={}, **named)
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
    return audit(result=Result.WARN if leaks else Result.PASS, found=found, values=values, **named)


def format_leak_decoded(arrays: Sequence[NDArray[Any]], labels: Labels, groups: Groups, seed: int) -> JsonObject:
    """Ask the same of the arrays that reach the network: their shape, channels and number format must be one.

    Args:
        arrays: One an image, as the network would receive it: (side, side) or (side, side, channels).
        labels: Classes.
        groups: What stays together.
        seed: Of the folds.
    """
    limit = f"A balanced accuracy of more than chance + {DECODED_MARGIN:.2f} with p < {LARGEST_P} is a failure."
    named: dict[str, Any] = {"id": "format_leak_decoded", "name": "Format leakage, after decoding"}
    named |= {"limit": limit, "fixable": True}
    if not is_measurable(labels, groups):
        return audit(result=Result.NOT_MEASURABLE, found=FEW, values={}, **named)
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
    return audit(result=Result.FAIL if leaks else Result.PASS, found=found, values=values, **named)


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


def _modes(headers: pd.DataFrame, labels: Labels) -> list[JsonObject]:
    names = (headers["bit_depth"].astype(str) + "-bit " + headers["mode"] + " " + headers["format"]).tolist()
    rows = _counted(zip(labels.tolist(), names, strict=True))
    return [{"label": label, "stored": name, "images": count} for (label, name), count in rows]


def _counted(pairs: Iterable[tuple[str, str]]) -> list[tuple[tuple[str, str], int]]:
    return sorted(Counter(pairs).items())
