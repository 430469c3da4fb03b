"""Shortcut baselines that a network must rise above: overall grey, the border, the shape of masks, the source alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from cxr.core.audit import Result, audit
from cxr.core.files import JsonObject
from cxr.dataset.appearance import Features
from cxr.dataset.release import Masks
from cxr.evaluation.reporting.format import percent, points, with_interval
from cxr.evaluation.stats.intervals import Labels, Score, balanced_accuracy, draw_weights, rounded, score
from cxr.inference.outputs import SavedOutputs

TREES = 100


def forest(features: NDArray[np.float64], truth: Labels, train: NDArray[np.bool_], seed: int) -> Labels:
    """Fit a random forest of 100 trees on the rows that `train` marks and return its answers on the others.

    Args:
        features: float64 (n, d).
        truth: int64 (n,), class numbers.
        train: bool (n,).
        seed: Of the trees.

    Returns:
        int64 (rows not in train,).
    """
    trees = RandomForestClassifier(TREES, random_state=seed, n_jobs=1)
    trees.fit(features[train], truth[train])
    return np.asarray(trees.predict(features[~train]), np.int64)


def majority_by_source(source: NDArray[np.str_], truth: Labels, train: NDArray[np.bool_]) -> Labels:
    """Answer with the commonest training class of the image's source, never having seen the image.

    Equally common classes: the first. A source that no training image has gets the commonest class of all.

    Args:
        source: str (n,).
        truth: int64 (n,), class numbers.
        train: bool (n,).

    Returns:
        int64 (rows not in train,).
    """
    of_all = np.bincount(truth[train]).argmax()
    commonest = {
        name: np.bincount(truth[train & (source == name)]).argmax() for name in np.unique(source[train]).tolist()
    }
    return np.array([commonest.get(name, of_all) for name in source[~train].tolist()], np.int64)


@dataclass(frozen=True, slots=True)
class ShortcutBaseline:
    """What the probes answer on the test split, fitted on the train split; int64 (n,) each.

    Attributes:
        truth: Class numbers.
        floor: Of a random forest on the 22 numbers of overall appearance.
        frame: Of the same on the 80 numbers of the frame.
        oracle: Of the commonest class of the image's source; None where no source is known.
    """

    truth: Labels
    floor: Labels
    frame: Labels
    oracle: Labels | None

    @property
    def chance(self) -> float:
        """Balanced accuracy of guessing."""
        return 1 / len(np.unique(self.truth))


def fit_shortcut_baseline(outputs: SavedOutputs, looks: Features, borders: Features, seed: int) -> ShortcutBaseline:
    """Fit the probes on the train split and answer the test split.

    Args:
        outputs: Of any network: only truth, split and source are read.
        looks: float64 (n, 22), see `cxr.dataset.appearance.appearance_features`.
        borders: float64 (n, 80), see `cxr.dataset.appearance.border_features`.
        seed: Of the forests.

    Raises:
        DataError: There is no train or no test split.
    """
    train, test = outputs.of("train"), outputs.of("test")
    used = np.isin(outputs.split, ("train", "test"))
    fitted, truth, source = outputs.split[used] == "train", outputs.truth[used], outputs.source[used]
    return ShortcutBaseline(
        truth=test.truth,
        floor=forest(looks[used], truth, fitted, seed),
        frame=forest(borders[used], truth, fitted, seed),
        oracle=majority_by_source(source, truth, fitted) if (train.source != "").any() else None,
    )


def describe_baseline(floor: ShortcutBaseline, weights: NDArray[np.float64]) -> JsonObject:
    """Return floor and frame (balanced accuracy with intervals), oracle (accuracy, null where unknown) and chance.

    Args:
        floor: The probes' answers.
        weights: Of the bootstrap, float64 (draws, n), see `draw_weights`.
    """
    oracle = floor.oracle
    return {
        "floor": score(floor.truth, floor.floor, weights).interval,
        "frame": score(floor.truth, floor.frame, weights).interval,
        "oracle": None if oracle is None else rounded(float(np.mean(oracle == floor.truth))),
        "oracle_balanced_accuracy": None if oracle is None else rounded(balanced_accuracy(floor.truth, oracle)),
        "chance": rounded(floor.chance),
    }


def gain_over_baseline(predicted: Labels, floor: ShortcutBaseline, weights: NDArray[np.float64]) -> JsonObject:
    """Return how far a network is above floor and frame: balanced accuracies and paired differences, with intervals.

    Args:
        predicted: The network's answers on the test split, int64 (n,), in the order of `floor`.
        floor: The probes' answers.
        weights: Of the bootstrap, float64 (draws, n).
    """
    own, above, around = (score(floor.truth, answers, weights) for answers in (predicted, floor.floor, floor.frame))
    return {
        "floor": above.interval,
        "frame": around.interval,
        "over_floor": (own - above).interval,
        "over_frame": (own - around).interval,
    }


def mask_shape(outputs: SavedOutputs, masks: Masks | None, seed: int) -> Score | None:
    """Return the balanced accuracy on the test split of a random forest that sees four numbers of the lung mask.

    Args:
        outputs: Of any network: only truth, split and group are read.
        masks: bool (n, side, side), of the same images; those without a mask do not count.
        seed: Of forest and bootstrap.

    Returns:
        None where there are no masks, or none of some class in train or test.
    """
    if masks is None:
        return None
    known = masks.any(axis=(1, 2)) & np.isin(outputs.split, ("train", "test"))
    train = outputs.split[known] == "train"
    truth = outputs.truth[known]
    if any(len(np.unique(truth[part])) < len(outputs.classes) for part in (train, ~train)):
        return None
    said = forest(np.stack([shape_of(mask) for mask in masks[known]]), truth, train, seed)
    return score(truth[~train], said, draw_weights(truth[~train], outputs.group[known][~train], seed))


def shape_of(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return share of area, height / width of the bounding box, and row and column of the centroid (0 to 1)."""
    rows, columns = np.nonzero(mask)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    side = len(mask)
    return np.array([mask.mean(), height / width, rows.mean() / side, columns.mean() / side])


LEAST_IMAGES = 100  # of a class: below, the interval of a lift is wider than what is asked
LEAST_GAIN = 0.05
ABOVE_CHANCE = 0.10  # some five standard errors at 240 images a class
NEAR_SOURCE_BASELINE = 0.02


def judge_gain(model: str, lift: JsonObject, smallest_class: int, screening: bool) -> JsonObject:
    """Return the audit `appearance_floor`: a failure only for the network chosen for screening.

    Args:
        model: The network.
        lift: See `cxr.evaluation.audits.shortcuts.gain_over_baseline`.
        smallest_class: Test images of the smallest class.
        screening: Whether the network was chosen for screening.
    """
    above = lift["over_floor"]
    result = _gain_result(above, smallest_class, screening)
    found = (
        f"{model} is {points(above)} of balanced accuracy above a random forest on 22 numbers of overall grey, which "
        f"reaches {with_interval(lift['floor'])}, and {points(lift['over_frame'])} above one on the frame alone"
    )
    if result is Result.NOT_MEASURABLE:
        found += f"; with {smallest_class} test images in the smallest class, this is not judged"
    return audit(
        "appearance_floor",
        "Lift over the appearance floor",
        result,
        f"{found}.",
        "A failure if the interval of the lift reaches 0 (for a network not chosen for screening: a warning), a "
        f"warning below {100 * LEAST_GAIN:.0f} points; not judged below {LEAST_IMAGES} test images a class.",
        fixable=True,
        values=lift | {"smallest_class": smallest_class},
        model=model,
    )


def _gain_result(above: JsonObject, smallest_class: int, screening: bool) -> Result:
    if smallest_class < LEAST_IMAGES:
        return Result.NOT_MEASURABLE
    # Without bounds, no resample differed: the value itself is the bound.
    if (above["value"] if above["low"] is None else above["low"]) <= 0:
        return Result.FAIL if screening else Result.WARN
    return Result.WARN if above["value"] < LEAST_GAIN else Result.PASS


def judge_source_baseline(model: str, accuracy: float, oracle: float | None) -> JsonObject:
    """Return the audit `source_oracle`: whether knowing only the source is as good as the network.

    Args:
        model: The network.
        accuracy: Of the network on the test split.
        oracle: Of the source oracle on the same; None where no source is known.
    """
    if oracle is None:
        result, found = Result.NOT_APPLICABLE, "The release names no sources."
    elif oracle >= accuracy - NEAR_SOURCE_BASELINE:
        result = Result.WARN
        found = (
            f"Knowing only the source collection, without the image, gives {percent(oracle)} accuracy, {model} "
            f"{percent(accuracy)}: accuracy on these data cannot show that disease is detected."
        )
    else:
        result = Result.PASS
        found = f"Knowing only the source collection gives {percent(oracle)} accuracy, {model} {percent(accuracy)}."
    return audit(
        "source_oracle",
        "Source oracle",
        result,
        found,
        f"A warning if the oracle is no more than {100 * NEAR_SOURCE_BASELINE:.0f} points below the network.",
        fixable=False,
        values={"oracle": oracle, "accuracy": rounded(accuracy)},
        model=model,
    )


def judge_border_baseline(floor: JsonObject) -> JsonObject:
    """Return the audit `frame_probe` of the shared floor, see `describe_floor`."""
    reached, chance = floor["frame"], floor["chance"]
    return audit(
        "frame_probe",
        "Frame-only probe",
        Result.WARN if reached["value"] > chance + ABOVE_CHANCE else Result.PASS,
        f"The frame alone, 40 blocks along the border, gives {with_interval(reached)} balanced accuracy; "
        f"chance is {percent(chance)}.",
        f"A warning above {percent(chance + ABOVE_CHANCE)}.",
        fixable=False,
        values={"frame": reached, "chance": chance},
    )


def judge_mask_shape(reached: Score | None, chance: float) -> JsonObject:
    """Return the audit `mask_shape`; None where the release has no lung masks."""
    result, found = Result.NOT_APPLICABLE, "The release has no lung masks."
    if reached is not None:
        result = Result.WARN if reached.value > chance + ABOVE_CHANCE else Result.PASS
        found = (
            f"Area, height by width and centroid of the lung mask give {with_interval(reached.interval)} balanced "
            f"accuracy without the image; chance is {percent(chance)}."
        )
    return audit(
        "mask_shape",
        "Shape of the lung masks",
        result,
        found,
        f"A warning above {percent(chance + ABOVE_CHANCE)}: then boxes, not outlines, are to be used.",
        fixable=False,
        values={"balanced_accuracy": None if reached is None else reached.interval, "chance": rounded(chance)},
    )
