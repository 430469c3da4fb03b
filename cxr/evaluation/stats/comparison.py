"""Networks against each other on the same images, with what these images could have shown at all."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.stats import binomtest

from cxr.core.errors import DataError
from cxr.core.files import JsonObject
from cxr.evaluation.stats.classification import Predictions, delong, delong_p
from cxr.evaluation.stats.intervals import (
    Floats,
    Probabilities,
    percentile,
    resample,
    rounded,
    significant,
    weighted_macro_auc,
    weighted_mean,
)
from cxr.inference.outputs import SavedOutputs

SIGNIFICANT = 0.05


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p that two networks are right equally often (McNemar 1947).

    Args:
        only_first: Images that only the first has right.
        only_second: Images that only the second has right.
    """
    discordant = only_first + only_second
    return float(binomtest(min(only_first, only_second), discordant).pvalue) if discordant else 1.0


def detectable_gap(discordant: int) -> int | None:
    """Return the smallest gap in images that is significant when `discordant` images are right for one only.

    None where no gap is: five discordant images never reach p below 0.05.
    """
    gaps = range(discordant % 2, discordant + 1, 2)
    return next((gap for gap in gaps if mcnemar_p(*_sides(discordant, gap)) < SIGNIFICANT), None)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return the p values adjusted for their number (Holm 1979), in the same order; None stays and does not count."""
    known = sorted((value, number) for number, value in enumerate(values) if value is not None)
    adjusted: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (value, number) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * value))
        adjusted[number] = largest
    return adjusted


def _sides(discordant: int, gap: int) -> tuple[int, int]:
    return (discordant + gap) // 2, (discordant - gap) // 2


def compare_models(
    tests: Sequence[SavedOutputs], probabilities: Sequence[Probabilities], seed: int, target: str | None = None
) -> list[JsonObject]:
    """Compare each pair of networks; gaps are those of the first less those of the second.

    Args:
        tests: Outputs on the same images, in the same order.
        probabilities: For each network, float64 (n, classes), calibrated.
        seed: Of the bootstrap.
        target: Class whose areas are compared; the first one by default.

    Returns:
        One object a pair. p values of McNemar and of DeLong are adjusted by Holm over the pairs.
        detectable_gap_images is the smallest net gap that would be significant with as many discordant images, and
        detectable_gap_points the same in percentage points of accuracy; both null where no gap would be.

    Raises:
        DataError: The networks did not answer the same images.
    """
    pairs = list(combinations(range(len(tests)), 2))
    answers = [_answers(tests[0], one, values) for one, values in zip(tests, probabilities, strict=True)]
    if not pairs:
        return []
    number = tests[0].classes.index(target) if target else 0
    gaps = resample(lambda weights: _gaps(answers, pairs, weights), tests[0].truth, tests[0].group, seed)
    compared = [
        {
            **{"a": tests[first].name, "b": tests[second].name},
            **{name: percentile(*gaps[f"{first} {second} {name}"]) for name in GAPS},
            **_compare(answers[first], answers[second], number),
        }
        for first, second in pairs
    ]
    for key in ("p", "auc_p"):
        for pair, adjusted in zip(compared, holm([pair[key] for pair in compared]), strict=True):
            pair[f"{key}_holm"] = significant(adjusted)
            pair[key] = significant(pair[key])
    return [{key: pair[key] for key in KEYS} for pair in compared]


GAPS = ("accuracy_gap", "auc_gap", "log_loss_gap")
KEYS = (
    *("a", "b", "accuracy_gap", "only_a_right", "only_b_right", "p", "p_holm", "auc_gap", "auc_p", "auc_p_holm"),
    *("log_loss_gap", "detectable_gap_images", "detectable_gap_points"),
)


def _gaps(answers: Sequence[Predictions], pairs: Sequence[tuple[int, int]], weights: Floats) -> dict[str, Floats]:
    """Draws of all gaps of all pairs, named `<first> <second> <gap>`: each network's figures are computed once."""
    figures = [
        (
            weighted_mean(one.right, weights),
            weighted_macro_auc(one.truth, one.probabilities, weights),
            weighted_mean(one.losses, weights),
        )
        for one in answers
    ]
    return {
        f"{first} {second} {name}": figures[first][column] - figures[second][column]
        for first, second in pairs
        for column, name in enumerate(GAPS)
    }


def _compare(first: Predictions, second: Predictions, target: int) -> JsonObject:
    only_first, only_second = int((first.right & ~second.right).sum()), int((second.right & ~first.right).sum())
    gap = detectable_gap(only_first + only_second)
    areas = [delong(first.truth == target, one.probabilities[:, target]) for one in (first, second)]
    return {
        "only_a_right": only_first,
        "only_b_right": only_second,
        "p": mcnemar_p(only_first, only_second),
        "auc_p": delong_p(*areas),
        "detectable_gap_images": gap,
        "detectable_gap_points": rounded(100 * gap / len(first) if gap is not None else None),
    }


def _answers(reference: SavedOutputs, outputs: SavedOutputs, probabilities: Probabilities) -> Predictions:
    if not np.array_equal(reference.files, outputs.files) or not np.array_equal(reference.truth, outputs.truth):
        raise DataError(f"{reference.name} and {outputs.name} did not answer the same images; compare common ones only")
    return Predictions(outputs.classes, outputs.truth, probabilities, outputs.group)
