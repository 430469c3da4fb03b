"""What there is to choose from: trained networks with saved outputs, and decisions fitted on validation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from sklearn.metrics import log_loss

from cxr.core.errors import ModelError, ParamsError
from cxr.core.files import JsonObject, reason_of
from cxr.core.image import ImageFacts, Plane, pixels_digest
from cxr.core.params import Section, section
from cxr.core.records import as_json
from cxr.evaluation.stats.decisions import fit_decisions
from cxr.evaluation.stats.intervals import Probabilities
from cxr.evaluation.unseen import answered
from cxr.imaging.decode import require_plane_rule
from cxr.inference.decisions import (
    DECISIONS_FORM,
    LARGEST_ALPHA,
    PIXEL_DIGITS,
    QUANTILES,
    Decision,
    Decisions,
    parse_decisions,
)
from cxr.inference.gate import GATE_REASONS, Gate, Judged, Verdict, judge, load_gate, unjudged
from cxr.inference.lungs import LUNGS, load_lungs
from cxr.inference.model_folder import ScreeningModel, decided_on, describe_model, load_model, packaged_folder
from cxr.inference.network import CALIBRATION_FILE, softmax
from cxr.inference.outputs import BLOCK, SavedOutputs, apply_decisions, run_network

BEST = "best"
PACKAGED, NONE = "packaged", "none"
TARGET = "covid"  # also what leave_source_out takes where params.yaml says nothing


class EvaluateParams(Section):
    """The section `evaluate` of params.yaml."""

    screening_model: str = Field(BEST, description="A network's name, or best: the lowest validation log loss.")
    gate: str = Field(PACKAGED, description="What judges pictures first: packaged, none, or a folder of train_gate.")
    lungs: str = Field(
        PACKAGED, description="What finds lungs for audits and maps: packaged, none, or a folder of train_lungs."
    )
    target: str = Field(TARGET, description="Class that the operating points look for.")
    alpha: float = Field(
        0.02, gt=0, lt=LARGEST_ALPHA, description="Share of a class that its prediction sets may miss."
    )
    limitations: tuple[str, ...] = Field((), description="Further sentences for the limitations in report and card.")
    waivers: dict[str, str] = Field({}, description="Why an audit may fail without stopping, by the audit's id.")


def evaluate_params(values: Mapping[str, Any]) -> EvaluateParams:
    """Read the section `evaluate` of the content of params.yaml.

    Raises:
        ParamsError: A value is wrong, or the sources that `leave_source_out` holds out are those of another class.
    """
    own = section(values, "evaluate", EvaluateParams)
    refits = values.get("leave_source_out")  # release/params.yaml alone has it
    held_out = own.target if refits is None else refits.get("target", TARGET)
    if held_out != own.target:
        raise ParamsError(
            f"params.yaml: evaluate.target is '{own.target}', but leave_source_out.target is '{held_out}'; "
            f"set both to the same class"
        )
    return own


def gate_folder(params: EvaluateParams, side: int) -> Path | None:
    """Return the folder of the gate that judges before the networks; None where nothing is to. As `lungs_folder`."""
    return _folder_beside("gate", params.gate, side, lambda folder: load_gate(folder).plane_side)


def lungs_folder(params: EvaluateParams, side: int) -> Path | None:
    """Return the folder of the lung segmenter; None where nothing is to find lungs.

    Args:
        params: The section `evaluate`.
        side: Of the planes, in pixels.

    Raises:
        ParamsError: It takes other planes.
        ModelError: There is none in the folder, or its planes are made by another rule.
    """
    return _folder_beside(LUNGS, params.lungs, side, lambda folder: load_lungs(folder).plane_side)


def _folder_beside(what: str, named: str, side: int, side_of: Callable[[Path], int]) -> Path | None:
    if named == NONE:
        return None
    folder = packaged_folder() if named == PACKAGED else Path(named)
    if named == PACKAGED:  # one of this project is made of the same planes
        require_plane_rule(folder, describe_model(folder))
    taken = side_of(folder)
    if taken != side:
        raise ParamsError(
            f"params.yaml: evaluate.{what} is '{named}', which takes planes of {taken} pixels, but work/prepared has "
            f"{side}; train one for them with 'dvc repro release/dvc.yaml:train_{what}' and name its folder, which is "
            f"release/models/{what}, or do without: {NONE}"
        )
    return folder


def fit_on_validation(
    model: ScreeningModel,
    outputs: SavedOutputs,
    table: pd.DataFrame,
    images: Plane,
    params: EvaluateParams,
    calibration: pd.DataFrame | None = None,
) -> JsonObject:
    """Return the content of decisions.json. Nothing of the test split is looked at.

    Args:
        model: The network.
        outputs: What it said.
        table: The split table, in the order of `outputs`.
        images: uint8 (n, side, side).
        params: Target of the operating points, and alpha.
        calibration: Answers to fit on where the network learnt from validation too, as last_layer writes them; None:
            its own answers there.

    Raises:
        ParamsError: The target is no class.
        DataError: There is no validation split.
    """
    if params.target not in model.classes:
        raise ParamsError(
            f"params.yaml: evaluate.target is '{params.target}'; expected one of {', '.join(model.classes)}"
        )
    validation = unlearned(outputs.of("validation"), calibration)
    fitted_on = validation if calibration is None else answered(calibration, model.classes)
    form = {
        "decisions": DECISIONS_FORM,
        "network": model.network_sha256,
        "classes": list(model.classes),
        "data": model.description["data"]["sha256"],
        "validation_images": len(validation),
        **as_json(fit_decisions(fitted_on, params.target, params.alpha, decided_on(model.description))),
    }
    learned = {pixels_digest(images[row]) for row in outputs.of("train").index}
    learned |= set() if calibration is None else set(calibration["plane_sha256"])
    pixels = sorted({digest[:PIXEL_DIGITS] for digest in learned})
    fitted = parse_decisions(form | {"reference": None, "training_pixels": pixels})
    rows = table[table["split"] == "validation"]
    probabilities = fitted.probabilities(validation.logits)
    reference = _reference(probabilities, model.classes, images[validation.index], rows)
    own = validation.truth == model.classes.index(params.target)
    reference["target"] = _quantiles(probabilities[own, model.classes.index(params.target)])
    return form | {"reference": reference, "training_pixels": pixels}


def unlearned(validation: SavedOutputs, calibration: pd.DataFrame | None) -> SavedOutputs:
    """Return outputs on validation with the logits of `calibration` where the network learnt from validation too.

    Raises:
        ModelError: An image of validation has no answer there.
    """
    if calibration is None:
        return validation
    said = calibration.drop_duplicates("file").set_index("file")
    absent = sorted(set(validation.files.tolist()) - set(said.index))
    if absent:
        raise ModelError(f"{CALIBRATION_FILE} has no answer for {absent[0]}; run: dvc repro release/dvc.yaml")
    columns = [f"logit_{name}" for name in validation.classes]
    return replace(validation, logits=said.loc[validation.files.tolist(), columns].to_numpy(np.float32))


def _reference(
    probabilities: NDArray[np.float64], classes: tuple[str, ...], planes: Plane, rows: pd.DataFrame
) -> JsonObject:
    predicted = np.bincount(probabilities.argmax(axis=1), minlength=len(classes))
    return {
        "images": len(rows),
        "predictions": {name: int(count) for name, count in zip(classes, predicted, strict=True)},
        "confidence": _quantiles(probabilities.max(axis=1)),
        "brightness": _quantiles(planes.mean(axis=(1, 2)) / 255),
        "side": _quantiles(rows[["width", "height"]].max(axis=1).to_numpy(np.float64)),
    }


def _quantiles(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 6) for value in np.quantile(values, np.linspace(0, 1, QUANTILES))]


HISTORY_FILE = "history.csv"


@dataclass(frozen=True)
class Candidate:
    """One trained network.

    Attributes:
        model: Loaded from its folder.
        history: Its epochs, with the columns epoch, loss, accuracy, val_loss, val_accuracy; None for an ensemble.
        outputs: What it said of every image of the split table.
        decided: The content of its decisions.json, fitted on validation.
        judged: What the gate says of the same images; nothing where there is no gate.
        calibration: See `fit_on_validation`.
    """

    model: ScreeningModel
    history: pd.DataFrame | None
    outputs: SavedOutputs
    decided: JsonObject
    judged: Judged | None = None
    calibration: pd.DataFrame | None = None

    @property
    def name(self) -> str:
        """The network's name."""
        return self.outputs.name

    @cached_property
    def decisions(self) -> Decisions:
        """The decisions, ready to apply."""
        return parse_decisions(self.decided)

    @cached_property
    def test(self) -> SavedOutputs:
        """Its outputs on the test split."""
        return self.outputs.of("test")

    @cached_property
    def validation(self) -> SavedOutputs:
        """Its outputs on the validation split, or those of networks that did not learn from it."""
        return unlearned(self.outputs.of("validation"), self.calibration)

    @cached_property
    def probabilities(self) -> Probabilities:
        """Calibrated, of the test split, float64 (n, classes)."""
        return self.decisions.probabilities(self.test.logits)

    @cached_property
    def test_judged(self) -> Judged:
        """What the gate says of the test split."""
        judged = self.judged or unjudged(len(self.outputs))
        return judged.where(self.outputs.split == "test")

    @cached_property
    def test_decided(self) -> list[Decision | None]:
        """What is decided about the test split; None where the gate rejects."""
        return apply_decisions(self.test, self.decisions, self.test_judged)

    @cached_property
    def validation_log_loss(self) -> float:
        """Of the uncalibrated probabilities on the validation split; decides which network screens."""
        labels = np.arange(len(self.validation.classes))
        return round(float(log_loss(self.validation.truth, softmax(self.validation.logits), labels=labels)), 6)


def read_candidate(
    folder: Path,
    table: pd.DataFrame,
    planes_of: Callable[[int], Plane],
    params: EvaluateParams,
    judged: Judged | None = None,
) -> Candidate:
    """Load the network in `folder`, run it over the split table and fit its decisions on validation.

    Args:
        folder: Of the network.
        table: The split table.
        planes_of: Opens the planes of a side, uint8 (n, side, side).
        params: Target of the operating points, and alpha.
        judged: What the gate says of the same images.

    Raises:
        ModelError: The folder is not one that a train stage or `ensemble` wrote, or was made for other planes.
        DataError: A split is empty.
    """
    model = load_model(folder)
    history, images = None if model.members else _read_history(folder), planes_of(model.plane_side)
    outputs = run_network(model, table, images)
    calibration = _read_calibration(folder)
    decisions = fit_on_validation(model, outputs, table, images, params, calibration)
    return Candidate(model, history, outputs, decisions, judged, calibration)


def _read_calibration(folder: Path) -> pd.DataFrame | None:
    """Return what last_layer wrote for decisions to be fitted on; None where the network is not of that stage."""
    path = folder / CALIBRATION_FILE
    if not path.is_file():
        return None
    try:
        return pd.read_csv(path, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not what last_layer writes ({error}); run: dvc repro release/dvc.yaml") from error


def _read_history(folder: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(folder / HISTORY_FILE)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder} has no {HISTORY_FILE} that can be read ({reason_of(error)}); train it again: dvc repro"
        ) from error


def judge_images(gate: Gate, table: pd.DataFrame, images: Plane) -> Judged:
    """Judge every row of a split table.

    Args:
        gate: Its limits come first, then its network.
        table: A split table.
        images: uint8 (n, side, side).

    Raises:
        ModelError: The gate was made for planes of another side, or gives scores that are no numbers.
    """
    if images.shape[1] != gate.plane_side:
        raise ModelError(
            f"the gate takes planes of {gate.plane_side} pixels, work/prepared has {images.shape[1]}; run: dvc repro"
        )
    rows: list[Mapping[Any, Any]] = list(table.to_dict("records"))
    blocks = (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
    return Judged.of([verdict for block in blocks for verdict in _verdicts(gate, block, images)])


def _verdicts(gate: Gate, rows: Sequence[Mapping[Any, Any]], images: Plane) -> list[Verdict]:
    verdicts = list(judge({n: (_facts(row), images[row["index"]]) for n, row in enumerate(rows)}, gate).values())
    lost = [verdict for verdict in verdicts if verdict.reason and verdict.reason not in GATE_REASONS]
    if lost:
        raise ModelError(
            f"the gate has no verdict on {len(lost)} images ({lost[0].detail}); "
            "run: dvc repro release/dvc.yaml:train_gate"
        )
    return verdicts


def _facts(row: Mapping[Any, Any]) -> ImageFacts:
    size = row["width"], row["height"]
    return ImageFacts(*size, row["mode"], row["bit_depth"], row["format"], colour=row["colour"])


def choose(candidates: Sequence[Candidate], params: EvaluateParams) -> Candidate:
    """Return the network that is to screen; the test split has no say in it.

    Raises:
        ParamsError: `screening_model` is neither `best` nor the name of a network.
    """
    if params.screening_model == BEST:
        return min(candidates, key=lambda candidate: candidate.validation_log_loss)
    by_name = {candidate.name: candidate for candidate in candidates}
    if params.screening_model not in by_name:
        raise ParamsError(
            f"params.yaml: evaluate.screening_model is '{params.screening_model}'; "
            f"expected {BEST} or one of {', '.join(by_name)}"
        )
    return by_name[params.screening_model]
