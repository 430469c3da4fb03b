"""Few and flat numbers of a model, so that `dvc metrics diff` stays readable."""

from cxr.files import JsonObject


def flat_metrics(model: JsonObject) -> JsonObject:
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


def worst_source(model: JsonObject) -> JsonObject | None:
    """Return the held-out source of lowest recall among those that are large enough, or None."""
    known = [one for one in model.get("sources") or [] if not one["small"] and one["recall"]["value"] is not None]
    worst: JsonObject | None = min(known, key=lambda one: float(one["recall"]["value"]), default=None)
    return worst
