"""Do class activation maps depend on what was learned, and do they lie in the lungs? Verdicts on behaviour."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cxr.core.audit import Result, audit
from cxr.core.files import JsonObject
from cxr.core.image import Plane
from cxr.dataset.release import Masks
from cxr.evaluation.audits.robustness import NOT_BENIGN
from cxr.evaluation.reporting.format import percent, with_interval
from cxr.evaluation.stats.intervals import rounded
from cxr.inference.network import NETWORK_FILE, LinearHead, Maps, Network, class_maps, openvino_module
from cxr.inference.outputs import SavedOutputs


def randomised_network(xml: Path, seed: int) -> Network:
    """Return the exported network with each float constant of two or more dimensions drawn anew.

    These are the kernels of convolutions (with what batch normalisation was folded into them) and the head. A constant
    is replaced by normal numbers of its own mean and standard deviation, so that a scalar stays what it is.

    Args:
        xml: An exported network.
        seed: Of the numbers.
    """
    openvino = openvino_module()
    generator = np.random.default_rng(seed)
    model = openvino.Core().read_model(str(xml))
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or not node.get_element_type().is_real() or len(node.shape) < 2:
            continue
        values = np.array(node.data, np.float32)
        drawn = generator.normal(values.mean(), values.std(), values.shape).astype(np.float32)
        node.output(0).replace(openvino.opset13.constant(drawn).output(0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NETWORK_FILE
        openvino.save_model(model, str(path), compress_to_fp16=False)
        return Network(path)


WINDOW, TRUNCATE = 1.5, 3.5  # standard deviation in pixels; 11 x 11 pixels, as published
C1, C2 = 0.01**2, 0.03**2  # of a range of 1


def similarity(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the mean structural similarity of two maps with values from 0 to 1; 1 for equal maps.

    Args:
        first: (h, w).
        second: (h, w).
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    mean_a, mean_b = _blurred(a), _blurred(b)
    variance_a, variance_b = _blurred(a * a) - mean_a**2, _blurred(b * b) - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    structure = (2 * covariance + C2) / (variance_a + variance_b + C2)
    return float(np.mean(luminance * structure))


def _blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(gaussian_filter(values, WINDOW, truncate=TRUNCATE))


MOST_IMAGES = 200
VOID_ABOVE = 0.5


def attention(
    xml: Path, network: Network, head: LinearHead, test: SavedOutputs, planes: Plane, masks: Masks | None, seed: int
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


LEAST_DEPENDENCE = 0.5
LARGEST_FALL = 0.05
TEXTURE_ABOVE_CHANCE = 0.15
LEAST_ENRICHMENT = 1.0


def judge_dependence(model: str, dependence: JsonObject) -> JsonObject:
    """Return the audit `lung_dependence`, see `cxr.evaluation.audits.robustness.dependence`."""
    share = dependence["lung_dependence"]
    where = "the boxes around the lung masks" if dependence["regions"] == "masks" else "one fixed box around the lungs"
    if share is None:
        result, found = Result.NOT_MEASURABLE, f"{model} is no better than chance on the whole pictures."
    else:
        result = Result.WARN if share < LEAST_DEPENDENCE else Result.PASS
        found = (
            f"{model} loses {percent(share)} of what it is above chance when {where} is blacked out: balanced accuracy "
            f"{with_interval(dependence['full'])} whole, {with_interval(dependence['lungs_blacked'])} without, "
            f"{with_interval(dependence['border_only'])} from the border, {with_interval(dependence['lungs_only'])} "
            f"from the lungs alone."
        )
    return audit(
        "lung_dependence",
        "Dependence on the lungs",
        result,
        found,
        f"A warning below {percent(LEAST_DEPENDENCE)}; a high value proves less, for no training picture had a black "
        "box.",
        fixable=False,
        values=dependence,
        model=model,
    )


def judge_robustness(model: str, rows: Sequence[JsonObject]) -> JsonObject:
    """Return the audit `robustness`, see `cxr.evaluation.audits.robustness.measure_robustness`."""
    benign = [row for row in rows if row["perturbation"] not in NOT_BENIGN]
    worst, restless = min(benign, key=lambda row: row["change"]), max(benign, key=lambda row: row["flips"])
    return audit(
        "robustness",
        "Robustness to benign changes",
        Result.WARN if worst["change"] < -LARGEST_FALL else Result.PASS,
        f"The worst of {len(benign)} benign changes for {model} is: {worst['text']}, by {100 * worst['change']:+.1f} "
        f"points of balanced accuracy; most answers, {percent(restless['flips'])}, change with: {restless['text']}.",
        f"A warning if balanced accuracy falls by more than {100 * LARGEST_FALL:.0f} points; inversion and mirroring "
        "are shown and not judged.",
        fixable=False,
        values={row["perturbation"]: {key: row[key] for key in ("change", "flips")} for row in rows},
        model=model,
    )


def judge_texture(model: str, rows: Sequence[JsonObject], chance: float) -> JsonObject:
    """Return the audit `texture`, see `cxr.evaluation.audits.robustness.shuffle`."""
    finest = max(rows, key=lambda row: row["grid"])
    grid, reached, limit = finest["grid"], finest["balanced_accuracy"], chance + TEXTURE_ABOVE_CHANCE
    return audit(
        "texture",
        "Patch shuffling",
        Result.WARN if reached > limit else Result.PASS,
        f"On pictures cut into {grid} x {grid} patches and shuffled, {model} reaches {percent(reached)} balanced "
        f"accuracy; chance is {percent(chance)}.",
        f"A warning above {percent(limit)}: then texture is enough, and anatomy is not needed.",
        fixable=False,
        values={f"grid_{row['grid']}": row["balanced_accuracy"] for row in rows},
        model=model,
    )


def judge_attention(model: str, cam: JsonObject) -> JsonObject:
    """Return the audit `attention`, see `cxr.evaluation.audits.saliency.attention`."""
    inside = cam["inside"] or []
    outside = [row for row in inside if row["n"] and row["enrichment_median"] < LEAST_ENRICHMENT]
    result = Result.WARN if cam["void"] or outside else Result.PASS
    found = (
        f"The maps of {model}, {' x '.join(map(str, cam['cells']))} cells, and those of the same network with random "
        f"weights have a structural similarity of {cam['similarity_randomised'] or 0:.3f}"
    )
    if cam["void"] is None:
        result, found = Result.NOT_MEASURABLE, f"No map of {model} can be compared with one of random weights"
    elif cam["void"]:
        found += ": they are void, for they do not show what was learned"
    medians = ", ".join(f"{row['enrichment_median']} for {row['class']}" for row in inside)
    found += (
        f"; energy in the lungs by area of the lungs, median: {medians}." if inside else "; there are no lung masks."
    )
    return audit(
        "attention",
        "Class activation maps",
        result,
        found,
        f"A warning if the similarity is above {VOID_ABOVE}, or, with lung masks, if a class's median of energy by "
        f"area is below {LEAST_ENRICHMENT}.",
        fixable=False,
        values=cam,
        model=model,
    )
