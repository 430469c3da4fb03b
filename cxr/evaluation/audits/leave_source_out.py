"""Does a network recognise a class in a collection that it has not learned from?"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr.core.records import Audit, AuditRecord, Result
from cxr.evaluation.audits.subgroups import SMALL
from cxr.evaluation.audits.subject import AuditData, Subject
from cxr.evaluation.reporting.format import SHARE
from cxr.evaluation.stats.intervals import Interval, Labels, wilson
from cxr.inference.outputs import SavedOutputs

AUDIT = Audit("leave_source_out", "Leave one source out", fixable=False)
PER_NETWORK = True

LARGEST_LOSS = 0.10
REFITTED, HEAD_REFITTED = "refitted", "head refitted"
PENALTY = 0.1  # C of the logistic regression: features are as many as some classes have images


@dataclass(frozen=True, slots=True)
class HeldOutSource:
    """Recall of a class on one of its sources.

    Attributes:
        source: Its name.
        n: All its images of the class.
        recall: Of them, by a network that has not learned from the source, 0 to 1.
        recall_in_training: Of those of the test split, with nothing held out.
        how: What was fitted again: refitted (the network) or head refitted.
        small: Whether there are too few images to say much.
    """

    source: str
    n: int
    recall: Interval
    recall_in_training: Interval
    how: str
    small: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Recall by held-out source.

    Attributes:
        rows: A source each.
        overall: Recall of the class on all its test images with nothing held out.
    """

    rows: tuple[HeldOutSource, ...]
    overall: Interval


def measure(subject: Subject, data: AuditData) -> LeftOut:
    """Return the recalls of the refitted network, or of its head alone where there is none."""
    if subject.refits is not None and len(subject.refits):
        return refitted(subject.refits, subject.outputs, data.target)
    return head_refitted(subject.outputs, data.target)


def worst_source(rows: tuple[HeldOutSource, ...]) -> HeldOutSource | None:
    """Return the source of lowest recall among those that are large enough, or None."""
    known = [(row.recall.value, row) for row in rows if not row.small and row.recall.value is not None]
    return min(known, key=lambda pair: pair[0])[1] if known else None


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
    inside[test] = _predicted(whole, outputs, test) == number
    rows = []
    for source in sorted(set(outputs.source[of_target].tolist()) - {""}):
        held = of_target & (outputs.source == source)
        related = np.isin(outputs.group, outputs.group[outputs.source == source])
        if len(np.unique(outputs.truth[train & ~related])) < len(outputs.classes):
            continue  # a class would have no image left to learn from
        right = _predicted(_fit(outputs, train & ~related), outputs, held) == number
        rows.append(_source_row(source, right, inside[test & held], HEAD_REFITTED))
    return LeftOut(tuple(rows), wilson(int(inside[test].sum()), int(test.sum())))


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
        tuple(
            _source_row(name, right[held_out == name], right[whole & (source == name)], REFITTED)
            for name in sorted(set(held_out.tolist()) - {""})
        ),
        wilson(int(right[whole].sum()), int(whole.sum())),
    )


def _fit(outputs: SavedOutputs, rows: NDArray[np.bool_]) -> Pipeline:
    head = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=2000))
    return head.fit(outputs.features[rows].astype(np.float64), outputs.truth[rows])


def _predicted(head: Pipeline, outputs: SavedOutputs, rows: NDArray[np.bool_]) -> Labels:
    if not rows.any():
        return np.zeros(0, np.int64)
    return np.asarray(head.predict(outputs.features[rows].astype(np.float64)), np.int64)


def _source_row(source: str, right: NDArray[np.bool_], inside: NDArray[np.bool_], how: str) -> HeldOutSource:
    return HeldOutSource(
        source=source,
        n=len(right),
        recall=wilson(int(right.sum()), len(right)),
        recall_in_training=wilson(int(inside.sum()), len(inside)),
        how=how,
        small=len(right) < SMALL,
    )


def judge(figures: LeftOut, model: str | None) -> AuditRecord:
    """Warn of a source on which much is lost."""
    rows, overall = figures.rows, figures.overall.value
    worst = worst_source(rows)
    result, found = Result.NOT_APPLICABLE, "No source can be held out."
    if rows:
        result, found = Result.NOT_MEASURABLE, f"No held-out source has {SMALL} images, or none is in the test split."
    if worst is not None and overall is not None:
        result = Result.WARN if (worst.recall.value or 0) < overall - LARGEST_LOSS else Result.PASS
        found = (
            f"The worst of {sum(not row.small for row in rows)} held-out sources, {worst.source} with {worst.n} "
            f"images, is recalled by {model} ({worst.how}) to {SHARE.interval(worst.recall)}; with nothing held out "
            f"the test images of the class to {SHARE.number(overall)}."
        )
    limit = (
        f"A warning if the worst source is more than {100 * LARGEST_LOSS:.0f} points below; sources below {SMALL} "
        "images do not count. A refitted head is kinder than a refitted network: the layers before it have seen the "
        "source."
    )
    values = {"overall": figures.overall, "sources": rows}
    return AUDIT.record(result, found, limit, values, model)
