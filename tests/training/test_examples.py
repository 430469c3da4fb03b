import numpy as np
import pytest

from tests.tables import manifest

pytestmark = pytest.mark.slow

SOURCES = ["a"] * 9 + ["b"] * 1 + ["a"] * 10


@pytest.fixture
def table():
    return manifest({"covid": 10, "normal": 10}).assign(split="train", source=SOURCES)


def weights_of(table, evenness):
    from cxr.training.examples import examples, weighted

    planes = np.zeros((20, 8, 8), np.uint8)
    return weighted(examples(table, planes, "train", ("covid", "normal")), table, evenness).weights


def test_without_evenness_there_are_no_weights(table):
    assert weights_of(table, 0.0) is None


def test_with_full_evenness_sources_of_a_class_and_classes_count_alike(table):
    weights = weights_of(table, 1.0)
    assert weights.dtype == np.float32
    assert weights[:9].sum() == pytest.approx(weights[9]) == pytest.approx(5)
    assert weights[10:].tolist() == pytest.approx([1.0] * 10)


def test_half_evenness_lies_between_and_the_mean_is_one(table):
    weights = weights_of(table, 0.5)
    assert weights[9] / weights[0] == pytest.approx(3)  # the root of nine
    assert weights.mean() == pytest.approx(1)


def test_a_smaller_class_counts_as_much_as_a_larger_one(table):
    rows = table.drop(index=[1, 2, 3, 4])
    weights = weights_of(rows, 0.5)
    assert weights[:6].sum() == pytest.approx(weights[6:].sum())
