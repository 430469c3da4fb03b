"""Subgroups of images: ages, sources left out, sizes; and verdicts on the gaps between them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr.core.audit import Result, audit
from cxr.core.files import JsonObject
from cxr.core.manifest import file_numbers
from cxr.dataset.appearance import Features
from cxr.dataset.audits.probes import auc_of, cross_validated, is_measurable
from cxr.evaluation.audits.shortcuts import TREES
from cxr.evaluation.reporting.format import percent, points, with_interval
from cxr.evaluation.stats.intervals import Labels, interval, wilson
from cxr.inference.gate import Texts
from cxr.inference.outputs import SavedOutputs

MIXED, PAEDIATRIC = "normal", "viral_pneumonia"  # the class of two ages, and the one it is compared with
PAEDIATRIC_SOURCES = ("chest-xray-pneumonia", "kermany")  # Kermany 2018: children aged one to five

Member = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class AgeBlocks:
    """The two blocks of the class `normal`.

    Attributes:
        number: Last file number of the lower block.
        names: Of the lower and the upper block: children and adults, or lower and upper where ages are unknown.
        areas: How well each is told from viral pneumonia by its overall appearance, 0.5 to 1; None where not measured.
    """

    number: int
    names: tuple[str, str]
    areas: tuple[float, float] | None

    def members(self, files: Texts) -> tuple[Member, Member]:
        """Tell which files, str (n,), are of the lower and which of the upper block; those without number of none."""
        numbers = file_numbers(pd.Series(files.tolist(), dtype=str))
        return (numbers >= 0) & (numbers <= self.number), numbers > self.number


def find_age_blocks(outputs: SavedOutputs, looks: Features, change: JsonObject | None, seed: int) -> AgeBlocks | None:
    """Name the blocks before and after the change point of the class `normal`.

    Where viral pneumonia comes from the paediatric collection, the block that 22 numbers of overall appearance tell
    less well from it is called children.

    Args:
        outputs: Of any network: only truth, files, group and source are read.
        looks: float64 (n, 22), see `cxr.dataset.appearance.appearance_features`.
        change: The class's change point as `cxr.dataset.audits.change_points.find_change_points` returns it; None
            without one.
        seed: Of folds and forests.

    Returns:
        None without a change point, without one of the two classes, or with too few images to cross-validate.
    """
    if change is None or not change["found"] or not {MIXED, PAEDIATRIC} <= set(outputs.classes):
        return None
    unnamed = AgeBlocks(int(change["number"]), ("lower", "upper"), None)
    normal, children = (outputs.truth == outputs.classes.index(label) for label in (MIXED, PAEDIATRIC))
    lower, upper = (_area(outputs, looks, normal & member, children, seed) for member in unnamed.members(outputs.files))
    if lower is None or upper is None:
        return None
    if not _paediatric(outputs.source[children]):
        return unnamed
    return AgeBlocks(
        unnamed.number, ("children", "adults") if lower < upper else ("adults", "children"), (lower, upper)
    )


def _paediatric(sources: Texts) -> bool:
    known = [any(mark in source.lower() for mark in PAEDIATRIC_SOURCES) for source in sources.tolist()]
    return float(np.mean(known)) > 0.5


def _area(outputs: SavedOutputs, looks: Features, block: Member, children: Member, seed: int) -> float | None:
    rows = block | children
    label, group = children[rows], outputs.group[rows]
    if not is_measurable(label.astype(str), group):
        return None
    forest = RandomForestClassifier(TREES, random_state=seed, n_jobs=1)
    return round(auc_of(cross_validated(forest, looks[rows], label, group, seed)[:, 1], label), 6)


def age_gap(test: SavedOutputs, predicted: Labels, blocks: AgeBlocks) -> JsonObject:
    """Return recall of `normal`, and specificity against viral pneumonia, in both blocks and their gaps.

    Args:
        test: The outputs on the test split.
        predicted: Class numbers int64 (n,).
        blocks: Of the class `normal`.

    Returns:
        number, areas; `blocks`, lower first, with name, n, recall and specificity (the share not called viral
        pneumonia); `recall_gap` and `specificity_gap`, lower minus upper, null where a block has no test image.
    """
    normal = test.truth == test.classes.index(MIXED)
    rows = [
        _block(test, predicted, normal & member, name)
        for member, name in zip(blocks.members(test.files), blocks.names, strict=True)
    ]
    whole = all(row["n"] for row in rows)
    return {
        "number": blocks.number,
        "areas": None if blocks.areas is None else list(blocks.areas),
        "blocks": rows,
        **{f"{key}_gap": gap(rows[0][key], rows[1][key]) if whole else None for key in ("recall", "specificity")},
    }


def gap(first: JsonObject, second: JsonObject) -> JsonObject:
    """Return first - second of two shares of different images, with the interval of Newcombe 1998 (his method 10).

    Args:
        first: A share with its Wilson interval.
        second: Another.
    """
    value = first["value"] - second["value"]
    below = np.hypot(first["value"] - first["low"], second["high"] - second["value"])
    above = np.hypot(first["high"] - first["value"], second["value"] - second["low"])
    return interval(value, value - below, value + above)


def _block(test: SavedOutputs, predicted: Labels, member: NDArray[np.bool_], name: str) -> JsonObject:
    n = int(member.sum())
    right = int((predicted[member] == test.truth[member]).sum())
    others = int((predicted[member] != test.classes.index(PAEDIATRIC)).sum())
    return {"name": name, "n": n, "recall": wilson(right, n), "specificity": wilson(others, n)}


SMALL = 30  # fewer images: the share says nothing
BRIGHTNESS, SHARPNESS = 2, 12  # columns of `appearance`: mean grey, mean edge strength
THIRDS = ("lowest third", "middle third", "highest third")


def measure_subgroups(
    test: SavedOutputs, predicted: Labels, looks: Features, sides: NDArray[np.int64], blocks: AgeBlocks | None
) -> list[JsonObject]:
    """Return the share of right answers with its Wilson interval by source, age block, brightness, sharpness and size.

    Args:
        test: The outputs on the test split.
        predicted: Class numbers int64 (n,).
        looks: float64 (n, 22), see `cxr.dataset.appearance.appearance_features`.
        sides: int64 (n,), longer side of the file in pixels.
        blocks: Of the class `normal`; None where there is no change point.

    Returns:
        Rows with group, value, label (null: all classes), n, sensitivity (of one class: its recall) and small.
    """
    parts = [
        *(("source", value, label, member) for value, label, member in _sources(test)),
        *(("children_adults", value, MIXED, member) for value, member in _ages(test, blocks)),
        *(("brightness", value, None, member) for value, member in _thirds(looks[:, BRIGHTNESS])),
        *(("sharpness", value, None, member) for value, member in _thirds(looks[:, SHARPNESS])),
        *(("size", value, None, member) for value, member in _sizes(sides)),
    ]
    right = predicted == test.truth
    return [_subgroup_row(group, value, label, right[member]) for group, value, label, member in parts]


def _subgroup_row(group: str, value: str, label: str | None, right: Member) -> JsonObject:
    n = len(right)
    share = wilson(int(right.sum()), n)
    return {"group": group, "value": value, "label": label, "n": n, "sensitivity": share, "small": n < SMALL}


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
    inside[test] = _predicted(whole, outputs, test) == number
    rows = []
    for source in sorted(set(outputs.source[of_target].tolist()) - {""}):
        held = of_target & (outputs.source == source)
        related = np.isin(outputs.group, outputs.group[outputs.source == source])
        if len(np.unique(outputs.truth[train & ~related])) < len(outputs.classes):
            continue  # a class would have no image left to learn from
        right = _predicted(_fit(outputs, train & ~related), outputs, held) == number
        rows.append(_source_row(source, right, inside[test & held], HEAD_REFITTED))
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
            _source_row(name, right[held_out == name], right[whole & (source == name)], REFITTED)
            for name in sorted(set(held_out.tolist()) - {""})
        ],
        wilson(int(right[whole].sum()), int(whole.sum())),
    )


def _fit(outputs: SavedOutputs, rows: NDArray[np.bool_]) -> Pipeline:
    head = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=2000))
    return head.fit(outputs.features[rows].astype(np.float64), outputs.truth[rows])


def _predicted(head: Pipeline, outputs: SavedOutputs, rows: NDArray[np.bool_]) -> Labels:
    if not rows.any():
        return np.zeros(0, np.int64)
    return np.asarray(head.predict(outputs.features[rows].astype(np.float64)), np.int64)


def _source_row(source: str, right: NDArray[np.bool_], inside: NDArray[np.bool_], how: str) -> JsonObject:
    return {
        "source": source,
        "n": len(right),
        "recall": wilson(int(right.sum()), len(right)),
        "recall_in_training": wilson(int(inside.sum()), len(inside)),
        "how": how,
        "small": len(right) < SMALL,
    }


LARGEST_GAP = 0.05
LARGEST_LOSS = 0.10


def judge_ages(model: str, gap: JsonObject | None) -> JsonObject:
    """Return the audit `children_adults`, see `age_gap`; None where the pixels show no two blocks."""
    result, found = Result.NOT_APPLICABLE, "The pixels show no change point in the class normal."
    if gap is not None:
        sizes = [block["n"] for block in gap["blocks"]]
        result, found = Result.NOT_MEASURABLE, f"The blocks have {sizes[0]} and {sizes[1]} test images."
        if min(sizes) >= SMALL:
            result, found = _judged(model, gap)
    return audit(
        "children_adults",
        "Children against adults",
        result,
        found,
        f"A warning if recall, or specificity against viral pneumonia, differs by more than {100 * LARGEST_GAP:.0f} "
        f"points; not judged below {SMALL} test images a block.",
        fixable=False,
        values=gap or {},
        model=model,
    )


def _judged(model: str, gap: JsonObject) -> tuple[Result, str]:
    first, second = gap["blocks"]
    largest = max(abs(gap[f"{key}_gap"]["value"]) for key in ("recall", "specificity"))
    ages = "" if gap["areas"] else "; which block is children is unknown, and so are all ages"
    return Result.WARN if largest > LARGEST_GAP else Result.PASS, (
        f"Of class normal, files up to {gap['number']} ({first['name']}) and above ({second['name']}): recall of "
        f"{model} {with_interval(first['recall'])} and {with_interval(second['recall'])}, a gap of "
        f"{points(gap['recall_gap'])}; not called viral pneumonia {with_interval(first['specificity'])} and "
        f"{with_interval(second['specificity'])}, a gap of {points(gap['specificity_gap'])}{ages}."
    )


def judge_sources(model: str, left_out: LeftOut | None) -> JsonObject:
    """Return the audit `leave_source_out`; None where nothing was held out."""
    rows = left_out.rows if left_out else []
    judged = [row for row in rows if not row["small"]]
    overall = left_out.overall["value"] if left_out else None
    result, found = Result.NOT_APPLICABLE, "No source can be held out."
    if rows:
        result, found = Result.NOT_MEASURABLE, f"No held-out source has {SMALL} images, or none is in the test split."
    if judged and overall is not None:
        worst = min(judged, key=lambda row: row["recall"]["value"])
        result = Result.WARN if worst["recall"]["value"] < overall - LARGEST_LOSS else Result.PASS
        found = (
            f"The worst of {len(judged)} held-out sources, {worst['source']} with {worst['n']} images, is recalled by "
            f"{model} ({worst['how']}) to {with_interval(worst['recall'])}; with nothing held out the test images of "
            f"the class to {percent(overall)}."
        )
    return audit(
        "leave_source_out",
        "Leave one source out",
        result,
        found,
        f"A warning if the worst source is more than {100 * LARGEST_LOSS:.0f} points below; sources below {SMALL} "
        "images do not count. A refitted head is kinder than a refitted network: the layers before it have seen the "
        "source.",
        fixable=False,
        values={"overall": left_out.overall if left_out else None, "sources": rows},
        model=model,
    )
