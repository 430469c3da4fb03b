"""Verdicts on groups: children against adults, and sources that training has not seen."""

from cxr.audit import Result, audit
from cxr.evaluation.audits.sources import LeftOut
from cxr.evaluation.audits.subgroups import SMALL
from cxr.evaluation.audits.words import percent, points, with_interval
from cxr.files import JsonObject

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
