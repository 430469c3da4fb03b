"""Recall on a source of images that training has not seen (Ben Ahmed et al. 2021)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr.evaluation.audits.subgroups import SMALL
from cxr.evaluation.metrics import Labels
from cxr.evaluation.outputs import SavedOutputs
from cxr.evaluation.stats.intervals import wilson
from cxr.files import JsonObject

REFITTED, HEAD_REFITTED = "refitted", "head refitted"
PENALTY = 0.1  # C of the logistic regression: features are as many as some classes have images


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Recall by held-out source.

    Attributes:
        rows: source, n, recall (all its images), recall_in_training (nothing held out; its test images), how, small.
        overall: Recall of the class on all its test images with nothing held out; null where there is none.
    """

    rows: list[JsonObject]
    overall: JsonObject


def head_refitted(outputs: SavedOutputs, target: str) -> LeftOut:
    """Fit the last layer again without each source of a class; the layers before it have seen that source.

    A multinomial logistic regression (C = 0.1) on the standardised features of the train split. What shares a group
    with an image of the source is left out with it.

    Args:
        outputs: On all images.
        target: The class whose sources are held out.
    """
    number = outputs.classes.index(target)
    of_target, train = outputs.truth == number, outputs.split == "train"
    test = of_target & (outputs.split == "test")
    whole = _fit(outputs, train)
    inside = np.zeros(len(outputs), np.bool_)
    inside[test] = _said(whole, outputs, test) == number
    rows = []
    for source in sorted(set(outputs.source[of_target].tolist()) - {""}):
        held = of_target & (outputs.source == source)
        related = np.isin(outputs.group, outputs.group[outputs.source == source])
        if len(np.unique(outputs.truth[train & ~related])) < len(outputs.classes):
            continue  # a class would have no image left to learn from
        right = _said(_fit(outputs, train & ~related), outputs, held) == number
        rows.append(_row(source, right, inside[test & held], HEAD_REFITTED))
    return LeftOut(rows, wilson(int(inside[test].sum()), int(test.sum())))


def refitted(table: pd.DataFrame, outputs: SavedOutputs, target: str) -> LeftOut:
    """Read the recalls of a network that was trained again without each source.

    Args:
        table: Columns held_out (empty: nothing), file, actual and probability_<class> for each class.
        outputs: On all images; tells the source of a file.
        target: The class whose sources were held out; rows of other classes do not count.
    """
    rows = table[table["actual"] == target]
    said = rows[[f"probability_{name}" for name in outputs.classes]].to_numpy(np.float64).argmax(axis=1)
    right = said == outputs.classes.index(target)
    held_out = rows["held_out"].fillna("").to_numpy(str)
    source = rows["file"].map(dict(zip(outputs.files.tolist(), outputs.source.tolist(), strict=True))).to_numpy(str)
    whole = held_out == ""
    return LeftOut(
        [
            _row(name, right[held_out == name], right[whole & (source == name)], REFITTED)
            for name in sorted(set(held_out.tolist()) - {""})
        ],
        wilson(int(right[whole].sum()), int(whole.sum())),
    )


def _fit(outputs: SavedOutputs, rows: NDArray[np.bool_]) -> Pipeline:
    head = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=2000))
    return head.fit(outputs.features[rows].astype(np.float64), outputs.truth[rows])


def _said(head: Pipeline, outputs: SavedOutputs, rows: NDArray[np.bool_]) -> Labels:
    if not rows.any():
        return np.zeros(0, np.int64)
    return np.asarray(head.predict(outputs.features[rows].astype(np.float64)), np.int64)


def _row(source: str, right: NDArray[np.bool_], inside: NDArray[np.bool_], how: str) -> JsonObject:
    return {
        "source": source,
        "n": len(right),
        "recall": wilson(int(right.sum()), len(right)),
        "recall_in_training": wilson(int(inside.sum()), len(inside)),
        "how": how,
        "small": len(right) < SMALL,
    }
