"""Whether class activation maps depend on what was learned, and whether they lie in the lungs."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.cam import Maps, class_maps
from cxr.evaluation.audits.answers import Masks
from cxr.evaluation.audits.randomised import randomised_network
from cxr.evaluation.audits.ssim import similarity
from cxr.evaluation.outputs import SavedOutputs
from cxr.evaluation.stats.intervals import rounded
from cxr.files import JsonObject
from cxr.head import Head
from cxr.network import Network
from cxr.planes import Plane

MOST_IMAGES = 200
VOID_ABOVE = 0.5


def attention(
    xml: Path, network: Network, head: Head, test: SavedOutputs, planes: Plane, masks: Masks | None, seed: int
) -> JsonObject:
    """Compare maps with those of a network of random weights, and their energy inside the lungs with the lungs' area.

    Maps are of the predicted class. `void` says that the maps hardly change when the weights do, so that they show the
    architecture and not what was learned; it and the similarity are null where no map can be compared. `cells` is the
    size of the feature map: two maps of 2 x 2 cells are similar whatever was learned.

    Args:
        xml: The exported network.
        network: The same, compiled.
        head: Its last layer.
        test: Its outputs on the test split.
        planes: The test images, uint8 (n, side, side); at most 200, evenly taken, are compared.
        masks: Their lungs; None where the release has no masks.
        seed: Of the random weights.
    """
    predicted = np.asarray(test.logits.argmax(axis=1), np.int64)
    some = np.unique(np.linspace(0, len(test) - 1, min(len(test), MOST_IMAGES)).round().astype(np.int64))
    trained = class_maps(network, head, planes[some], predicted[some])
    drawn = class_maps(randomised_network(xml, seed), head, planes[some], predicted[some])
    similar = mean_similarity(trained, drawn)
    inside = None
    if masks is not None and masks.any():
        inside = enrichment(test, class_maps(network, head, planes, predicted), masks)
    return {
        "similarity_randomised": rounded(similar),
        "void": None if similar is None else similar > VOID_ABOVE,
        "cells": list(network.predict(planes[:1]).feature_map.shape[1:3]),
        "inside": inside,
    }


def mean_similarity(trained: Maps, drawn: Maps) -> float | None:
    """Return the mean structural similarity of (n, side, side) maps; blank and not finite ones do not count."""
    comparable = (trained.max(axis=(1, 2)) > 0) & np.isfinite(drawn).all(axis=(1, 2))
    values = [similarity(first, second) for first, second in zip(trained[comparable], drawn[comparable], strict=True)]
    return float(np.mean(values)) if values else None


def enrichment(test: SavedOutputs, maps: Maps, masks: Masks) -> list[JsonObject]:
    """Return by true class the median of (share of energy inside the lungs) / (share of area): 1 is no preference.

    Images without a mask and blank maps do not count.
    """
    energy, area = maps.sum(axis=(1, 2), dtype=np.float64), masks.mean(axis=(1, 2))
    counted = (energy > 0) & (area > 0)
    inside = (maps * masks).sum(axis=(1, 2), dtype=np.float64)
    ratio: NDArray[np.float64] = np.divide(inside, energy * area, out=np.zeros(len(maps)), where=counted)
    rows = []
    for number, name in enumerate(test.classes):
        values = ratio[counted & (test.truth == number)]
        median = float(np.median(values)) if len(values) else None
        rows.append({"class": name, "n": len(values), "enrichment_median": rounded(median)})
    return rows
