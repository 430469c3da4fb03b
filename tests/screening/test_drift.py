import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from cxr.inference.decisions import parse_decisions
from cxr.screening.drift import DriftCounts, Histogram, compare_mix, kolmogorov_p
from tests.decision_forms import CLASSES, decisions_form, reference_form

VALIDATION = 588
Floats = NDArray[np.float64]


def population(random: np.random.Generator, number: int) -> dict[str, Floats]:
    """Predictions with a sure majority, brightness around the middle, three sizes: as validation images look."""
    return {
        "prediction": random.choice(3, number, p=[0.34, 0.33, 0.33]),
        "confidence": np.round(1 - 0.6 * random.beta(0.6, 6, number), 6),
        "brightness": np.round(np.clip(random.normal(0.5, 0.08, number), 0, 1), 6),
        "side": random.choice([299.0, 299.0, 1024.0, 2048.0], number),
    }


def counts_of(batch: dict[str, Floats], validation: dict[str, Floats]) -> DriftCounts:
    predicted = np.bincount(validation["prediction"].astype(int), minlength=3).tolist()
    form = reference_form(validation["confidence"], validation["brightness"], validation["side"], predicted)
    reference = parse_decisions(decisions_form(reference=form)).reference
    assert reference is not None
    counts = DriftCounts(reference)
    for row in rows(batch):
        counts.count("", row)
    return counts


def rows(batch: dict[str, Floats]) -> list[dict[str, str]]:
    return [
        {
            "prediction": CLASSES[int(prediction)],
            "confidence": f"{confidence:.6f}",
            "brightness": f"{brightness:.6f}",
            "width": f"{side:.0f}",
            "height": "200",
        }
        for prediction, confidence, brightness, side in zip(*batch.values(), strict=True)
    ]


def far_off(counts: DriftCounts) -> list[str]:
    return [one.figure for one in counts.comparisons if one.far_off]


@pytest.fixture(scope="module")
def validation() -> dict[str, Floats]:
    return population(np.random.default_rng(1), VALIDATION)


def test_batches_like_validation_are_seldom_far_off(validation: dict[str, Floats]) -> None:
    raised = sum(
        bool(far_off(counts_of(population(np.random.default_rng(seed), 200), validation))) for seed in range(100, 300)
    )
    assert raised <= 10  # 5 % of 200, all four figures together


@pytest.mark.parametrize("seed", range(5))
def test_a_batch_a_fifth_brighter_is_far_off_in_brightness_alone(seed: int, validation: dict[str, Floats]) -> None:
    batch = population(np.random.default_rng(seed), 200)
    batch["brightness"] = np.round(np.clip(1.2 * batch["brightness"], 0, 1), 6)
    counts = counts_of(batch, validation)
    assert far_off(counts) == ["brightness"]
    first, last = counts.sentences()
    said = (
        r"unlike validation in the brightness: (\d+)% of the files here and (\d+)% there are (at least|above) (0\.5\d+)"
    )
    found = re.match(said, first)
    assert found
    assert int(found[1]) > int(found[2]) + 30
    beyond = {"at least": np.greater_equal, "above": np.greater}[found[3]](batch["brightness"], float(found[4]))
    assert found[1] == f"{beyond.mean():.0%}"[:-1], "true of the rows of the table"
    assert "may not hold" in last


@pytest.mark.parametrize(
    ("figure", "change"),
    [
        ("class_mix", lambda batch: batch | {"prediction": np.where(batch["prediction"] == 0, 1, batch["prediction"])}),
        ("confidence", lambda batch: batch | {"confidence": batch["confidence"] - 0.2}),
        ("side", lambda batch: batch | {"side": np.full(200, 512.0)}),
    ],
)
def test_each_figure_is_found_far_off_by_itself(
    figure: str, change: Callable[[Any], Any], validation: dict[str, Floats]
) -> None:
    counts = counts_of(change(population(np.random.default_rng(3), 200)), validation)
    assert far_off(counts) == [figure]
    assert len(counts.sentences()) == 2


def test_too_few_files_are_not_compared(validation: dict[str, Floats]) -> None:
    batch = population(np.random.default_rng(0), 30)
    batch["brightness"] = np.ones(30)
    assert far_off(counts_of(batch, validation)) == ["brightness"]
    few = counts_of({name: values[:29] for name, values in batch.items()}, validation)
    assert few.record.figures == ()
    assert few.sentences() == ["not compared with validation: 29 answered files, at least 30 are needed"]


def test_a_large_batch_with_a_tiny_difference_is_not_far_off(validation: dict[str, Floats]) -> None:
    batch = population(np.random.default_rng(5), 20_000)
    batch["brightness"] = np.round(batch["brightness"] + 0.005, 6)
    assert far_off(counts_of(batch, validation)) == []


def test_the_sentence_names_where_most_files_are_otherwise(validation: dict[str, Floats]) -> None:
    batch = population(np.random.default_rng(0), 100)
    batch["side"] = np.full(100, 299.0)
    (said, _) = counts_of(batch, validation).sentences()
    found = re.match(
        r"unlike validation in the longer side: 100% of the files here and (\d+)% there are at most 299 pixels; ", said
    )
    assert found
    assert int(found[1]) == pytest.approx(100 * np.mean(validation["side"] == 299), abs=1)


def test_sizes_are_not_compared_where_validation_has_but_one(validation: dict[str, Floats]) -> None:
    scaled = validation | {"side": np.full(VALIDATION, 299.0)}
    counts = counts_of(population(np.random.default_rng(3), 200), scaled)
    assert [one.figure for one in counts.record.figures] == ["class_mix", "confidence", "brightness"]
    assert far_off(counts) == []
    assert counts.sentences() == [f"predictions, confidence and brightness are like validation's ({VALIDATION})"]
    several = counts_of(population(np.random.default_rng(3), 200), validation)
    assert several.sentences()[0].startswith("predictions, confidence, brightness and longer side are like")


def test_the_distance_is_that_of_scipy_to_one_percentile() -> None:
    random = np.random.default_rng(2)
    for _ in range(20):
        reference, batch = random.normal(0, 1, 600), random.normal(0.2, 1.2, 150)
        histogram = Histogram(np.quantile(reference, np.linspace(0, 1, 101)).tolist())
        for value in batch.tolist():
            histogram.add(value)
        assert histogram.widest().distance == pytest.approx(stats.ks_2samp(batch, reference).statistic, abs=0.012)
        assert histogram.mean == pytest.approx(batch.mean())
        assert histogram.reference_mean == pytest.approx(reference.mean(), abs=0.02)


def test_equal_values_everywhere_are_no_difference_and_others_are_the_largest() -> None:
    for value, expected in ((299.0, 0.0), (300.0, 1.0), (10.0, 1.0)):
        histogram = Histogram([299.0] * 101)
        histogram.add(value)
        assert histogram.widest().distance == expected


@pytest.mark.parametrize(("one", "other"), [(200, 588), (30, 588), (5000, 400)])
@pytest.mark.parametrize("distance", [0.0, 0.02, 0.1, 0.3, 1.0])
def test_p_is_near_the_exact_one(distance: float, one: int, other: int) -> None:
    number = round(one * other / (one + other))
    assert kolmogorov_p(distance, one, other) == pytest.approx(stats.kstwo.sf(distance, number), abs=0.02)


def test_the_mix_of_classes_has_the_total_variation_and_a_sound_p() -> None:
    reference = dict(zip(CLASSES, (200, 200, 188), strict=True))
    same = compare_mix(dict(zip(CLASSES, (100, 100, 94), strict=True)), reference)
    assert (same.effect, same.p) == (pytest.approx(0), 1.0)
    other = compare_mix(dict(zip(CLASSES, (0, 300, 0), strict=True)), reference)
    assert other.effect == pytest.approx(1 - 200 / 588)
    assert other.p == pytest.approx(1e-4)
    random = np.random.default_rng(0)
    mixes = [dict(zip(CLASSES, random.multinomial(200, [1 / 3] * 3).tolist(), strict=True)) for _ in range(60)]
    drawn = [dict(zip(CLASSES, random.multinomial(588, [1 / 3] * 3).tolist(), strict=True)) for _ in range(60)]
    p = [compare_mix(mix, one).p for mix, one in zip(mixes, drawn, strict=True)]
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_memory_does_not_grow_with_the_number_of_files(validation: dict[str, Floats]) -> None:
    counts = counts_of(population(np.random.default_rng(0), 50), validation)
    more = rows(population(np.random.default_rng(0), 2000))
    tracemalloc.start()
    for row in more:
        counts.count("", row)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 20_000  # bytes
