"""A new model beside the old one, on the test split of the new one's run: paired differences, speed, verdict."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr.core.audit import Result
from cxr.core.errors import DataError, ModelError
from cxr.core.files import JsonObject, read_json
from cxr.core.image import Plane, pixels_digest
from cxr.core.manifest import IMAGES_FILE, read_images, read_table
from cxr.core.records import as_json
from cxr.evaluation.screening_model import MAX_BYTES, model_files
from cxr.evaluation.stats.classification import Predictions
from cxr.evaluation.stats.intervals import (
    Floats,
    percentile,
    resample,
    rounded,
    weighted_balanced_accuracy,
    weighted_mean,
)
from cxr.inference.decisions import PIXEL_DIGITS, disagreeing
from cxr.inference.gate import GATE_FILE
from cxr.inference.model_folder import ScreeningModel
from cxr.inference.network import NETWORK_FILE, NETWORK_WEIGHTS_FILE, Network, openvino_module, softmax
from cxr.inference.outputs import SavedOutputs, run_network

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class PairedPredictions:
    """Answers of two models on the same n images, in one order.

    Attributes:
        new: Of the model that wants to ship.
        old: Of the model that ships.
        known_to_old: Number of test images that the old model was trained on; they are not among the n.
        old_may_know: Whether nobody can tell: the old model does not say what it was trained on.
    """

    new: Predictions
    old: Predictions
    known_to_old: int
    old_may_know: bool


def require_alike(new: ScreeningModel, old: ScreeningModel, images: Plane) -> None:
    """Refuse models that cannot answer the same planes.

    Raises:
        ModelError: They differ in their classes, or one takes planes of another side than the run has.
    """
    if new.classes != old.classes:
        raise ModelError(
            f"{new.folder} answers {', '.join(new.classes)}, {old.folder} {', '.join(old.classes)}; only models with "
            "the same classes in the same order can be compared"
        )
    for model in (new, old):
        if model.plane_side != images.shape[1]:
            raise ModelError(
                f"{model.folder} takes planes of {model.plane_side} pixels, the run has {images.shape[1]}; compare "
                "on a run that was prepared with that image.side"
            )


def pair_predictions(
    new: ScreeningModel, old: ScreeningModel, table: "pd.DataFrame", images: Plane
) -> PairedPredictions:
    """Run both models over the test split.

    Args:
        new: Was not trained on that split.
        old: Any model of the same classes and planes.
        table: Split table of the new model's run.
        images: uint8 (n, side, side), see its column `index`.

    Raises:
        DataError: The old model was trained on all test images of a class.
        ModelError: The models cannot be compared.
    """
    require_alike(new, old, images)
    test = table[table["split"] == "test"]
    known = _known(old, images[test["index"].to_numpy(np.int64)])
    test = test[~known]
    lacking = [label for label in new.classes if label not in set(test["label"])]
    if lacking:
        raise DataError(
            f"the test split has no image of {lacking[0]} that {old.folder} was not trained on "
            f"({int(known.sum()):,} were left out); compare on a run with other images, or another seed"
        )
    first, second = (saved_predictions(model, run_network(model, test, images)) for model in (new, old))
    return PairedPredictions(first, second, int(known.sum()), old.decisions is None)


def saved_predictions(model: ScreeningModel, outputs: SavedOutputs) -> Predictions:
    """Return a model's answers, calibrated as it screens."""
    logits = outputs.logits
    probabilities = model.decisions.probabilities(logits) if model.decisions else softmax(logits)
    return Predictions(outputs.classes, outputs.truth, probabilities, outputs.group)


def _known(model: ScreeningModel, planes: Plane) -> NDArray[np.bool_]:
    """Tell which planes a model was trained on, bool (n,); none where it does not say."""
    trained = model.decisions.training_pixels if model.decisions else frozenset[str]()
    return np.array([pixels_digest(plane)[:PIXEL_DIGITS] in trained for plane in planes], np.bool_)


LOWER_IS_BETTER = frozenset({"log_loss"})


def differences(pair: PairedPredictions, target: str, seed: int) -> JsonObject:
    """Measure both models and the difference new less old.

    Args:
        pair: Their answers.
        target: Class whose sensitivity counts; an image is found where it is the most probable one.
        seed: Of the bootstrap.

    Returns:
        For accuracy, balanced_accuracy, `<target>_sensitivity` and log_loss: `new` and `old`, a number each, and
        `difference` with its 95 % interval; bounds are null where no draw moves it.
    """
    number = pair.new.classes.index(target)

    def drawn(weights: Floats) -> dict[str, Floats]:
        new, old = (_figures(answers, number, weights) for answers in (pair.new, pair.old))
        return {name: new[name] - old[name] for name in new}

    once = np.ones((1, len(pair.new)))
    new, old = (_figures(answers, number, once) for answers in (pair.new, pair.old))
    gaps = resample(drawn, pair.new.truth, pair.new.group, seed)
    return {
        name.replace("target", target): {
            "new": rounded(float(new[name][0])),
            "old": rounded(float(old[name][0])),
            "difference": as_json(percentile(*gaps[name])),
        }
        for name in new
    }


def is_worse(name: str, difference: JsonObject) -> bool:
    """Tell whether the whole interval of a difference, new less old, lies on the worse side."""
    value = difference["value"] or 0.0
    low, high = (value if difference[end] is None else difference[end] for end in ("low", "high"))
    return bool(low > 0 if name in LOWER_IS_BETTER else high < 0)


def _figures(answers: Predictions, target: int, weights: Floats) -> dict[str, Floats]:
    of_target = answers.truth == target
    return {
        "accuracy": weighted_mean(answers.right, weights),
        "balanced_accuracy": weighted_balanced_accuracy(answers.truth, answers.right, weights),
        "target_sensitivity": weighted_mean(answers.right[of_target], weights[:, of_target]),
        "log_loss": weighted_mean(answers.losses, weights),
    }


ROUNDS = 15
PLANES = 64  # at most, a round

Clock = Callable[[], float]


def time_beside(new: Network, old: Network, planes: Plane, clock: Clock = time.perf_counter) -> JsonObject:
    """Time both networks over the same planes, in turns.

    Args:
        new: The one whose speed is asked for.
        old: The one that it is compared with.
        planes: uint8 (n, side, side); the first PLANES are taken.
        clock: Gives seconds.

    Returns:
        `new` and `old`, milliseconds an image, and `ratio`, how many times faster the new one is: each with
        `median`, `low` and `high` quartile over ROUNDS. A ratio is taken within a round.
    """
    some = np.ascontiguousarray(planes[:PLANES])
    for network in (new, old):
        network.logits(some)  # the first run allocates
    seconds = np.array([[_seconds(network, some, clock) for network in (new, old)] for _ in range(ROUNDS)])
    milliseconds = 1000 * seconds / len(some)
    return {
        "new": _quartiles(milliseconds[:, 0]),
        "old": _quartiles(milliseconds[:, 1]),
        "ratio": _quartiles(seconds[:, 1] / seconds[:, 0]),
    }


def _seconds(network: Network, planes: Plane, clock: Clock) -> float:
    start = clock()
    network.logits(planes)
    return clock() - start


def _quartiles(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> JsonObject:
    low, median, high = np.percentile(values, [25, 50, 75])
    return {"median": round(float(median), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


WORTH = 1.5  # times faster, or it is not worth another set of bytes to test


def compare_fp16(model: ScreeningModel, planes: Plane) -> JsonObject:
    """Save the network with `compress_to_fp16` and compare it with itself.

    Args:
        model: In float32.
        planes: uint8 (n, side, side), of validation.

    Returns:
        Number of images, largest_change of a probability, decisions_changed (of predicted classes where the model has
        no decisions), `speed` as `time_beside` gives it, bytes of both, and `taken`: no decision changes, and the
        median ratio is at least WORTH.
    """
    with tempfile.TemporaryDirectory() as folder:
        xml = Path(folder) / NETWORK_FILE
        openvino = openvino_module()
        openvino.save_model(
            openvino.Core().read_model(str(model.folder / NETWORK_FILE)), str(xml), compress_to_fp16=True
        )
        half = Network(xml)
        size = sum((Path(folder) / name).stat().st_size for name in (NETWORK_FILE, NETWORK_WEIGHTS_FILE))
        before, after = (_decided(model, network, planes) for network in (model.network, half))
        speed = time_beside(half, model.network, planes)
    changed = sum(one != other for one, other in zip(before[1], after[1], strict=True))
    return {
        "images": len(planes),
        "largest_change": float(f"{np.abs(before[0] - after[0]).max():.3g}"),
        "decisions_changed": changed,
        "speed": speed,
        "bytes": size,
        "bytes_float32": sum((model.folder / name).stat().st_size for name in (NETWORK_FILE, NETWORK_WEIGHTS_FILE)),
        "taken": changed == 0 and speed["ratio"]["median"] >= WORTH,
    }


def _decided(model: ScreeningModel, network: Network, planes: Plane) -> tuple[NDArray[np.float64], list[object]]:
    """Return probabilities, and what is decided by them at the model's own operating point."""
    said = network.screen(planes)
    if model.decisions is None:
        probabilities = softmax(said.logits)
        return probabilities, list(probabilities.argmax(axis=1))
    probabilities = model.decisions.probabilities(said.logits)
    apart = None if said.members is None else disagreeing(said.members)
    return probabilities, list(model.decisions.decide(probabilities, model.operating_point, disagreeing=apart))


FIGURES = ("worst_source_recall", "lift_over_frame", "lung_dependence")


def reported_metrics(model: ScreeningModel) -> JsonObject:
    """Return the figures of a model that need no second run.

    Returns:
        `failed_audits`, ids of the audits that failed, sorted; FIGURES as `evaluate` measured them; bytes of its
        files without the description; gflop an image, with that of the gate where it has one. Null where the
        description has none.
    """
    evaluation: Mapping[str, Any] = model.description.get("evaluation") or {}
    return {
        "failed_audits": _failed(evaluation.get("card") or {}),
        **{name: evaluation.get(name) for name in FIGURES},
        "bytes": sum(file.stat().st_size for file in model_files(model.folder, model.description)),
        "gflop": _gflop(model),
    }


def _gflop(model: ScreeningModel) -> float | None:
    costs = [model.description, *([read_json(model.folder / GATE_FILE)] if model.gate else [])]
    each = [float(cost["gflop_per_image"]) for cost in costs if "gflop_per_image" in cost]
    return round(sum(each), 4) if len(each) == len(costs) else None


def _failed(card: Mapping[str, Any]) -> list[str] | None:
    audits: Mapping[str, str] | None = card.get("audits")
    return None if audits is None else sorted(id for id, result in audits.items() if result == Result.FAIL)


MAX_GFLOP = 0.3  # an image: what keeps screening bound by decoding


def release_verdict(report: JsonObject, target: str) -> list[JsonObject]:
    """Return the conditions, each with `condition`, `found` and `holds`.

    Args:
        report: With `figures`, and `new` and `old` as `cxr.validation.compare.reported_metrics` gives them.
        target: Class whose sensitivity counts.
    """
    counted = ("balanced_accuracy", f"{target}_sensitivity", "log_loss")
    return [*(_not_worse(name, report["figures"][name]["difference"]) for name in counted), *_others(report)]


def _not_worse(name: str, difference: JsonObject) -> JsonObject:
    bounds = "does not vary" if difference["low"] is None else f"{difference['low']:+.4f} to {difference['high']:+.4f}"
    return _line(
        f"{name} is not lower" if name != "log_loss" else "log_loss is not higher",
        f"{difference['value']:+.4f}, {bounds}",
        not is_worse(name, difference),
    )


def _others(report: JsonObject) -> list[JsonObject]:
    new, old = report["new"], report["old"]
    failed, before = new["failed_audits"], old["failed_audits"] or []
    fresh = [id for id in failed or [] if id not in before]
    named = "its model.json names no audits" if failed is None else ", ".join(fresh) or "none"
    gflop = new["gflop"]
    return [
        _line("no audit fails that did not fail before", named, failed is not None and not fresh),
        _line(f"at most {MAX_BYTES:,} bytes", f"{new['bytes']:,}", new["bytes"] <= MAX_BYTES),
        _line(
            f"at most {MAX_GFLOP} GFLOP an image",
            "not stated" if gflop is None else f"{gflop:.3f}",
            gflop is not None and gflop <= MAX_GFLOP,
        ),
    ]


def _line(condition: str, found: str, holds: bool) -> JsonObject:
    return {"condition": condition, "found": found, "holds": bool(holds)}


PREPARED, SPLIT = Path("work/prepared"), Path("work/split.csv")


def compare(new: ScreeningModel, old: ScreeningModel, run: Path, seed: int = 0) -> JsonObject:
    """Measure both models on what the new one was not trained on, and judge the new one.

    Args:
        new: Made by the run.
        old: The one that ships.
        run: Folder of the project in which the new model was made, with work/prepared and work/split.csv.
        seed: Of the bootstrap.

    Returns:
        `new` and `old` (identity, see `stated`), `target`, `images`, `known_to_old`, `old_may_know`, `figures`,
        `speed`, `compare_fp16`, `conditions` and `not_worse`.

    Raises:
        DataError: The run is not there, or has nothing to compare on.
        ModelError: The models cannot be compared.
    """
    table, images = read_table(run / SPLIT), read_images(run / PREPARED / IMAGES_FILE)
    both = pair_predictions(new, old, table, images)
    target = new.decisions.target if new.decisions else new.classes[0]
    planes = {
        split: np.ascontiguousarray(images[table.loc[table["split"] == split, "index"].to_numpy(np.int64)])
        for split in ("validation", "test")
    }
    report: JsonObject = {
        "new": {"model": new.identity} | reported_metrics(new),
        "old": {"model": old.identity} | reported_metrics(old),
        "target": target,
        "images": len(both.new),
        "known_to_old": both.known_to_old,
        "old_may_know": both.old_may_know,
        "figures": differences(both, target, seed),
        "speed": time_beside(new.network, old.network, planes["test"]),
        "half_precision": compare_fp16(new, planes["validation"]),
    }
    conditions = release_verdict(report, target)
    return report | {"conditions": conditions, "not_worse": all(line["holds"] for line in conditions)}
