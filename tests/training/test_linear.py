"""The last layer by logistic regression."""

import numpy as np
import pytest

from cxr.core.errors import DataError
from cxr.training.linear import logistic_regression

CLASSES = ("covid", "normal", "viral_pneumonia")


def drawn(classes, films=60):
    generator = np.random.default_rng(5)
    labels = [classes[number % len(classes)] for number in range(films)]
    features = generator.normal(size=(films, 4)) + np.eye(len(classes), 4)[np.arange(films) % len(classes)]
    return features, labels, generator.uniform(0.5, 1.5, films)


@pytest.mark.parametrize("classes", [CLASSES, CLASSES[:2]])
def test_at_the_minimum_the_penalty_holds_what_the_films_pull(classes):
    features, labels, weights = drawn(classes)
    kernel, bias = logistic_regression(features, labels, classes, 0.3, weights)
    logits = features @ kernel + bias
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    missing = (np.array([[label == name for name in classes] for label in labels]) - shares) * weights[:, np.newaxis]
    # Of two classes the penalty is on the squares of the difference, twice those of both.
    strength = 0.3 / (2 if len(classes) == 2 else 1)
    assert kernel == pytest.approx(strength * features.T @ missing, abs=1e-3)
    assert missing.sum(axis=0) == pytest.approx(0, abs=1e-2)
    assert np.abs(kernel).max() > 0.1


def test_a_film_of_twice_the_weight_counts_as_two():
    features, labels, weights = drawn(CLASSES)
    doubled = logistic_regression(features, labels, CLASSES, 0.3, weights * 2)
    twice = logistic_regression(np.tile(features, (2, 1)), labels * 2, CLASSES, 0.3, np.tile(weights, 2))
    for one, other in zip(doubled, twice, strict=True):
        assert one == pytest.approx(other, abs=1e-3)


def test_a_class_without_a_film_is_named():
    features, labels, weights = drawn(CLASSES[:2])
    with pytest.raises(DataError, match="the class viral_pneumonia has no film that the last layer could learn from"):
        logistic_regression(features, labels, CLASSES, 0.3, weights)
