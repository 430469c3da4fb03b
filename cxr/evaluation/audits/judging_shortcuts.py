"""Verdicts on shortcuts: is the network above what needs no anatomy?"""

from cxr.audit import Result, audit
from cxr.evaluation.audits.answers import Score
from cxr.evaluation.audits.words import percent, points, with_interval
from cxr.evaluation.stats.intervals import rounded
from cxr.files import JsonObject

LEAST_IMAGES = 100  # of a class: below, the interval of a lift is wider than what is asked
LEAST_LIFT = 0.05
ABOVE_CHANCE = 0.10  # some five standard errors at 240 images a class
NEAR_ORACLE = 0.02


def judge_floor(model: str, lift: JsonObject, smallest_class: int, screening: bool) -> JsonObject:
    """Return the audit `appearance_floor`: a failure only for the network chosen for screening.

    Args:
        model: The network.
        lift: See `cxr.evaluation.audits.floor.lift`.
        smallest_class: Test images of the smallest class.
        screening: Whether the network was chosen for screening.
    """
    above = lift["over_floor"]
    result = _lift_result(above, smallest_class, screening)
    found = (
        f"{model} is {points(above)} of balanced accuracy above a random forest on 22 numbers of overall grey, which "
        f"reaches {with_interval(lift['floor'])}, and {points(lift['over_frame'])} above one on the frame alone"
    )
    if result is Result.NOT_MEASURABLE:
        found += f"; with {smallest_class} test images in the smallest class, this is not judged"
    return audit(
        "appearance_floor",
        "Lift over the appearance floor",
        result,
        f"{found}.",
        "A failure if the interval of the lift reaches 0 (for a network not chosen for screening: a warning), a "
        f"warning below {100 * LEAST_LIFT:.0f} points; not judged below {LEAST_IMAGES} test images a class.",
        fixable=True,
        values=lift | {"smallest_class": smallest_class},
        model=model,
    )


def _lift_result(above: JsonObject, smallest_class: int, screening: bool) -> Result:
    if smallest_class < LEAST_IMAGES:
        return Result.NOT_MEASURABLE
    # Without bounds, no resample differed: the value itself is the bound.
    if (above["value"] if above["low"] is None else above["low"]) <= 0:
        return Result.FAIL if screening else Result.WARN
    return Result.WARN if above["value"] < LEAST_LIFT else Result.PASS


def judge_oracle(model: str, accuracy: float, oracle: float | None) -> JsonObject:
    """Return the audit `source_oracle`: whether knowing only the source is as good as the network.

    Args:
        model: The network.
        accuracy: Of the network on the test split.
        oracle: Of the source oracle on the same; None where no source is known.
    """
    if oracle is None:
        result, found = Result.NOT_APPLICABLE, "The release names no sources."
    elif oracle >= accuracy - NEAR_ORACLE:
        result = Result.WARN
        found = (
            f"Knowing only the source collection, without the image, gives {percent(oracle)} accuracy, {model} "
            f"{percent(accuracy)}: accuracy on these data cannot show that disease is detected."
        )
    else:
        result = Result.PASS
        found = f"Knowing only the source collection gives {percent(oracle)} accuracy, {model} {percent(accuracy)}."
    return audit(
        "source_oracle",
        "Source oracle",
        result,
        found,
        f"A warning if the oracle is no more than {100 * NEAR_ORACLE:.0f} points below the network.",
        fixable=False,
        values={"oracle": oracle, "accuracy": rounded(accuracy)},
        model=model,
    )


def judge_frame(floor: JsonObject) -> JsonObject:
    """Return the audit `frame_probe` of the shared floor, see `describe_floor`."""
    reached, chance = floor["frame"], floor["chance"]
    return audit(
        "frame_probe",
        "Frame-only probe",
        Result.WARN if reached["value"] > chance + ABOVE_CHANCE else Result.PASS,
        f"The frame alone, 40 blocks along the border, gives {with_interval(reached)} balanced accuracy; "
        f"chance is {percent(chance)}.",
        f"A warning above {percent(chance + ABOVE_CHANCE)}.",
        fixable=False,
        values={"frame": reached, "chance": chance},
    )


def judge_mask_shape(reached: Score | None, chance: float) -> JsonObject:
    """Return the audit `mask_shape`; None where the release has no lung masks."""
    result, found = Result.NOT_APPLICABLE, "The release has no lung masks."
    if reached is not None:
        result = Result.WARN if reached.value > chance + ABOVE_CHANCE else Result.PASS
        found = (
            f"Area, height by width and centroid of the lung mask give {with_interval(reached.interval)} balanced "
            f"accuracy without the image; chance is {percent(chance)}."
        )
    return audit(
        "mask_shape",
        "Shape of the lung masks",
        result,
        found,
        f"A warning above {percent(chance + ABOVE_CHANCE)}: then boxes, not outlines, are to be used.",
        fixable=False,
        values={"balanced_accuracy": None if reached is None else reached.interval, "chance": rounded(chance)},
    )
