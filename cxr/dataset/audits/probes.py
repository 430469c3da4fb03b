"""Can a class be told from a few numbers? Cross-validated, with duplicates and patients on one side."""

from typing import Protocol

import numpy as np
from joblib import parallel_config
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, permutation_test_score
from sklearn.tree import DecisionTreeClassifier

from cxr.core.process import available_cores
from cxr.dataset.split import GroupedFolds

Features = NDArray[np.float64]
Labels = NDArray[np.str_]
Groups = NDArray[np.int64]

FOLDS = 5
TEST_FOLDS = 3  # of the permutation test, which fits once a fold and permutation
PERMUTATIONS = 200
MOST_ROWS = 2000  # of the permutation test: what 2,000 groups do not show is no leak


class Classifier(Protocol):
    """What scikit-learn's classifiers have in common."""

    def fit(self, x: Features, y: NDArray[np.generic], /) -> object:
        """Learn."""
        ...

    def predict_proba(self, x: Features, /) -> Features:
        """Return float64 (n, classes)."""
        ...


def is_measurable(labels: Labels, groups: Groups) -> bool:
    """Tell whether there are two classes or more, each with a group for every fold."""
    counts = [len(np.unique(groups[labels == label])) for label in np.unique(labels)]
    return len(counts) > 1 and min(counts) >= FOLDS


def probe(features: Features, labels: Labels, groups: Groups, seed: int) -> float:
    """Return the cross-validated balanced accuracy of gradient boosting, 0..1; chance is 1 / classes.

    Args:
        features: float64 (n, k).
        labels: n of them.
        groups: Rows of one group are in one fold.
        seed: Of the folds.
    """
    if (features == features[:1]).all():
        return 1 / len(np.unique(labels))  # nothing to learn from; which class a fold holds more of is no knowledge
    model = HistGradientBoostingClassifier(
        max_iter=40, learning_rate=0.2, max_leaf_nodes=15, class_weight="balanced", random_state=seed
    )
    scores = cross_validated(model, features, labels, groups, seed)
    predicted = np.unique(labels)[scores.argmax(axis=1)]
    return float(balanced_accuracy_score(labels, predicted))


def permutation_p(features: Features, labels: Labels, groups: Groups, seed: int) -> float:
    """Return how often permuted labels can be told at least as well: p of a permutation test, 1/201 at the least.

    The statistic is the cross-validated balanced accuracy of a small decision tree, on one image of each group,
    because only groups can be exchanged (Ojala and Garriga 2010), and on 2,000 groups at most.
    """
    _, first = np.unique(groups, return_index=True)
    first = at_most(first, MOST_ROWS, seed)
    tree = DecisionTreeClassifier(max_depth=4, class_weight="balanced", random_state=seed)
    folds = StratifiedKFold(TEST_FOLDS, shuffle=True, random_state=seed)
    with parallel_config("threading", n_jobs=available_cores()):  # no figure depends on how many there are
        _, _, p = permutation_test_score(
            tree,
            features[first],
            labels[first],
            cv=folds,
            n_permutations=PERMUTATIONS,
            scoring="balanced_accuracy",
            random_state=seed,
        )
    return float(p)


def at_most(rows: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Return the rows, in order; where there are more than `count`, so many that are drawn: the rest says no more."""
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, count, replace=False))


def cross_validated(
    model: Classifier, features: Features, labels: NDArray[np.generic], groups: Groups, seed: int
) -> Features:
    """Return float64 (n, classes): for each row the probabilities of a model that has not seen its group."""
    folds = GroupedFolds(FOLDS, shuffle=True, random_state=seed)
    found = np.zeros((len(labels), len(np.unique(labels))))
    for train, test in folds.split(features, labels, groups):
        model.fit(features[train], labels[train])
        found[test] = model.predict_proba(features[test])
    return found


def auc_of(scores: Features, truth: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve."""
    return float(roc_auc_score(truth, scores))
