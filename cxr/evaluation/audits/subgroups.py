"""How right a network is in subgroups that the database knows: source, age, look, size; and on a source left out."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr.core.records import AuditRecord, Result
from cxr.dataset.appearance import Features
from cxr.evaluation.audits.subject import MIXED, PAEDIATRIC, AgeBlocks, AuditData, Member, NetworkAudit, Subject
from cxr.evaluation.stats.intervals import POINTS, SHARE, Interval, Labels, interval, wilson
from cxr.inference.outputs import SavedOutputs

SMALL = 30  # fewer images: the share says nothing
BRIGHTNESS, SHARPNESS = 2, 12  # columns of `appearance`: mean grey, mean edge strength
THIRDS = ("lowest third", "middle third", "highest third")


@dataclass(frozen=True, slots=True)
class Subgroup:
    """Right answers in a part of the test images.

    Attributes:
        group: What divides the images: source, children_adults, brightness, sharpness or size.
        value: The part.
        label: True class of its images; None: all classes.
        n: Images.
        sensitivity: Share of right answers, of one class its recall, 0 to 1.
        small: Whether there are too few images to say much.
    """

    group: str
    value: str
    label: str | None
    n: int
    sensitivity: Interval
    small: bool


def measure_subgroups(
    test: SavedOutputs, predicted: Labels, looks: Features, sides: NDArray[np.int64], blocks: AgeBlocks | None
) -> tuple[Subgroup, ...]:
    """Return the share of right answers with its Wilson interval by source, age block, brightness, sharpness and size.

    Args:
        test: The outputs on the test split.
        predicted: Class numbers int64 (n,).
        looks: float64 (n, 22), see `cxr.dataset.appearance.appearance_features`.
        sides: int64 (n,), longer side of the file in pixels.
        blocks: Of the class `normal`; None where there is no change point.
    """
    parts = [
        *(("source", value, label, member) for value, label, member in _sources(test)),
        *(("children_adults", value, MIXED, member) for value, member in _ages(test, blocks)),
        *(("brightness", value, None, member) for value, member in _thirds(looks[:, BRIGHTNESS])),
        *(("sharpness", value, None, member) for value, member in _thirds(looks[:, SHARPNESS])),
        *(("size", value, None, member) for value, member in _sizes(sides)),
    ]
    right = predicted == test.truth
    return tuple(_subgroup(group, value, label, right[member]) for group, value, label, member in parts)


def _subgroup(group: str, value: str, label: str | None, right: Member) -> Subgroup:
    n = len(right)
    return Subgroup(group, value, label, n, wilson(int(right.sum()), n), n < SMALL)


def _sources(test: SavedOutputs) -> Iterator[tuple[str, str, Member]]:
    for number, label in enumerate(test.classes):
        own = test.truth == number
        for source in np.unique(test.source[own]).tolist():
            yield source or "unknown", label, own & (test.source == source)


def _ages(test: SavedOutputs, blocks: AgeBlocks | None) -> Iterator[tuple[str, Member]]:
    if blocks is None:
        return
    normal = test.truth == test.classes.index(MIXED)
    named = zip(blocks.names, blocks.members(test.files), strict=True)
    for name, member in sorted(named, key=lambda pair: pair[0] in ("adults", "upper")):
        yield name, normal & member
    yield "both", normal


def _thirds(values: NDArray[np.float64]) -> Iterator[tuple[str, Member]]:
    place = np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values, side="left")
    for number, name in enumerate(THIRDS):
        if (place == number).any():
            yield name, place == number


def _sizes(sides: NDArray[np.int64]) -> Iterator[tuple[str, Member]]:
    found = np.unique(sides).tolist()
    if len(found) > len(THIRDS):
        yield from _thirds(sides.astype(np.float64))
        return
    for side in found:
        yield f"{side} pixels", sides == side


LARGEST_GAP = 0.05


@dataclass(frozen=True, slots=True)
class BlockRates:
    """Of the test images in one block of the class `normal`.

    Attributes:
        name: Of the block, see `AgeBlocks`.
        n: Images.
        recall: Share called normal, 0 to 1.
        specificity: Share not called {PAEDIATRIC}.
    """

    name: str
    n: int
    recall: Interval
    specificity: Interval


@dataclass(frozen=True, slots=True)
class AgeGap:
    """Both blocks and their gaps, lower minus upper.

    Attributes:
        number: Last file number of the lower block.
        areas: How well each block is told from viral pneumonia, 0.5 to 1, lower first; None where not measured.
        blocks: The lower and the upper one.
        recall_gap: -1 to 1; None where a block has no test image.
        specificity_gap: The same.
    """

    number: int
    areas: tuple[float, float] | None
    blocks: tuple[BlockRates, BlockRates]
    recall_gap: Interval | None
    specificity_gap: Interval | None


def age_gap(test: SavedOutputs, predicted: Labels, blocks: AgeBlocks) -> AgeGap:
    """Return recall of `normal`, and specificity against viral pneumonia, in both blocks and their gaps.

    Args:
        test: The outputs on the test split.
        predicted: Class numbers int64 (n,).
        blocks: Of the class `normal`.
    """
    normal = test.truth == test.classes.index(MIXED)
    lower, upper = (
        _rates(test, predicted, normal & member, name)
        for member, name in zip(blocks.members(test.files), blocks.names, strict=True)
    )
    whole = lower.n > 0 and upper.n > 0
    return AgeGap(
        number=blocks.number,
        areas=blocks.areas,
        blocks=(lower, upper),
        recall_gap=gap(lower.recall, upper.recall) if whole else None,
        specificity_gap=gap(lower.specificity, upper.specificity) if whole else None,
    )


def gap(first: Interval, second: Interval) -> Interval:
    """Return first - second of two shares of different images, with the interval of Newcombe 1998 (his method 10).

    Args:
        first: A share with its Wilson interval.
        second: Another.
    """
    (p, low, high), (q, below, above) = _bounds(first), _bounds(second)
    return interval(p - q, p - q - np.hypot(p - low, above - q), p - q + np.hypot(high - p, q - below))


def _bounds(share: Interval) -> tuple[float, float, float]:
    if share.value is None or share.low is None or share.high is None:
        raise ValueError("a gap needs two shares with bounds")
    return share.value, share.low, share.high


def _rates(test: SavedOutputs, predicted: Labels, member: NDArray[np.bool_], name: str) -> BlockRates:
    n = int(member.sum())
    right = int((predicted[member] == test.truth[member]).sum())
    others = int((predicted[member] != test.classes.index(PAEDIATRIC)).sum())
    return BlockRates(name, n, wilson(right, n), wilson(others, n))


def _sentence(figures: AgeGap, recall_gap: Interval, specificity_gap: Interval, model: str | None) -> str:
    first, second = figures.blocks
    ages = "" if figures.areas else "; their ages are not known"
    return (
        f"Of class {MIXED}, files up to {figures.number} ({first.name}) and above ({second.name}): recall of "
        f"{model} {SHARE.interval(first.recall)} and {SHARE.interval(second.recall)}, a gap of "
        f"{POINTS.interval(recall_gap)}; not called {PAEDIATRIC} {SHARE.interval(first.specificity)} and "
        f"{SHARE.interval(second.specificity)}, a gap of {POINTS.interval(specificity_gap)}{ages}."
    )


class _ChildrenAdultsAudit(NetworkAudit[AgeGap | None]):
    """Is a network as good on children as on adults?"""

    def measure(self, subject: Subject, data: AuditData) -> AgeGap | None:
        """Return the gap on the test split; None where the pixels show no two blocks."""
        return age_gap(subject.test, subject.predicted, data.blocks) if data.blocks else None

    def judge(self, figures: AgeGap | None, model: str | None) -> AuditRecord:
        """Warn of a gap between the two blocks."""
        result, found = (
            Result.NOT_APPLICABLE,
            (
                f"The data do not have the classes {MIXED} and {PAEDIATRIC}, with children and adults among {MIXED} "
                "that the pixels tell apart."
            ),
        )
        if figures is not None:
            lower, upper = figures.blocks
            result, found = Result.NOT_MEASURABLE, f"The blocks have {lower.n} and {upper.n} test images."
            if min(lower.n, upper.n) >= SMALL and figures.recall_gap and figures.specificity_gap:
                gaps = (figures.recall_gap, figures.specificity_gap)
                largest = max(abs(one.value or 0) for one in gaps)
                result = Result.WARN if largest > LARGEST_GAP else Result.PASS
                found = _sentence(figures, *gaps, model)
        limit = (
            f"A warning if recall, or specificity against {PAEDIATRIC}, differs by more than {100 * LARGEST_GAP:.0f} "
            f"points; not judged below {SMALL} test images a block."
        )
        return self.record(result, found, limit, figures or {}, model)


CHILDREN_ADULTS = _ChildrenAdultsAudit("children_adults", "Children against adults", fixable=False)


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


class _LeaveSourceOutAudit(NetworkAudit[LeftOut]):
    """Does a network recognise a class in a collection that it has not learned from?"""

    def measure(self, subject: Subject, data: AuditData) -> LeftOut:
        """Return the recalls of the refitted network, or of its head alone where there is none."""
        if subject.refits is not None and len(subject.refits):
            return refitted(subject.refits, subject.outputs, data.target)
        return head_refitted(subject.outputs, data.target)

    def judge(self, figures: LeftOut, model: str | None) -> AuditRecord:
        """Warn of a source on which much is lost."""
        rows, overall = figures.rows, figures.overall.value
        worst = worst_source(rows)
        result, found = Result.NOT_APPLICABLE, "No source can be held out."
        if rows:
            result, found = (
                Result.NOT_MEASURABLE,
                f"No held-out source has {SMALL} images, or none is in the test split.",
            )
        if worst is not None and overall is not None:
            result = Result.WARN if (worst.recall.value or 0) < overall - LARGEST_LOSS else Result.PASS
            found = (
                f"The worst of {sum(not row.small for row in rows)} held-out sources, {worst.source} with {worst.n} "
                f"images, is recalled by {model} ({worst.how}) to {SHARE.interval(worst.recall)}; with nothing held "
                f"out the test images of the class to {SHARE.number(overall)}."
            )
        limit = (
            f"A warning if the worst source is more than {100 * LARGEST_LOSS:.0f} points below; sources below {SMALL} "
            "images do not count. A refitted head is kinder than a refitted network: the layers before it have seen "
            "the source."
        )
        values = {"overall": figures.overall, "sources": rows}
        return self.record(result, found, limit, values, model)


LEAVE_SOURCE_OUT = _LeaveSourceOutAudit("leave_source_out", "Leave one source out", fixable=False)
