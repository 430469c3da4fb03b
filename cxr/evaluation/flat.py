"""Few and flat numbers of a model, so that `dvc metrics diff` stays readable."""

from cxr.files import JsonObject


def flat_metrics(model: JsonObject) -> JsonObject:
    """Return what reports/metrics/<model>.json holds, from the model's part of the report.

    At most 40 keys. The same ones for every model: what could not be measured is null.
    """
    metrics, referred = model["metrics"], model["conformal"]["referred"]
    calibration, worst = model["calibration"], worst_source(model)
    return {
        **{name: metrics[name]["value"] for name in ("accuracy", "balanced_accuracy")},
        **{f"balanced_accuracy_{end}": metrics["balanced_accuracy"][end] for end in ("low", "high")},
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
        "referred": referred["share"]["value"],
        "error_answered": referred["error_answered"]["value"] if referred["error_answered"] else None,
        "augrc": model["selective"]["augrc"],
        "lift_over_floor": model["lift"]["over_floor"]["value"],
        "lift_over_frame": model["lift"]["over_frame"]["value"],
        "lung_dependence": model["dependence"]["lung_dependence"],
        "worst_source_recall": worst["recall"]["value"] if worst else None,
        "validation_log_loss": model["validation_log_loss"],
        "test_images": model["n"],
        "initialisation": model["initialisation"],
    }


def worst_source(model: JsonObject) -> JsonObject | None:
    """Return the held-out source of lowest recall among those that are large enough, or None."""
    known = [one for one in model.get("sources") or [] if not one["small"] and one["recall"]["value"] is not None]
    worst: JsonObject | None = min(known, key=lambda one: float(one["recall"]["value"]), default=None)
    return worst
