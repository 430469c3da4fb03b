"""Exact and near duplicates, found from pixels alone, and the groups that must stay on one side of a split."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import imagehash
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cxr.core.image import Plane, to_plane

HASH_SIZE = 16  # 256 bits: at 64 bits a 2 % crop is as far away as an unrelated radiograph
CORRELATION_SIDE = 64
BLOCK = 1024  # rows compared at a time, so that memory grows with n and not with n squared
PAIRS = 256  # candidates correlated at a time: their vectors stay in the processor's cache

Pairs = NDArray[np.int64]
Kind = TypeVar("Kind", np.uint8, np.float32)


def near_duplicate_pairs(planes: Plane, max_distance: int, min_correlation: float) -> Pairs:
    """Find pairs of planes that show the same picture after recompression, re-exposure, a small shift or mirroring.

    A perceptual hash of 256 bits (Zauner 2010, as in imagehash.phash) proposes pairs; normalised
    cross-correlation at 64 x 64 pixels confirms them, because radiographs resemble each other. Both are taken with
    the second plane as it is and mirrored left to right.

    Args:
        planes: uint8 (n, side, side).
        max_distance: Largest Hamming distance of a candidate, in bits of 256.
        min_correlation: Smallest correlation of a confirmed pair, -1..1.

    Returns:
        int64 (m, 2), each row i < j, in ascending order.
    """
    bits, vectors = perceptual_hashes(planes), _standardised(planes)
    pictures = vectors.reshape(-1, CORRELATION_SIDE, CORRELATION_SIDE)
    turned = (perceptual_hashes(_mirrored(planes)), _mirrored(pictures).reshape(vectors.shape))
    found = []
    for other_bits, other_vectors in ((bits, vectors), turned):
        candidates = _close_hashes(bits, other_bits, max_distance)
        found.append(candidates[_correlations(vectors, other_vectors, candidates) >= min_correlation])
    return np.unique(np.concatenate(found), axis=0)


def nearest_distances(planes: Plane) -> NDArray[np.int64]:
    """Return int64 (n,): bits of 256 in which each plane's hash differs from the nearest other's, mirrored or not.

    256 where there is no other.
    """
    bits = perceptual_hashes(planes)
    nearest = np.full(len(bits), bits.shape[1], np.int64)
    for other in (bits, perceptual_hashes(_mirrored(planes))):
        for start, distance in _distances(bits, other):
            rows = np.arange(len(distance))
            distance[rows, rows] = bits.shape[1]  # to itself
            end = start + len(distance)
            nearest[start:end] = np.minimum(nearest[start:end], distance.min(axis=1))
            nearest[start:] = np.minimum(nearest[start:], distance.min(axis=0))
    return nearest


def exact_duplicate_pairs(digests: Sequence[str]) -> Pairs:
    """Return int64 (m, 2): each image with the first that has the same digest."""
    first: dict[str, int] = {}
    pairs = [(first[digest], i) for i, digest in enumerate(digests) if first.setdefault(digest, i) != i]
    return np.array(pairs, np.int64).reshape(-1, 2)


def group_numbers(count: int, pairs: Pairs) -> NDArray[np.int64]:
    """Return int64 (count,): for each item the smallest index that a chain of pairs connects it to."""
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, component = connected_components(links, directed=False)
    smallest = np.full(count, count, np.int64)
    np.minimum.at(smallest, component, np.arange(count))
    return smallest[component]


def perceptual_hashes(planes: Plane) -> NDArray[np.bool_]:
    """Return bool (n, 256)."""
    return np.stack([imagehash.phash(Image.fromarray(plane), HASH_SIZE).hash.ravel() for plane in planes])


def _mirrored(pictures: NDArray[Kind]) -> NDArray[Kind]:
    return np.ascontiguousarray(pictures[:, :, ::-1])


def _correlations(vectors: NDArray[np.float32], others: NDArray[np.float32], pairs: Pairs) -> NDArray[np.float32]:
    """Return float32 (m,): of each pair the product of its row of `vectors` and its row of `others`."""
    products = np.empty(len(pairs), np.float32)
    # Gathered at once, the vectors of thirty thousand candidates are a gigabyte, and most of the time goes on that.
    for start in range(0, len(pairs), PAIRS):
        first, second = pairs[start : start + PAIRS].T
        products[start : start + PAIRS] = np.einsum("ij,ij->i", vectors[first], others[second])
    return products


def _close_hashes(bits: NDArray[np.bool_], other: NDArray[np.bool_], max_distance: int) -> Pairs:
    found = []
    for start, distance in _distances(bits, other):
        rows, columns = np.nonzero(np.triu(distance <= max_distance, k=1))
        found.append(np.stack([rows + start, columns + start], axis=1))
    return np.concatenate(found)


def _distances(bits: NDArray[np.bool_], other: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield for blocks of rows their start and their Hamming distances to every row of `other` from there on."""
    # For vectors of +-1, the Hamming distance is (bits - dot product) / 2: one matrix product a block.
    signs, others = (np.where(hashes, np.float32(1), np.float32(-1)) for hashes in (bits, other))
    for start in range(0, len(signs), BLOCK):
        yield start, (bits.shape[1] - signs[start : start + BLOCK] @ others[start:].T) / 2


def _standardised(planes: Plane) -> NDArray[np.float32]:
    small = np.stack([to_plane(plane, CORRELATION_SIDE) for plane in planes]).astype(np.float32)
    vectors = small.reshape(len(small), -1)
    vectors -= vectors.mean(axis=1, keepdims=True)
    # A flat image has no picture to compare: its vector stays zero and matches nothing.
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6))


def leakage_groups(table: pd.DataFrame) -> NDArray[np.int64]:
    """Return int64 (rows,): equal for rows that share a duplicate group or a known patient, also by a chain."""
    known = table["patient"].to_numpy() != ""
    keys = [
        f"patient {name}" if is_known else f"row {i}"
        for i, (name, is_known) in enumerate(zip(table["patient"], known, strict=True))
    ]
    same_patient = exact_duplicate_pairs(keys)
    same_picture = exact_duplicate_pairs([str(group) for group in table["duplicate_group"]])
    return group_numbers(len(table), np.concatenate([same_patient, same_picture]))
