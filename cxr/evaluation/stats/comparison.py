"""Networks against each other on the same images, with what these images could have shown at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from cxr.core.errors import DataError
from cxr.evaluation.stats.classification import Predictions, delong, delong_p
from cxr.evaluation.stats.intervals import (
    Floats,
    Interval,
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


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two networks on the same images; gaps are those of the first less those of the second.

    Attributes:
        a: Name of the first.
        b: Name of the second.
        accuracy_gap: -1 to 1.
        only_a_right: Images that only the first has right.
        only_b_right: Images that only the second has right.
        p: Of McNemar's test, six significant digits.
        p_holm: The same, adjusted over all pairs.
        auc_gap: Of macro AUC, -1 to 1.
        auc_p: Of DeLong's test for the target class; None where there is no variance.
        auc_p_holm: The same, adjusted over all pairs.
        log_loss_gap: In nats.
        detectable_gap_images: Smallest net gap that would be significant with as many discordant images; None where
            none would be.
        detectable_gap_points: The same in percentage points of accuracy.
    """

    a: str
    b: str
    accuracy_gap: Interval
    only_a_right: int
    only_b_right: int
    p: float | None
    p_holm: float | None
    auc_gap: Interval
    auc_p: float | None
    auc_p_holm: float | None
    log_loss_gap: Interval
    detectable_gap_images: int | None
    detectable_gap_points: float | None


def compare_models(
    tests: Sequence[SavedOutputs], probabilities: Sequence[Probabilities], seed: int, target: str | None = None
) -> list[Comparison]:
    """Compare each pair of networks.

    Args:
        tests: Outputs on the same images, in the same order.
        probabilities: For each network, float64 (n, classes), calibrated.
        seed: Of the bootstrap.
        target: Class whose areas are compared; the first one by default.

    Raises:
        DataError: The networks did not answer the same images.
    """
    pairs = list(combinations(range(len(tests)), 2))
    answers = [_answers(tests[0], one, values) for one, values in zip(tests, probabilities, strict=True)]
    if not pairs:
        return []
    number = tests[0].classes.index(target) if target else 0
    gaps = resample(lambda weights: _gaps(answers, pairs, weights), tests[0].truth, tests[0].group, seed)
    compared = [_compare(answers[first], answers[second], number) for first, second in pairs]
    right_p, area_p = (holm([pair.p for pair in compared]), holm([pair.auc_p for pair in compared]))
    return [
        Comparison(
            a=tests[first].name,
            b=tests[second].name,
            only_a_right=pair.only_first,
            only_b_right=pair.only_second,
            p=significant(pair.p),
            p_holm=significant(p_holm),
            auc_p=significant(pair.auc_p),
            auc_p_holm=significant(auc_p_holm),
            detectable_gap_images=pair.detectable,
            detectable_gap_points=rounded(None if pair.detectable is None else 100 * pair.detectable / len(tests[0])),
            **{name: percentile(*gaps[f"{first} {second} {name}"]) for name in GAPS},
        )
        for (first, second), pair, p_holm, auc_p_holm in zip(pairs, compared, right_p, area_p, strict=True)
    ]


GAPS = ("accuracy_gap", "auc_gap", "log_loss_gap")


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


class _Pair(NamedTuple):
    only_first: int
    only_second: int
    p: float
    auc_p: float | None
    detectable: int | None


def _compare(first: Predictions, second: Predictions, target: int) -> _Pair:
    only_first, only_second = int((first.right & ~second.right).sum()), int((second.right & ~first.right).sum())
    areas = [delong(first.truth == target, one.probabilities[:, target]) for one in (first, second)]
    return _Pair(
        only_first,
        only_second,
        mcnemar_p(only_first, only_second),
        delong_p(*areas),
        detectable_gap(only_first + only_second),
    )


def _answers(reference: SavedOutputs, outputs: SavedOutputs, probabilities: Probabilities) -> Predictions:
    if not np.array_equal(reference.files, outputs.files) or not np.array_equal(reference.truth, outputs.truth):
        raise DataError(f"{reference.name} and {outputs.name} did not answer the same images; compare common ones only")
    return Predictions(outputs.classes, outputs.truth, probabilities, outputs.group)
