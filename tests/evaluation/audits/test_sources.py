import numpy as np
import pandas as pd

from cxr.evaluation.audits.sources import head_refitted, refitted
from tests.evaluation.audits.toys import CLASSES, outputs


def sourced(shift):
    """Covid of sources a and b, of which b lies where normal does, by `shift`."""
    rng = np.random.default_rng(5)
    truth = np.repeat([0, 0, 1, 2], 60)
    source = np.repeat(["a", "b", "c", "d"], 60)
    features = rng.normal(scale=0.3, size=(240, 4)) + np.eye(4)[truth] * 3
    features[source == "b"] += shift
    split = np.tile(["train"] * 4 + ["test"], 48)
    return outputs(truth, split=split, source=source, features=features)


def test_a_source_that_looks_like_the_others_is_recalled_without_having_been_learned():
    found = head_refitted(sourced(np.zeros(4)), "covid")
    assert [row["source"] for row in found.rows] == ["a", "b"]
    assert [row["n"] for row in found.rows] == [60, 60]
    assert min(row["recall"]["value"] for row in found.rows) == 1
    assert {row["how"] for row in found.rows} == {"head refitted"}
    assert found.overall["value"] == 1


def test_a_source_that_looks_like_another_class_is_lost_when_it_is_held_out():
    found = head_refitted(sourced(np.array([-3.0, 3.0, 0.0, 3.0])), "covid")
    row = next(row for row in found.rows if row["source"] == "b")
    assert row["recall"]["value"] < 0.2
    assert row["recall_in_training"]["value"] > 0.9


def test_a_class_of_one_source_has_nothing_to_hold_out():
    assert head_refitted(sourced(np.zeros(4)), "normal").rows == []


def test_recalls_of_refits_are_read_from_their_table():
    images = outputs([0, 0, 0, 0, 1], source=["a", "a", "b", "b", "b"], files=["1", "2", "3", "4", "5"])
    table = pd.DataFrame(
        [
            ("", "1", "covid", 0.9, 0.1, 0.0),
            ("", "3", "covid", 0.2, 0.8, 0.0),
            ("a", "1", "covid", 0.9, 0.1, 0.0),
            ("a", "2", "covid", 0.1, 0.9, 0.0),
            ("b", "3", "covid", 0.0, 0.1, 0.9),
            ("b", "4", "covid", 0.8, 0.1, 0.1),
            ("b", "5", "normal", 0.8, 0.1, 0.1),
        ],
        columns=["held_out", "file", "actual", *(f"probability_{name}" for name in CLASSES)],
    )
    found = refitted(table, images, "covid")
    assert [(row["source"], row["n"], row["recall"]["value"]) for row in found.rows] == [("a", 2, 0.5), ("b", 2, 0.5)]
    assert [row["recall_in_training"]["value"] for row in found.rows] == [1.0, 0.0]
    assert found.overall["value"] == 0.5
    assert {row["how"] for row in found.rows} == {"refitted"}
    assert all(row["small"] for row in found.rows)
