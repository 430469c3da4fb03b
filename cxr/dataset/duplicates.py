"""Exact and near duplicates, found from pixels alone: groups that must stay on one side of a split, and audits.

The perceptual hash is 256 bits that stay nearly the same when a picture is stored or exposed otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dct

from cxr.core.files import Track, untracked
from cxr.core.image import Plane, to_plane
from cxr.core.records import Audit, AuditRecord, Result, parts

if TYPE_CHECKING:
    import pandas as pd

SIDE = 16  # of the low frequencies: at 8, a 2 % crop is as far away as an unrelated radiograph
BITS = SIDE * SIDE
REDUCED = 64  # pixels of a side that the cosine transform is taken of


def perceptual_hashes(planes: Plane) -> NDArray[np.bool_]:
    """Return bool (n, 2, 256): the hash of each plane, and that of its mirror image (Zauner 2010).

    Bit for bit that of `imagehash.phash(image, hash_size=16)`, which takes one picture at a time.

    Args:
        planes: uint8 (n, side, side).
    """
    reduced = np.zeros((len(planes), REDUCED, REDUCED), np.float64)
    for row, plane in enumerate(planes):
        reduced[row] = np.asarray(Image.fromarray(plane).resize((REDUCED, REDUCED), Image.Resampling.LANCZOS))
    # The filter is symmetric: the mirror image of the reduced picture is the mirrored picture, reduced.
    return np.stack([_hashes(reduced), _hashes(np.ascontiguousarray(reduced[:, :, ::-1]))], axis=1)


def _hashes(reduced: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell for each of the lowest frequencies whether it is above their median."""
    low = dct(dct(reduced, axis=1)[:, :SIDE], axis=2)[:, :, :SIDE].reshape(len(reduced), BITS)
    above: NDArray[np.bool_] = low > np.median(low, axis=1, keepdims=True)
    return above


CORRELATION_SIDE = 64
BLOCK = 256  # hashes compared at a time, so that memory grows with n and not with n squared
PAIRS = 256  # candidates correlated at a time: their vectors stay in the processor's cache

Pairs = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike n pictures are.

    Attributes:
        pairs: int64 (m, 2), each row i < j, in ascending order: the same picture after recompression, re-exposure, a
            small shift or mirroring.
        nearest: int64 (n,), bits of 256 in which each hash differs from the nearest other's, mirrored or not; 256
            where there is no other.
    """

    pairs: Pairs
    nearest: NDArray[np.int64]


def compare_pictures(
    planes: Plane, hashes: NDArray[np.bool_], max_distance: int, min_correlation: float, track: Track = untracked
) -> Likeness:
    """Find pairs of planes that show the same picture, and each plane's distance to the nearest other.

    A perceptual hash proposes pairs; normalised cross-correlation at 64 x 64 pixels confirms them, because radiographs
    resemble each other. Both are taken with the second plane as it is and mirrored left to right.

    Args:
        planes: uint8 (n, side, side).
        hashes: bool (n, 2, 256), as `perceptual_hashes` gives them of the planes.
        max_distance: Largest Hamming distance of a candidate, in bits of 256.
        min_correlation: Smallest correlation of a confirmed pair, -1..1.
        track: Shows the progress.
    """
    # For vectors of +-1, the Hamming distance is (bits - dot product) / 2: one matrix product a block.
    signs = np.where(hashes, np.float32(1), np.float32(-1))
    agreement = np.full(len(planes), -BITS, np.float32)  # the largest dot product with another
    reduced = _Reduced(planes)
    found = [np.zeros((0, 2), np.int64)]
    for start in track(range(0, len(planes), BLOCK), "comparing pictures", -(-len(planes) // BLOCK)):
        for mirrored in (0, 1):
            products = _products(signs[start : start + BLOCK, 0], signs[start:, mirrored])
            _raise_to(agreement[start : start + BLOCK], products.max(axis=1))
            _raise_to(agreement[start:], products.max(axis=0))
            if mirrored:  # the hash of a mirror image is not the mirrored hash: the other way round it may be nearer
                turned = _products(signs[start : start + BLOCK, 1], signs[start:, 0])
                _raise_to(agreement[start : start + BLOCK], turned.max(axis=1))
                _raise_to(agreement[start:], turned.max(axis=0))
            rows, columns = np.nonzero(products >= BITS - 2 * max_distance)
            candidates = np.stack([rows, columns], axis=1)[rows < columns] + start
            found.append(candidates[reduced.correlations(candidates, bool(mirrored)) >= min_correlation])
    return Likeness(np.unique(np.concatenate(found), axis=0), ((BITS - agreement) / 2).astype(np.int64))


def _products(signs: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the dot products of the first rows of a stack with all of it, the least there is for each with itself."""
    products = signs @ others.T
    np.fill_diagonal(products, -BITS)
    return products


def _raise_to(values: NDArray[np.float32], others: NDArray[np.float32]) -> None:
    np.maximum(values, others, out=values)


class _Reduced:
    """Planes at 64 x 64 pixels, each made when it is first asked for: most are no candidates."""

    def __init__(self, planes: Plane) -> None:
        self._planes = planes
        self._small = np.zeros((len(planes), CORRELATION_SIDE, CORRELATION_SIDE), np.uint8)
        self._is_made = np.zeros(len(planes), np.bool_)

    def correlations(self, pairs: Pairs, mirrored: bool) -> NDArray[np.float32]:
        """Return float32 (m,): of each pair the correlation of its planes, the second one mirrored or not."""
        products = np.empty(len(pairs), np.float32)
        for start in range(0, len(pairs), PAIRS):
            first, second = (self._standardised(rows) for rows in pairs[start : start + PAIRS].T)
            second = second[:, :, ::-1] if mirrored else second
            flat = (one.reshape(len(one), -1) for one in (first, second))
            products[start : start + PAIRS] = np.einsum("ij,ij->i", *flat)
        return products

    def _standardised(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        for row in np.unique(rows[~self._is_made[rows]]):
            self._small[row] = to_plane(self._planes[row], CORRELATION_SIDE)
        self._is_made[rows] = True
        vectors = self._small[rows].reshape(len(rows), -1).astype(np.float32)
        vectors -= vectors.mean(axis=1, keepdims=True)
        # A flat image has no picture to compare: its vector stays zero and matches nothing.
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-6))
        return vectors.reshape(-1, CORRELATION_SIDE, CORRELATION_SIDE)


def exact_duplicate_pairs(digests: Sequence[str]) -> Pairs:
    """Return int64 (m, 2): each image with the first that has the same digest."""
    first: dict[str, int] = {}
    pairs = [(first[digest], i) for i, digest in enumerate(digests) if first.setdefault(digest, i) != i]
    return np.array(pairs, np.int64).reshape(-1, 2)


def group_numbers(count: int, pairs: Pairs) -> NDArray[np.int64]:
    """Return int64 (count,): for each item the smallest index that a chain of pairs connects it to."""
    # Here, so that the processes which only hash pictures do without.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, component = connected_components(links, directed=False)
    smallest = np.full(count, count, np.int64)
    np.minimum.at(smallest, component, np.arange(count))
    return smallest[component]


def leakage_groups(table: "pd.DataFrame") -> NDArray[np.int64]:
    """Return int64 (rows,): equal for rows that share a duplicate group or a known patient, also by a chain."""
    known = table["patient"].to_numpy() != ""
    keys = [
        f"patient {name}" if is_known else f"row {i}"
        for i, (name, is_known) in enumerate(zip(table["patient"], known, strict=True))
    ]
    same_patient = exact_duplicate_pairs(keys)
    same_picture = exact_duplicate_pairs([str(group) for group in table["duplicate_group"]])
    return group_numbers(len(table), np.concatenate([same_patient, same_picture]))


EXACT_DUPLICATES = Audit("exact_duplicates", "Exact duplicates", fixable=False)
NEAR_DUPLICATES = Audit("near_duplicates", "Near duplicates", fixable=False)
LABEL_CONFLICTS = Audit("label_conflicts", "One picture under two labels", fixable=True)

SHOWN = 20  # groups listed in a record
BAR_BITS = 13  # of a bar of the histogram: of 256 bits, unrelated radiographs lie around 70


@dataclass(frozen=True, slots=True)
class CopyCounts:
    """Files that are copies of others.

    Attributes:
        groups: Of two files or more.
        files: In them.
        redundant: Files beyond one a group.
        largest_group: Its files.
        across_classes: Groups with files of two classes or more.
        files_by_class: In such groups, classes sorted.
    """

    groups: int
    files: int
    redundant: int
    largest_group: int
    across_classes: int
    files_by_class: Mapping[str, int]


def exact_duplicates(table: "pd.DataFrame") -> AuditRecord:
    """Count files with equal decoded pixels."""
    copies = _counted(table, "pixels_sha256")
    return EXACT_DUPLICATES.record(
        Result.WARN if copies.groups else Result.PASS,
        _sentence("have equal pixels with another", copies),
        "Any is a warning; balance keeps one file of each group.",
        copies,
    )


def near_duplicates(table: "pd.DataFrame", nearest: NDArray[np.int64]) -> AuditRecord:
    """Count files that show the same picture, exact copies included.

    Args:
        table: A manifest.
        nearest: int64 (n,), see `Likeness`.
    """
    copies = _counted(table, "duplicate_group")
    edges = np.arange(0, 257, BAR_BITS)
    counts, _ = np.histogram(nearest, [*edges, 257])
    last = int(np.flatnonzero(counts).max()) + 1 if counts.any() else 0
    bars = [{"from": int(edge), "images": int(count)} for edge, count in zip(edges[:last], counts[:last], strict=True)]
    return NEAR_DUPLICATES.record(
        Result.WARN if copies.groups else Result.PASS,
        _sentence("show the same picture as another, exact copies included and mirrored ones searched for", copies),
        "Any is a warning; split keeps each group on one side.",
        {**parts(copies), "nearest_bits": bars},
    )


def label_conflicts(table: "pd.DataFrame") -> AuditRecord:
    """Look for one picture under two labels."""
    labels = table.groupby("duplicate_group", sort=True)["label"].nunique()
    groups = labels[labels > 1].index
    listed = [
        dict(zip(rows["file"], rows["label"], strict=True))
        for _, rows in table[table["duplicate_group"].isin(groups[:SHOWN])].groupby("duplicate_group", sort=True)
    ]
    limit = "Any picture under two labels is a failure: remove the wrong file from data/."
    example = f", e.g. {' and '.join(f'{file} ({label})' for file, label in listed[0].items())}" if listed else ""
    found = f"{_pictures(len(groups))} under two labels{example}."
    result = Result.FAIL if len(groups) else Result.PASS
    return LABEL_CONFLICTS.record(result, found, limit, {"groups": len(groups), "files": listed})


def _counted(table: "pd.DataFrame", column: str) -> CopyCounts:
    groups = table.groupby(column, sort=True)["label"].agg(["size", "nunique"])
    several = groups[groups["size"] > 1]
    inside = table[table[column].isin(several.index)]
    return CopyCounts(
        groups=len(several),
        files=int(several["size"].sum()),
        redundant=int(several["size"].sum() - len(several)),
        largest_group=int(groups["size"].max()),
        across_classes=int((several["nunique"] > 1).sum()),
        files_by_class={str(k): int(v) for k, v in inside["label"].value_counts().sort_index().items()},
    )


def _sentence(what: str, copies: CopyCounts) -> str:
    groups = f"{copies.groups} group{'' if copies.groups == 1 else 's'}"
    return (
        f"{copies.files} files in {groups} {what}; redundant files: {copies.redundant}, groups that span classes: "
        f"{copies.across_classes}."
    )


def _pictures(count: int) -> str:
    return "One picture is" if count == 1 else f"{count} pictures are"
