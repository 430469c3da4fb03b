from dataclasses import replace

import numpy as np

from cxr.evaluation.gallery import confident_errors, examples
from tests.evaluation.cases import CLASSES, PREDICTED, TRUTH, probabilities
from tests.evaluation.stats.cases import outputs


def truly(*truth, files=None):
    said = outputs(truth=np.asarray(truth))
    return said if files is None else replace(said, files=np.array(files))


def test_errors_come_by_loss_the_largest_first():
    values = probabilities(0.8)
    values[3] = [0.01, 0.98, 0.01]  # covid, called normal with 0.98
    errors = confident_errors(truly(*TRUTH), values)
    assert [entry["file"] for entry in errors] == ["3.png", "9.png"]
    assert errors[0] == {
        "file": "3.png",
        "actual": "covid",
        "predicted": "normal",
        "probability": 0.98,
        "loss": round(-np.log(0.01), 6),
    }


def test_equal_losses_come_by_file_whatever_their_order():
    values = probabilities(0.8)
    assert [one["file"] for one in confident_errors(truly(*TRUTH), values)] == ["3.png", "9.png"]
    files = [f"{9 - row}.png" for row in range(10)]
    assert [one["file"] for one in confident_errors(truly(*TRUTH, files=files), values)] == ["0.png", "6.png"]


def test_no_more_than_twelve_errors_are_shown_and_they_are_the_worst():
    truth = np.zeros(40, np.int64)
    sure = np.linspace(0.5, 0.89, 40)
    values = np.stack([(1 - sure) / 2, sure, (1 - sure) / 2], axis=1)
    errors = confident_errors(truly(*truth), values)
    assert [one["file"] for one in errors] == [f"{row}.png" for row in range(39, 27, -1)]


def test_without_errors_none_is_shown():
    assert confident_errors(truly(*PREDICTED), probabilities()) == []


def test_an_impossible_answer_has_a_finite_loss():
    values = np.array([[0.0, 1.0, 0.0]])
    assert confident_errors(truly(0), values)[0]["loss"] == round(-np.log(1e-12), 6)


def test_examples_are_of_median_probability_two_of_each_class():
    truth = np.repeat([0, 1, 2], 5)
    own = np.tile([0.9, 0.5, 0.7, 0.6, 0.8], 3)
    values = np.repeat((1 - own)[:, None] / 2, 3, axis=1)
    values[np.arange(15), truth] = own
    shown = examples(truly(*truth), values)
    assert [one["actual"] for one in shown] == [name for name in CLASSES for _ in range(2)]
    assert [one["probability"] for one in shown[:2]] == [0.7, 0.8]
    assert [one["file"] for one in shown[:2]] == ["2.png", "4.png"]


def test_a_class_of_one_image_gives_one_example_and_an_absent_one_none():
    shown = examples(truly(0, 1, 1), np.full((3, 3), 1 / 3))
    assert [one["actual"] for one in shown] == ["covid", "normal"]
