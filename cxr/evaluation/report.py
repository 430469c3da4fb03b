"""The report as one JSON object: figures, verdict, examples; page, text, card and metrics all come from it."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.core.audit import ORDER, Result
from cxr.core.files import JsonObject
from cxr.evaluation.candidates import Candidate
from cxr.evaluation.reporting.document import STATUSES, standards, worst_source
from cxr.evaluation.stats.intervals import Probabilities
from cxr.inference.outputs import SavedOutputs

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


ERRORS = 12
EXAMPLES = 2  # of each class


def confident_errors(test: SavedOutputs, probabilities: Probabilities) -> list[JsonObject]:
    """Return the wrong answers of largest loss, at most twelve, with file, actual, predicted, probability and loss."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != test.truth)
    loss = -np.log(np.maximum(probabilities[np.arange(len(test)), test.truth], 1e-12))
    order = wrong[np.lexsort((test.files[wrong], -loss[wrong]))][:ERRORS]
    return [_entry(test, probabilities, int(row)) | {"loss": round(float(loss[row]), 6)} for row in order]


def examples(test: SavedOutputs, probabilities: Probabilities) -> list[JsonObject]:
    """Return of each class the images of median probability of their own class: neither the best nor the worst."""
    chosen = [row for number in range(len(test.classes)) for row in _median_rows(test, probabilities, number)]
    return [_entry(test, probabilities, row) for row in chosen]


def _median_rows(test: SavedOutputs, probabilities: Probabilities, number: int) -> list[int]:
    rows = np.flatnonzero(test.truth == number)
    ordered: NDArray[np.int64] = rows[np.lexsort((test.files[rows], probabilities[rows, number]))]
    middle = len(ordered) // 2
    return [int(row) for row in ordered[middle : middle + EXAMPLES]]


def _entry(test: SavedOutputs, probabilities: Probabilities, row: int) -> JsonObject:
    predicted = int(probabilities[row].argmax())
    return {
        "file": str(test.files[row]),
        "actual": test.classes[test.truth[row]],
        "predicted": test.classes[predicted],
        "probability": round(float(probabilities[row, predicted]), 6),
    }


def add_derived_figures(report: JsonObject) -> JsonObject:
    """Return the report with totals, shares, counts and the map of standards; call it before writing report.json.

    Adds data.shares, data.images_per_split, flow[].total, audit_counts, models[].confusion_rows (each row of the
    confusion over its sum) and standards with counts.
    """
    results = Counter(record["result"] for record in report.get("audits") or [])
    return report | {
        "data": _data(report["data"]),
        "flow": [step | {"total": sum(step["images"].values())} for step in report.get("flow") or []],
        "audit_counts": {name: results[name] for name in ORDER if results[name]},
        "models": [_model(model) for model in report["models"]],
        "standards": [_standard(one) for one in report.get("standards") or standards()],
    }


def _data(data: JsonObject) -> JsonObject:
    return data | {
        "shares": _shares(data["classes"]),
        "images_per_split": {split: sum(counts.values()) for split, counts in data["classes_by_split"].items()},
    }


def _shares(counts: Mapping[str, int]) -> dict[str, float]:
    whole = sum(counts.values())
    return {name: round(number / whole, 6) for name, number in counts.items()} if whole else {}


def _model(model: JsonObject) -> JsonObject:
    if not model.get("confusion"):
        return model
    return model | {"confusion_rows": [_row(row) for row in model["confusion"]]}


def _row(row: list[int]) -> list[float | None]:
    whole = sum(row)
    return [round(number / whole, 6) if whole else None for number in row]


def _standard(standard: JsonObject) -> JsonObject:
    found = Counter(item["status"] for item in standard["items"])
    return standard | {"counts": {status: found[status] for status in STATUSES if found[status]}}


FORM = 1
TITLE = "Evaluation of the networks"


def model_part(candidate: Candidate, *, screening: bool, measured: JsonObject, audited: JsonObject) -> JsonObject:
    """Return what the report says of one network.

    Args:
        candidate: The network.
        screening: Whether it is the one that screens folders.
        measured: What `stats.measuring.measure_model` says of the test split.
        audited: What `audits` says of it.
    """
    description = candidate.model.description
    return {
        "name": candidate.name,
        "screening": screening,
        "members": list(candidate.model.members),
        "initialisation": description["initialisation"],
        "parameters": description["parameters"],
        "gflop": description["gflop_per_image"],
        "epochs": description["training"]["epochs"],
        "best_epoch": description["training"]["best_epoch"],
        "validation_log_loss": candidate.validation_log_loss,
        **measured,
        **audited,
        "errors": confident_errors(candidate.test, candidate.probabilities),
        "examples": examples(candidate.test, candidate.probabilities),
    }


def assemble(
    candidates: Sequence[Candidate],
    models: Sequence[JsonObject],
    floor: JsonObject,
    audits: Sequence[JsonObject],
    split_report: JsonObject,
    comparisons: Sequence[JsonObject],
    params: Mapping[str, Any],
) -> JsonObject:
    """Return the report.

    Args:
        candidates: The networks.
        models: Their parts, as `model_part` returns them, in the same order.
        floor: Floor, frame probe, oracle and chance.
        audits: Records of prepare, split and evaluate, each with its `stage`.
        split_report: Content of reports/split.json.
        comparisons: Network against network.
        params: Content of params.yaml.
    """
    data = candidates[0].model.description["data"]
    report = {
        "format": FORM,
        "title": TITLE,
        "data": {
            "images": data["images"],
            "synthetic_images": data["synthetic_images"],
            "sha256": data["sha256"],
            "classes": data["images_per_class"],
            "classes_by_split": split_report["classes_by_split"],
            "sources": split_report["sources"],
        },
        "verdict": verdict(models, audits, floor),
        "banner": banner(floor),
        "waivers": [
            {"stage": audit["stage"], "audit": audit["name"], "why": audit["waiver"]}
            for audit in audits
            if audit["waiver"]
        ],
        "flow": split_report["flow"],
        "audits": list(audits),
        "floor": floor,
        "chance": floor["chance"],
        "screening_model": next(model["name"] for model in models if model["screening"]),
        "models": list(models),
        "comparisons": list(comparisons),
        "learning_curves": [epoch for candidate in candidates for epoch in _epochs(candidate)],
        "reproducibility": _reproducibility(candidates, params),
        "limitations": list(LIMITATIONS),
    }
    return add_derived_figures(report)


def _epochs(candidate: Candidate) -> list[JsonObject]:
    columns = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")
    if candidate.history is None:
        return []
    rows = candidate.history[list(columns)].to_dict("records")
    return [
        {"model": candidate.name, "epoch": int(row["epoch"])} | {c: round(float(row[c]), 6) for c in columns[1:]}
        for row in rows
    ]


def _reproducibility(candidates: Sequence[Candidate], params: Mapping[str, Any]) -> JsonObject:
    """Without the commit: the report is part of what is committed; git says which one holds it."""
    description = candidates[0].model.description
    return {
        "commit": None,
        "data_sha256": description["data"]["sha256"],
        "params": {name: params[name] for name in params},
        "versions": dict(description["environment"]),
        "networks": {candidate.name: candidate.model.network_sha256 for candidate in candidates},
    }


def metrics_json(model: JsonObject) -> JsonObject:
    """Return what reports/metrics/<model>.json holds, from the model's part of the report.

    At most 40 keys. The same ones for every model: what could not be measured is null.
    """
    metrics, answering = model["metrics"], model["answering"]["gated"]
    calibration, worst = model["calibration"], worst_source(model)
    return {
        **{
            f"{name}{ending}": metrics[name][key]
            for name in ("accuracy", "balanced_accuracy")
            for key, ending in (("value", ""), ("low", "_low"), ("high", "_high"))
        },
        "macro_f1": metrics["macro_f1"],
        "macro_auc": metrics["macro_auc"]["value"],
        "log_loss": metrics["log_loss"]["value"],
        "brier": metrics["brier"]["value"],
        "ece": calibration["after"]["ece15"],
        "temperature": calibration["temperature"],
        "sensitivity": {one["name"]: one["sensitivity"]["value"] for one in model["classes"]},
        "specificity": {one["name"]: one["specificity"]["value"] for one in model["classes"]},
        "operating_points": {
            point["name"]: {key: point[key]["value"] for key in ("sensitivity", "specificity")}
            for point in model["operating_points"]
        },
        "answered": {"share": answering["answered"]["value"], "error_rate": _value(answering["error_answered"])},
        "referred": {
            "share": answering["referred"]["value"],
            "errors_share": _value(answering["share_of_errors_referred"]),
        },
        "rejected": {"share": answering["rejected"]["value"]},
        "augrc": model["selective"]["augrc"],
        "lift_over_floor": model["lift"]["over_floor"]["value"],
        "lift_over_frame": model["lift"]["over_frame"]["value"],
        "lung_dependence": model["dependence"]["lung_dependence"],
        "worst_source_recall": worst["recall"]["value"] if worst else None,
        "validation_log_loss": model["validation_log_loss"],
        "test_images": model["n"],
        "initialisation": model["initialisation"],
    }


def _value(share: JsonObject | None) -> float | None:
    return share["value"] if share else None
