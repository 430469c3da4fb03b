"""What the figures can and cannot show, in words: the first thing a reader sees."""

import math
from collections.abc import Sequence

from cxr.audit import Result
from cxr.files import JsonObject

BANNER = (
    "These figures do not show that a network detects disease: in the public database the class of an image and the "
    "collection it comes from are nearly the same thing."
)
LIMITATIONS = (
    "Viral pneumonia is all children, COVID-19 nearly all adults: a network may tell ages apart, not diseases.",
    "No collection contributes both COVID-19 and normal images, so recognising the collection is enough.",
    "The test split is random over the same collections as the training split: it is internal testing. Other "
    "hospitals, detectors and years are not in it.",
    "Labels are those of the collections; how each was established (PCR, radiologist, text) is not known per image.",
    "Patients are known for some files only: images of one patient may stand in two splits where neither the release "
    "nor the pixels say so.",
    "Age, sex, view and severity are not recorded: subgroups by them cannot be measured.",
    "Classes are balanced by sampling; at the prevalence of a ward or of a screening programme predictive values are "
    "lower.",
    "Prediction sets and operating points hold for images like those of the validation split, and for no others.",
    "One split and one seed: the spread over seeds is not in the intervals.",
)


def banner(floor: JsonObject) -> list[str]:
    """Return the permanent sentences, with the floor and the oracle of this data."""
    sentences = [BANNER]
    if floor["oracle"] is not None:
        sentences.append(
            f"On this test split, knowing only the source collection gives {_percent(floor['oracle'])} accuracy "
            f"without looking at the image, and 22 numbers of overall grey give {_percent(floor['floor']['value'])} "
            "balanced accuracy."
        )
    return sentences


def verdict(models: Sequence[JsonObject], audits: Sequence[JsonObject], floor: JsonObject) -> JsonObject:
    """Return level, headline and sentences.

    Args:
        models: Parts of the report; one has `screening`.
        audits: All records.
        floor: Shared floor, frame probe, oracle and chance.
    """
    chosen = next(model for model in models if model["screening"])
    failing = [audit for audit in audits if audit["result"] == Result.FAIL and not audit["waiver"]]
    warning = [audit for audit in audits if audit["result"] == Result.WARN]
    level = "stop" if failing else "warn" if warning else "fine"
    return {"level": level, "headline": _headline(chosen, floor), "sentences": _sentences(chosen, failing, warning)}


def _headline(chosen: JsonObject, floor: JsonObject) -> str:
    accuracy, lift = chosen["metrics"]["balanced_accuracy"], chosen["lift"]["over_floor"]
    return (
        f"{chosen['name']} sorts {chosen['n']} images of the collections it was trained on with a balanced accuracy of "
        f"{_interval(accuracy)}, {_points(lift)} points above what overall grey alone gives "
        f"({_percent(floor['floor']['value'])}). Whether it detects disease, these data cannot show."
    )


def _sentences(chosen: JsonObject, failing: Sequence[JsonObject], warning: Sequence[JsonObject]) -> list[str]:
    found = chosen["answering"]["gated"]
    referred, rejected = found["referred"]["value"], found["rejected"]["value"]
    also = f" and rejects {_percent(rejected)}" if rejected else ""
    sentences = [f"It refers {_percent(referred)} of the test images to a reader{also}."]
    if found["error_answered"] is not None:
        sentences[0] += f" Of what it answers, {_percent(found['error_answered']['value'])} is wrong."
    if chosen["conformal"]["referred"]["share"]["value"] == 1:
        needed = math.ceil(1 / chosen["conformal"]["alpha"]) - 1
        sentences[0] += f" A set can leave out a class from {needed} validation images of that class on."
    for name, audits in (("Failed", failing), ("Warned", warning)):
        if audits:
            named = "; ".join(dict.fromkeys(audit["name"] for audit in audits))
            sentences.append(f"{name}: {named}.")
    return sentences


def _interval(value: JsonObject) -> str:
    if value["low"] is None:
        return _percent(value["value"])
    return f"{_percent(value['value'])} (95 % interval {_percent(value['low'])} to {_percent(value['high'])})"


def _points(value: JsonObject) -> str:
    if value["low"] is None:
        return f"{100 * value['value']:.1f}"
    return f"{100 * value['value']:.1f} [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
