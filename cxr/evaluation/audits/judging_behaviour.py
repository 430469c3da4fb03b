"""Verdicts on behaviour: lungs, benign changes, texture and class activation maps."""

from collections.abc import Sequence

from cxr.audit import Result, audit
from cxr.evaluation.audits.attention import VOID_ABOVE
from cxr.evaluation.audits.variants import NOT_BENIGN
from cxr.evaluation.audits.words import percent, with_interval
from cxr.files import JsonObject

LEAST_DEPENDENCE = 0.5
LARGEST_FALL = 0.05
TEXTURE_ABOVE_CHANCE = 0.15
LEAST_ENRICHMENT = 1.0


def judge_dependence(model: str, dependence: JsonObject) -> JsonObject:
    """Return the audit `lung_dependence`, see `cxr.evaluation.audits.behaviour.dependence`."""
    share = dependence["lung_dependence"]
    where = "the boxes around the lung masks" if dependence["regions"] == "masks" else "one fixed box around the lungs"
    if share is None:
        result, found = Result.NOT_MEASURABLE, f"{model} is no better than chance on the whole pictures."
    else:
        result = Result.WARN if share < LEAST_DEPENDENCE else Result.PASS
        found = (
            f"{model} loses {percent(share)} of what it is above chance when {where} is blacked out: balanced accuracy "
            f"{with_interval(dependence['full'])} whole, {with_interval(dependence['lungs_blacked'])} without, "
            f"{with_interval(dependence['border_only'])} from the border, {with_interval(dependence['lungs_only'])} "
            f"from the lungs alone."
        )
    return audit(
        "lung_dependence",
        "Dependence on the lungs",
        result,
        found,
        f"A warning below {percent(LEAST_DEPENDENCE)}; a high value proves less, for no training picture had a black "
        "box.",
        fixable=False,
        values=dependence,
        model=model,
    )


def judge_robustness(model: str, rows: Sequence[JsonObject]) -> JsonObject:
    """Return the audit `robustness`, see `cxr.evaluation.audits.behaviour.robustness`."""
    benign = [row for row in rows if row["perturbation"] not in NOT_BENIGN]
    worst, restless = min(benign, key=lambda row: row["change"]), max(benign, key=lambda row: row["flips"])
    return audit(
        "robustness",
        "Robustness to benign changes",
        Result.WARN if worst["change"] < -LARGEST_FALL else Result.PASS,
        f"The worst of {len(benign)} benign changes for {model} is: {worst['text']}, by {100 * worst['change']:+.1f} "
        f"points of balanced accuracy; most answers, {percent(restless['flips'])}, change with: {restless['text']}.",
        f"A warning if balanced accuracy falls by more than {100 * LARGEST_FALL:.0f} points; inversion and mirroring "
        "are shown and not judged.",
        fixable=False,
        values={row["perturbation"]: {key: row[key] for key in ("change", "flips")} for row in rows},
        model=model,
    )


def judge_texture(model: str, rows: Sequence[JsonObject], chance: float) -> JsonObject:
    """Return the audit `texture`, see `cxr.evaluation.audits.behaviour.shuffle`."""
    finest = max(rows, key=lambda row: row["grid"])
    grid, reached, limit = finest["grid"], finest["balanced_accuracy"], chance + TEXTURE_ABOVE_CHANCE
    return audit(
        "texture",
        "Patch shuffling",
        Result.WARN if reached > limit else Result.PASS,
        f"On pictures cut into {grid} x {grid} patches and shuffled, {model} reaches {percent(reached)} balanced "
        f"accuracy; chance is {percent(chance)}.",
        f"A warning above {percent(limit)}: then texture is enough, and anatomy is not needed.",
        fixable=False,
        values={f"grid_{row['grid']}": row["balanced_accuracy"] for row in rows},
        model=model,
    )


def judge_attention(model: str, cam: JsonObject) -> JsonObject:
    """Return the audit `attention`, see `cxr.evaluation.audits.attention.attention`."""
    inside = cam["inside"] or []
    outside = [row for row in inside if row["n"] and row["enrichment_median"] < LEAST_ENRICHMENT]
    result = Result.WARN if cam["void"] or outside else Result.PASS
    found = (
        f"The maps of {model}, {' x '.join(map(str, cam['cells']))} cells, and those of the same network with random "
        f"weights have a structural similarity of {cam['similarity_randomised'] or 0:.3f}"
    )
    if cam["void"] is None:
        result, found = Result.NOT_MEASURABLE, f"No map of {model} can be compared with one of random weights"
    elif cam["void"]:
        found += ": they are void, for they do not show what was learned"
    medians = ", ".join(f"{row['enrichment_median']} for {row['class']}" for row in inside)
    found += (
        f"; energy in the lungs by area of the lungs, median: {medians}." if inside else "; there are no lung masks."
    )
    return audit(
        "attention",
        "Class activation maps",
        result,
        found,
        f"A warning if the similarity is above {VOID_ABOVE}, or, with lung masks, if a class's median of energy by "
        f"area is below {LEAST_ENRICHMENT}.",
        fixable=False,
        values=cam,
        model=model,
    )
