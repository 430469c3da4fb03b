"""A new model beside the old one, on the test split of the new one's run: paired differences, speed, verdict."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.core.errors import DataError, ModelError
from cxr.core.files import read_json, scratch_folder
from cxr.core.image import Plane, pixels_digest
from cxr.core.manifest import planes_of_side, read_table
from cxr.core.records import Result, from_json
from cxr.evaluation.stats.classification import Predictions
from cxr.evaluation.stats.intervals import (
    FINE_CHANGE,
    NUMBER,
    Floats,
    Interval,
    percentile,
    resample,
    rounded,
    weighted_balanced_accuracy,
    weighted_mean,
)
from cxr.evaluation.unseen import UnseenHospitals
from cxr.evaluation.write import MAX_BYTES, model_files
from cxr.inference.decisions import PIXEL_DIGITS
from cxr.inference.gate import GATE_FILE
from cxr.inference.model_folder import ScreeningModel
from cxr.inference.network import NETWORK_FILE, NETWORK_WEIGHTS_FILE, Network, openvino_module, softmax
from cxr.inference.outputs import SavedOutputs, run_network


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


def _require_alike(new: ScreeningModel, old: ScreeningModel) -> None:
    """Raise ModelError for models that differ in their classes."""
    if new.classes != old.classes:
        raise ModelError(
            f"{new.folder} answers {', '.join(new.classes)}, {old.folder} {', '.join(old.classes)}; only models with "
            "the same classes in the same order can be compared"
        )


def pair_predictions(
    new: ScreeningModel, old: ScreeningModel, table: pd.DataFrame, planes_of: Callable[[int], Plane]
) -> PairedPredictions:
    """Run both models over the test split.

    Args:
        new: Was not trained on that split.
        old: Any model of the same classes.
        table: Split table of the new model's run.
        planes_of: Opens the planes of a side, uint8 (n, side, side), see the table's column `index`.

    Raises:
        DataError: The old model was trained on all test images of a class, or there are no planes for a model.
        ModelError: The models cannot be compared.
    """
    _require_alike(new, old)
    test = table[table["split"] == "test"]
    known = _known(old, planes_of(old.plane_side)[test["index"].to_numpy(np.int64)])
    test = test[~known]
    lacking = [label for label in new.classes if label not in set(test["label"])]
    if lacking:
        raise DataError(
            f"the test split has no image of {lacking[0]} that {old.folder} was not trained on "
            f"({int(known.sum()):,} were left out); compare on a run with other images, or another seed"
        )
    first, second = (
        _saved_predictions(model, run_network(model, test, planes_of(model.plane_side))) for model in (new, old)
    )
    return PairedPredictions(first, second, int(known.sum()), old.decisions is None)


def _saved_predictions(model: ScreeningModel, outputs: SavedOutputs) -> Predictions:
    """Return a model's answers, calibrated as it screens."""
    logits = outputs.logits
    probabilities = model.decisions.probabilities(logits) if model.decisions else softmax(logits)
    return Predictions(outputs.classes, outputs.truth, probabilities, outputs.group)


def _known(model: ScreeningModel, planes: Plane) -> NDArray[np.bool_]:
    """Tell which planes a model was trained on, bool (n,); none where it does not say."""
    trained = model.decisions.training_pixels if model.decisions else frozenset[str]()
    return np.array([pixels_digest(plane)[:PIXEL_DIGITS] in trained for plane in planes], np.bool_)


LOWER_IS_BETTER = frozenset({"log_loss"})


@dataclass(frozen=True, slots=True)
class PairedFigure:
    """One figure of both models, six decimals.

    Attributes:
        new: Of the model that wants to ship.
        old: Of the model that ships.
        difference: New less old; without bounds where no draw moves it.
    """

    new: float | None
    old: float | None
    difference: Interval


def differences(pair: PairedPredictions, target: str, seed: int) -> dict[str, PairedFigure]:
    """Measure both models and the difference new less old.

    Args:
        pair: Their answers.
        target: Class whose sensitivity counts; an image is found where it is the most probable one.
        seed: Of the bootstrap.

    Returns:
        accuracy, balanced_accuracy, `<target>_sensitivity` and log_loss.
    """
    number = pair.new.classes.index(target)

    def drawn(weights: Floats) -> dict[str, Floats]:
        new, old = (_figures(answers, number, weights) for answers in (pair.new, pair.old))
        return {name: new[name] - old[name] for name in new}

    once = np.ones((1, len(pair.new)))
    new, old = (_figures(answers, number, once) for answers in (pair.new, pair.old))
    gaps = resample(drawn, pair.new.truth, pair.new.group, seed)
    return {
        name.replace("target", target): PairedFigure(
            rounded(float(new[name][0])), rounded(float(old[name][0])), percentile(*gaps[name])
        )
        for name in new
    }


def is_worse(name: str, difference: Interval) -> bool:
    """Tell whether the whole interval of a difference, new less old, lies on the worse side."""
    value = difference.value or 0.0
    low, high = (value if end is None else end for end in (difference.low, difference.high))
    return low > 0 if name in LOWER_IS_BETTER else high < 0


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


@dataclass(frozen=True, slots=True)
class Quartiles:
    """A figure over ROUNDS, four decimals."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairedSpeed:
    """The speed of two networks.

    Attributes:
        new: Milliseconds an image.
        old: The same of the other one.
        ratio: How many times faster the new one is, taken within a round.
    """

    new: Quartiles
    old: Quartiles
    ratio: Quartiles


def time_beside(new: Network, old: Network, planes: Plane, clock: Clock = time.perf_counter) -> PairedSpeed:
    """Time both networks over the same planes, in turns.

    Args:
        new: The one whose speed is asked for.
        old: The one that it is compared with.
        planes: uint8 (n, side, side); the first PLANES are taken.
        clock: Gives seconds.
    """
    some = np.ascontiguousarray(planes[:PLANES])
    for network in (new, old):
        network.logits(some)  # the first run allocates
    seconds = np.array([[_seconds(network, some, clock) for network in (new, old)] for _ in range(ROUNDS)])
    milliseconds = 1000 * seconds / len(some)
    return PairedSpeed(
        _quartiles(milliseconds[:, 0]), _quartiles(milliseconds[:, 1]), _quartiles(seconds[:, 1] / seconds[:, 0])
    )


def _seconds(network: Network, planes: Plane, clock: Clock) -> float:
    start = clock()
    network.logits(planes)
    return clock() - start


def _quartiles(values: Floats) -> Quartiles:
    low, median, high = (round(float(value), 4) for value in np.percentile(values, [25, 50, 75]))
    return Quartiles(median, low, high)


WORTH = 1.5  # times faster, or it is not worth another set of bytes to test


@dataclass(frozen=True, slots=True)
class HalfPrecision:
    """A network in 16-bit weights beside itself.

    Attributes:
        images: How many both answered.
        largest_change: Of a probability.
        decisions_changed: Number of images; of predicted classes where the model has no decisions.
        speed: `new` is the one in 16 bit.
        bytes: Of its two files.
        bytes_float32: Of the original's.
        taken: Whether no decision changes and the median ratio is at least WORTH.
    """

    images: int
    largest_change: float
    decisions_changed: int
    speed: PairedSpeed
    bytes: int
    bytes_float32: int
    taken: bool


def compare_fp16(model: ScreeningModel, planes: Plane) -> HalfPrecision:
    """Save the network with `compress_to_fp16` and compare it with itself.

    Args:
        model: In float32.
        planes: uint8 (n, side, side), of validation.
    """
    with scratch_folder() as folder:
        xml = folder / NETWORK_FILE
        openvino = openvino_module()
        openvino.save_model(
            openvino.Core().read_model(str(model.folder / NETWORK_FILE)), str(xml), compress_to_fp16=True
        )
        half = Network(xml)
        size = _network_bytes(folder)
        before, after = (_decided(model, network, planes) for network in (model.network, half))
        speed = time_beside(half, model.network, planes)
    changed = sum(one != other for one, other in zip(before[1], after[1], strict=True))
    return HalfPrecision(
        images=len(planes),
        largest_change=float(f"{np.abs(before[0] - after[0]).max():.3g}"),
        decisions_changed=changed,
        speed=speed,
        bytes=size,
        bytes_float32=_network_bytes(model.folder),
        taken=changed == 0 and speed.ratio.median >= WORTH,
    )


def _network_bytes(folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in (NETWORK_FILE, NETWORK_WEIGHTS_FILE))


def _decided(model: ScreeningModel, network: Network, planes: Plane) -> tuple[NDArray[np.float64], list[object]]:
    """Return probabilities, and what is decided by them at the model's own operating point."""
    said = network.screen(planes)
    if model.decisions is None:
        probabilities = softmax(said.logits)
        return probabilities, list(probabilities.argmax(axis=1))
    probabilities = model.decisions.probabilities(said.logits)
    apart = model.decisions.disagreeing(said.members)
    return probabilities, list(model.decisions.decide(probabilities, model.operating_point, disagreeing=apart))


@dataclass(frozen=True, slots=True)
class ReportedMetrics:
    """Figures of a model that need no second run; None where its description has none.

    Attributes:
        model: Its identity.
        failed_audits: Ids, sorted.
        worst_source_recall: As `evaluate` measured it, as the next two.
        lift_over_frame: Balanced accuracy above that of the border baseline.
        lung_dependence: Share of what is above chance that is lost without the lungs.
        bytes: Of its files without the description.
        gflop: An image, with that of the gate where it has one.
        unseen_alarms: Share called the target of all films without it, of hospitals that were left out of training.
    """

    model: str
    failed_audits: tuple[str, ...] | None
    worst_source_recall: float | None
    lift_over_frame: float | None
    lung_dependence: float | None
    bytes: int
    gflop: float | None
    unseen_alarms: Interval | None = None


def reported_metrics(model: ScreeningModel) -> ReportedMetrics:
    """Return what a model's description reports, and what its files weigh."""
    evaluation: Mapping[str, Any] = model.description.get("evaluation") or {}
    return ReportedMetrics(
        model=model.identity,
        failed_audits=_failed((evaluation.get("card") or {}).get("audits")),
        worst_source_recall=evaluation.get("worst_source_recall"),
        lift_over_frame=evaluation.get("lift_over_frame"),
        lung_dependence=evaluation.get("lung_dependence"),
        bytes=sum(file.stat().st_size for file in model_files(model.folder, model.description)),
        gflop=_gflop(model),
        unseen_alarms=_unseen_alarms((evaluation.get("card") or {}).get("unseen")),
    )


def _unseen_alarms(unseen: Mapping[str, Any] | None) -> Interval | None:
    found = from_json(UnseenHospitals, unseen) if unseen else None
    return found.alarms if found else None


def _gflop(model: ScreeningModel) -> float | None:
    costs = [model.description, *([read_json(model.folder / GATE_FILE)] if model.gate else [])]
    each = [float(cost["gflop_per_image"]) for cost in costs if "gflop_per_image" in cost]
    return round(sum(each), 4) if len(each) == len(costs) else None


def _failed(audits: Mapping[str, str] | None) -> tuple[str, ...] | None:
    return None if audits is None else tuple(sorted(id for id, result in audits.items() if result == Result.FAIL))


MAX_GFLOP = 0.3  # an image: what keeps screening bound by decoding


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold before a model ships.

    Attributes:
        condition: In words.
        found: What was found, in words.
        holds: Whether it does.
    """

    condition: str
    found: str
    holds: bool


def release_verdict(
    figures: Mapping[str, PairedFigure], new: ReportedMetrics, old: ReportedMetrics, target: str
) -> tuple[Condition, ...]:
    """Return the conditions under which the new model may ship.

    Args:
        figures: From `differences`.
        new: Of the model that wants to ship.
        old: Of the model that ships.
        target: Class whose sensitivity counts.
    """
    counted = ("balanced_accuracy", f"{target}_sensitivity", "log_loss")
    return (
        *(_not_worse(name, figures[name].difference) for name in counted),
        *_unseen(new.unseen_alarms, old.unseen_alarms, target),
        *_costs(new, old),
    )


def _unseen(new: Interval | None, old: Interval | None, target: str) -> Iterator[Condition]:
    """Give the condition on hospitals that training never saw; none where neither model was measured there."""
    if new is None and old is None:
        return
    found = [NUMBER.interval(one) if one else "not measured" for one in (new, old)]
    # The films may be others, so nothing is paired: the new interval must not lie wholly above the old one.
    worse = old is not None and (new is None or (new.low or 0.0) > (old.high or 1.0))
    yield Condition(
        f"films of hospitals that training never saw are not called {target} more often",
        f"{found[0]}, before {found[1]}",
        not worse,
    )


def _not_worse(name: str, difference: Interval) -> Condition:
    bounds = "does not vary" if difference.low is None else FINE_CHANGE.bounds(difference)
    return Condition(
        f"{name} is not lower" if name not in LOWER_IS_BETTER else f"{name} is not higher",
        f"{FINE_CHANGE.number(difference.value)}, {bounds}",
        not is_worse(name, difference),
    )


def _costs(new: ReportedMetrics, old: ReportedMetrics) -> Iterator[Condition]:
    failed, before = new.failed_audits, old.failed_audits or ()
    fresh = [id for id in failed or () if id not in before]
    named = "its model.json names no audits" if failed is None else ", ".join(fresh) or "none"
    yield Condition("no audit fails that did not fail before", named, failed is not None and not fresh)
    yield Condition(f"at most {MAX_BYTES:,} bytes", f"{new.bytes:,}", new.bytes <= MAX_BYTES)
    yield Condition(
        f"at most {MAX_GFLOP} GFLOP an image",
        "not stated" if new.gflop is None else NUMBER.number(new.gflop),
        new.gflop is not None and new.gflop <= MAX_GFLOP,
    )


PREPARED, SPLIT = Path("work/prepared"), Path("work/split.csv")


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """Two models beside one another, and whether the new one may ship.

    Attributes:
        new: What the model that wants to ship reports.
        old: The same of the model that ships.
        target: Class whose sensitivity counts.
        images: Of the test split, that the old model was not trained on.
        known_to_old: The others.
        old_may_know: Whether the old model does not say what it was trained on.
        figures: On those images.
        speed: On some of them; None where it was not to be measured, and so the next.
        half_precision: The new network in 16 bit.
        conditions: Under which the new model may ship.
        not_worse: Whether all of them hold.
    """

    new: ReportedMetrics
    old: ReportedMetrics
    target: str
    images: int
    known_to_old: int
    old_may_know: bool
    figures: Mapping[str, PairedFigure]
    speed: PairedSpeed | None = field(metadata={"absent": True})
    half_precision: HalfPrecision | None = field(metadata={"absent": True})
    conditions: tuple[Condition, ...]
    not_worse: bool


def compare(
    new: ScreeningModel, old: ScreeningModel, run: Path, seed: int = 0, *, timed: bool = True
) -> ModelComparison:
    """Measure both models on what the new one was not trained on, and judge the new one.

    Args:
        new: Made by the run.
        old: The one that ships.
        run: Folder of the project in which the new model was made, with work/prepared and work/split.csv.
        seed: Of the bootstrap.
        timed: Whether speed is measured too, which differs from run to run.

    Raises:
        DataError: The run is not there, or has nothing to compare on.
        ModelError: The models cannot be compared.
    """
    table, planes_of = read_table(run / SPLIT), partial(planes_of_side, run / PREPARED)
    images = planes_of(new.plane_side)
    pair = pair_predictions(new, old, table, planes_of)
    target = new.decisions.target if new.decisions else new.classes[0]
    figures, reported = differences(pair, target, seed), (reported_metrics(new), reported_metrics(old))
    conditions = release_verdict(figures, *reported, target)
    return ModelComparison(
        new=reported[0],
        old=reported[1],
        target=target,
        images=len(pair.new),
        known_to_old=pair.known_to_old,
        old_may_know=pair.old_may_know,
        figures=figures,
        speed=time_beside(new.network, old.network, _planes(table, images, "test")) if timed else None,
        half_precision=compare_fp16(new, _planes(table, images, "validation")) if timed else None,
        conditions=conditions,
        not_worse=all(one.holds for one in conditions),
    )


def _planes(table: pd.DataFrame, images: Plane, split: str) -> Plane:
    return np.ascontiguousarray(images[table.loc[table["split"] == split, "index"].to_numpy(np.int64)])
