import pytest

from cxr.evaluation.audits.judging_groups import judge_ages, judge_sources
from cxr.evaluation.audits.sources import LeftOut


def interval(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def ages(recall_gap, n=40, areas=(0.95, 0.99)):
    share = interval(0.9, 0.8, 0.95)
    blocks = [{"name": name, "n": n, "recall": share, "specificity": share} for name in ("children", "adults")]
    return {
        "number": 1390,
        "areas": areas and list(areas),
        "blocks": blocks,
        "recall_gap": interval(recall_gap, recall_gap - 0.1, recall_gap + 0.1),
        "specificity_gap": interval(0.01, -0.1, 0.1),
    }


@pytest.mark.parametrize(
    ("gap", "result"),
    [
        (ages(0.06), "warn"),
        (ages(-0.06), "warn"),
        (ages(0.05), "pass"),
        (ages(0.3, n=29), "not_measurable"),
        (None, "not_applicable"),
    ],
)
def test_a_gap_between_children_and_adults_is_a_warning(gap, result):
    assert judge_ages("cnn1", gap)["result"] == result


def test_unknown_ages_are_said_to_be_unknown():
    assert "ages" in judge_ages("cnn1", ages(0.06, areas=None))["found"]
    assert "unknown" not in judge_ages("cnn1", ages(0.06))["found"]


def left_out(*recalls):
    sources = [
        {"source": f"s{row}", "n": n, "recall": interval(recall), "how": "refitted", "small": n < 30}
        for row, (recall, n) in enumerate(recalls)
    ]
    return LeftOut(sources, interval(0.95))


@pytest.mark.parametrize(
    ("found", "result"),
    [
        (left_out((0.84, 30), (0.95, 90)), "warn"),
        (left_out((0.86, 30), (0.95, 90)), "pass"),
        (left_out((0.10, 29), (0.95, 90)), "pass"),
        (left_out((0.10, 29)), "not_measurable"),
        (left_out(), "not_applicable"),
        (None, "not_applicable"),
    ],
)
def test_the_worst_held_out_source_is_judged_and_small_ones_are_not(found, result):
    assert judge_sources("cnn1", found)["result"] == result
