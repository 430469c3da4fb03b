"""The floor that a network must rise above: 22 numbers of overall grey, 80 of the frame, and the source alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.dataset.appearance import Features
from cxr.evaluation.audits.answers import balanced_accuracy, score
from cxr.evaluation.audits.probes import forest, majority_by_source
from cxr.evaluation.metrics import Labels
from cxr.evaluation.outputs import SavedOutputs
from cxr.evaluation.stats.intervals import rounded
from cxr.files import JsonObject


@dataclass(frozen=True, slots=True)
class Floor:
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


def fit_floor(outputs: SavedOutputs, looks: Features, borders: Features, seed: int) -> Floor:
    """Fit the probes on the train split and answer the test split.

    Args:
        outputs: Of any network: only truth, split and source are read.
        looks: float64 (n, 22), see `cxr.dataset.appearance.appearance`.
        borders: float64 (n, 80), see `cxr.dataset.appearance.frame`.
        seed: Of the forests.

    Raises:
        DataError: There is no train or no test split.
    """
    train, test = outputs.of("train"), outputs.of("test")
    used = np.isin(outputs.split, ("train", "test"))
    fitted, truth, source = outputs.split[used] == "train", outputs.truth[used], outputs.source[used]
    return Floor(
        truth=test.truth,
        floor=forest(looks[used], truth, fitted, seed),
        frame=forest(borders[used], truth, fitted, seed),
        oracle=majority_by_source(source, truth, fitted) if (train.source != "").any() else None,
    )


def describe_floor(floor: Floor, weights: NDArray[np.float64]) -> JsonObject:
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


def lift(predicted: Labels, floor: Floor, weights: NDArray[np.float64]) -> JsonObject:
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
