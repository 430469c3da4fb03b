"""Exact and near duplicates: images that show the same picture, found from their pixels alone."""

from collections.abc import Sequence

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cxr.planes import Plane, to_plane

HASH_SIZE = 16  # 256 bits: at 64 bits a 2 % crop is as far away as an unrelated radiograph
CORRELATION_SIDE = 64
BLOCK = 1024  # rows compared at a time, so that memory grows with n and not with n squared

Pairs = NDArray[np.int64]


def near_duplicate_pairs(planes: Plane, max_distance: int, min_correlation: float) -> Pairs:
    """Find pairs of planes that show the same picture after recompression, re-exposure or a small shift.

    A perceptual hash of 256 bits (Zauner 2010, as in imagehash.phash) proposes pairs; normalised
    cross-correlation at 64 x 64 pixels confirms them, because radiographs resemble each other.

    Args:
        planes: uint8 (n, side, side).
        max_distance: Largest Hamming distance of a candidate, in bits of 256.
        min_correlation: Smallest correlation of a confirmed pair, -1..1.

    Returns:
        int64 (m, 2), each row i < j, in ascending order.
    """
    candidates = _close_hashes(perceptual_hashes(planes), max_distance)
    vectors = _standardised(planes)
    correlations = np.einsum("ij,ij->i", vectors[candidates[:, 0]], vectors[candidates[:, 1]])
    return np.asarray(candidates[correlations >= min_correlation])


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


def _close_hashes(bits: NDArray[np.bool_], max_distance: int) -> Pairs:
    # For vectors of +-1, the Hamming distance is (bits - dot product) / 2: one matrix product a block.
    signs = np.where(bits, np.float32(1), np.float32(-1))
    width = bits.shape[1]
    found = []
    for start in range(0, len(signs), BLOCK):
        block = signs[start : start + BLOCK]
        distance = (width - block @ signs[start:].T) / 2
        rows, columns = np.nonzero(np.triu(distance <= max_distance, k=1))
        found.append(np.stack([rows + start, columns + start], axis=1))
    return np.concatenate(found)


def _standardised(planes: Plane) -> NDArray[np.float32]:
    small = np.stack([to_plane(plane, CORRELATION_SIDE) for plane in planes]).astype(np.float32)
    vectors = small.reshape(len(small), -1)
    vectors -= vectors.mean(axis=1, keepdims=True)
    # A flat image has no picture to compare: its vector stays zero and matches nothing.
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6))
