import numpy as np
import pytest

from cxr.evaluation.stats.selective import augrc, cumulative_errors, selective_section
from tests.evaluation.stats.cases import CLASSES, Answers, calibrated


def test_random_confidence_gives_half_the_error_as_area(record_property):
    generator = np.random.default_rng(3)
    wrong = generator.random(20_000) < 0.1
    area = augrc(generator.random(20_000), wrong)
    record_property("augrc_by_half_error", area / (wrong.mean() / 2))
    assert area == pytest.approx(wrong.mean() / 2, rel=0.05)


def test_areas_equal_a_calculation_by_hand():
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    wrong = np.array([False, False, True, True])
    assert augrc(confidence, wrong) == pytest.approx((0 + 0 + 1 + 2) / 4 / 4)
    answers = Answers(
        CLASSES, np.where(wrong, 1, 0), np.column_stack([confidence, 1 - confidence, 0 * confidence]), wrong
    )
    assert selective_section(answers)["aurc"] == pytest.approx((0 + 0 + 1 / 3 + 2 / 4) / 4, abs=1e-6)


def test_equal_confidences_share_their_errors_whatever_their_order():
    confidence = np.array([0.9, 0.5, 0.5, 0.5, 0.5])
    for errors in ([0, 1, 0, 0, 0], [0, 0, 0, 0, 1]):
        assert cumulative_errors(confidence, np.array(errors, bool)).tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_the_curve_ends_at_the_error_of_all_images():
    answers = calibrated(717, 4)
    section = selective_section(answers)
    assert len(section["curve"]) == 100
    assert section["curve"][-1] == {"coverage": 1.0, "risk": round(1 - answers.right.mean(), 6)}
    assert [one["coverage"] for one in section["at"]] == [1.0, 0.95, 0.9, 0.8]
    at = section["at"][2]
    accepted = answers.confidence >= at["threshold"] - 1e-6
    assert at["risk"] == pytest.approx(1 - answers.right[accepted].mean(), abs=1e-6)
    assert accepted.sum() == np.ceil(0.9 * 717)
    assert section["at"][3]["risk"] < section["at"][0]["risk"]
