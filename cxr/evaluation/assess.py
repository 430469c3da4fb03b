"""Everything that is measured and audited of the networks, from saved outputs to the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from cxr.core.errors import DataError
from cxr.core.files import read_json, reason_of
from cxr.core.image import Plane
from cxr.core.manifest import IMAGES_FILE, MANIFEST_FILE, MASKS_FILE, planes_of_side, read_images, read_table
from cxr.core.records import AuditRecord, from_json, waive
from cxr.dataset.audits import AuditedRelease
from cxr.dataset.audits.splits import SplitReport
from cxr.evaluation.audits import audit_networks
from cxr.evaluation.audits.subject import PlanesOf, Subject, measure_data
from cxr.evaluation.candidates import Candidate, EvaluateParams, judge_images
from cxr.evaluation.records import ModelReport, NetworkMetrics, Report
from cxr.evaluation.report import assemble, report_model
from cxr.evaluation.stats.calibration import calibration_by_temperature
from cxr.evaluation.stats.classification import (
    Predictions,
    class_metrics,
    compare_models,
    confusion_rows,
    decision_curve,
    distributions,
    overall_metrics,
    precision_recall_curves,
    roc_curves,
)
from cxr.evaluation.stats.decisions import (
    Answering,
    measure_points,
    outcomes,
    prediction_sets,
    reasoned_outcomes,
    selective_risk,
)
from cxr.evaluation.unseen import HELD_OUT, OutOfScopeFilms, UnseenHospitals, measure_out_of_scope, measure_unseen
from cxr.evaluation.write import overlay, thumbnail
from cxr.inference.decisions import Decisions
from cxr.inference.gate import Gate, Judged, unjudged
from cxr.inference.lungs import Segmenter
from cxr.inference.network import NETWORK_FILE, class_maps, read_linear_head, softmax
from cxr.inference.outputs import SavedOutputs, apply_decisions, apply_sets_alone, run_network


def assess_model(
    test: SavedOutputs,
    decisions: Decisions,
    seed: int,
    judged: Judged | None = None,
) -> NetworkMetrics:
    """Measure a network with the temperature, thresholds and sets that were fitted beforehand.

    Args:
        test: Its outputs on the test split.
        decisions: Fitted on other images.
        seed: Of bootstrap and null band.
        judged: What the gate says of the test split; None without a gate.
    """
    answers = calibrated_predictions(test, decisions)
    before = Predictions(test.classes, test.truth, softmax(test.logits), test.group)
    target = test.classes.index(decisions.target)
    return NetworkMetrics(
        n=len(test),
        metrics=overall_metrics(answers, seed),
        classes=class_metrics(answers),
        confusion=confusion_rows(answers),
        calibration=calibration_by_temperature(before, answers, decisions.temperature, seed),
        operating_points=measure_points(answers, decisions),
        selective=selective_risk(answers),
        conformal=prediction_sets(answers, decisions),
        answering=_answering(test, answers, decisions, judged or unjudged(len(test))),
        decision_curve=decision_curve(answers.truth == target, answers.probabilities[:, target]),
        roc=roc_curves(answers),
        pr=precision_recall_curves(answers),
        distributions=distributions(answers),
    )


def _answering(test: SavedOutputs, answers: Predictions, decisions: Decisions, judged: Judged) -> Answering:
    gated = apply_decisions(test, decisions, judged)
    return Answering(
        gated=reasoned_outcomes(answers, decisions.target, gated, judged),
        ungated=outcomes(answers, decisions.target, apply_sets_alone(test, decisions)),
    )


def calibrated_predictions(outputs: SavedOutputs, decisions: Decisions) -> Predictions:
    """Return what is measured, with calibrated probabilities."""
    return Predictions(outputs.classes, outputs.truth, decisions.probabilities(outputs.logits), outputs.group)


@dataclass(frozen=True, slots=True)
class AssessmentInputs:
    """Inputs of an evaluation.

    Attributes:
        table: The split table, m rows.
        images: uint8 (n, side, side), see its column `index`: the small planes, which every image has.
        masks: bool (m, side, side), all False where an image has none; None where there are no lung masks.
        refits: Answers of cnn1 trained without each source.
        data_report: What `prepare` audited, from reports/data.json.
        split_report: Content of reports/split.json.
        planes_of: Opens the planes of a side, as `images`.
        predicted: Whether a segmenter made the masks; else they are the release's.
    """

    table: pd.DataFrame
    images: Plane
    masks: NDArray[np.bool_] | None
    refits: pd.DataFrame
    data_report: AuditedRelease
    split_report: SplitReport
    planes_of: PlanesOf
    predicted: bool = False

    @property
    def sides(self) -> NDArray[np.int64]:
        """Longer side of each file in pixels, int64 (m,)."""
        return self.table[["width", "height"]].max(axis=1).to_numpy(np.int64)

    @property
    def earlier_audits(self) -> list[AuditRecord]:
        """Records of prepare and split, each with its `stage`."""
        of_stages = (("prepare", self.data_report.audits), ("split", self.split_report.audits))
        return [replace(record, stage=stage) for stage, records in of_stages for record in records]


def read_inputs(prepared: Path, split: Path, audited: Path, refits: Path | None) -> AssessmentInputs:
    """Read everything.

    Args:
        prepared: Folder written by prepare.
        split: Table written by split.
        audited: Folder with what the audits of prepare and split found.
        refits: Table written by leave_source_out; None: sources are left out by fitting the last layer again.

    Raises:
        DataError: Something is absent or was not written by this version.
    """
    table, images = read_table(split), read_images(prepared / IMAGES_FILE)
    masks = read_images(prepared / MASKS_FILE)
    chosen = masks[table["index"].to_numpy()] > 0 if len(masks) else None
    try:
        found = pd.read_csv(refits, keep_default_na=False) if refits else pd.DataFrame()
        data_report = from_json(AuditedRelease, read_json(audited / "data.json"))
        split_report = from_json(SplitReport, read_json(audited / "split.json"))
    except (OSError, ValueError) as error:
        raise DataError(f"What earlier stages wrote cannot be read ({error}); run: dvc repro") from error
    return AssessmentInputs(table, images, chosen, found, data_report, split_report, partial(planes_of_side, prepared))


def with_lungs(material: AssessmentInputs, segmenter: Segmenter) -> AssessmentInputs:
    """Return the inputs with masks of all images: the release's where it has one of each, else the segmenter's.

    Never some of each: the outlines would tell by whom they were drawn, and so which collection an image is of.
    """
    masks = material.masks
    if masks is not None and masks.any(axis=(1, 2)).all():
        return material
    found = segmenter.masks(material.images[material.table["index"].to_numpy()])
    return replace(material, masks=found, predicted=True)


def read_unseen(
    answers: Path | None,
    prepared: Path,
    images: Plane,
    gate: Gate | None,
    classes: tuple[str, ...],
    own: EvaluateParams,
) -> UnseenHospitals | None:
    """Return the figures of hospitals that were left out of training; None where none was.

    Args:
        answers: Table written by leave_hospital_out; None: there is none.
        prepared: Folder written by prepare.
        images: uint8 (n, side, side), of the side that the gate takes.
        gate: What judges before the networks.
        classes: In the order of the logits.
        own: The section `evaluate`.

    Raises:
        DataError: The table cannot be read, or is of another run.
    """
    if answers is None:
        return None
    try:
        found = pd.read_csv(answers, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{answers} cannot be read ({reason_of(error)}); run: dvc repro release/dvc.yaml") from error
    manifest = read_table(prepared / MANIFEST_FILE)
    asked = manifest[manifest["file"].isin(found.loc[found["split"] == HELD_OUT, "file"])]
    judged = judge_images(gate, asked, images) if gate and len(asked) else unjudged(len(asked))
    verdicts = {file: number for number, file in enumerate(asked["file"])}
    return measure_unseen(found, verdicts, judged, classes, own.target, own.alpha)


def read_out_of_scope(folder: Path | None, chosen: Candidate, gate: Gate | None) -> tuple[OutOfScopeFilms, ...]:
    """Ask the network that screens about films of no class, copies once; return the figures by label and collection.

    Args:
        folder: Written by out_of_scope; None: there are no such films.
        chosen: The network.
        gate: What judges before it.

    Raises:
        DataError: Something is absent or was not written by this version.
    """
    if folder is None:
        return ()
    table = read_table(folder / MANIFEST_FILE).drop_duplicates("pixels_sha256")
    if table.empty:
        return ()
    judged = judge_images(gate, table, read_images(folder / IMAGES_FILE)) if gate else unjudged(len(table))
    named = table.assign(split="", group=table["duplicate_group"])
    outputs = run_network(chosen.model, named, planes_of_side(folder, chosen.model.plane_side), of_classes=False)
    return measure_out_of_scope(outputs, table["label"].to_numpy(str), chosen.decisions, judged)


REFITTED = "cnn1"  # the network that is cheap enough to be trained again without each source


def assess(
    candidates: Sequence[Candidate],
    chosen: Candidate,
    material: AssessmentInputs,
    params: EvaluateParams,
    values: Mapping[str, Any],
    unseen: UnseenHospitals | None = None,
    out_of_scope: tuple[OutOfScopeFilms, ...] = (),
) -> Report:
    """Return the report; what fails in it stops the stage only after it was written.

    Args:
        candidates: The networks with their saved outputs.
        chosen: The one that screens folders.
        material: Data and what earlier stages found.
        params: The section `evaluate`.
        values: Content of params.yaml.
        unseen: Figures of hospitals that were left out of training.
        out_of_scope: Figures of films of no class.
    """
    # With one thread figures do not depend on the number of cores, and small matrices need not wait for each other.
    with threadpool_limits(limits=1):
        seed = int(values["seed"])
        data = measure_data(
            candidates[0].outputs,
            material.planes_of,
            material.images.shape[1],
            material.sides,
            material.masks,
            material.data_report.change_points,
            seed,
            params.target,
            predicted=material.predicted,
        )
        audited = audit_networks([_subject(candidate, chosen, material) for candidate in candidates], data)
        records = [replace(record, stage="evaluate") for record in waive(audited.records, params.waivers)]
        models = [
            report_model(candidate, screening=candidate is chosen, measured=_measured(candidate, seed), audited=figures)
            for candidate, figures in zip(candidates, audited.figures, strict=True)
        ]
        comparisons = compare_models(
            [candidate.test for candidate in candidates],
            [candidate.probabilities for candidate in candidates],
            seed,
            params.target,
        )
        audits = [*material.earlier_audits, *records]
        return assemble(
            candidates,
            models,
            data.baseline_figures,
            audits,
            material.split_report,
            comparisons,
            values,
            patients_known=int((material.table["patient"] != "").sum()),
            unseen=unseen,
            out_of_scope=out_of_scope,
            stated=params.limitations,
        )


def draw_pictures(
    candidates: Sequence[Candidate], report: Report, material: AssessmentInputs
) -> dict[tuple[str, str], tuple[bytes, bytes]]:
    """Draw the films that the report shows, each alone and under the map of the answer given: PNG by model and file."""
    return {
        (candidate.name, file): pictures
        for candidate in candidates
        for file, pictures in _pictures(candidate, report.model(candidate.name), material).items()
    }


def _pictures(candidate: Candidate, model: ModelReport, material: AssessmentInputs) -> dict[str, tuple[bytes, bytes]]:
    test = candidate.test
    shown = {entry.file for entry in (*model.errors, *model.examples)}
    some = test.where(np.isin(test.files, sorted(shown)))
    if not len(some):
        return {}
    planes = np.ascontiguousarray(material.planes_of(candidate.model.plane_side)[some.index])
    head = read_linear_head(candidate.model.folder / NETWORK_FILE, some.features, some.logits)
    answered = np.asarray(some.logits.argmax(axis=1), np.int64)
    maps = class_maps(candidate.model.network, head, planes, answered)
    return {
        str(file): (thumbnail(plane), overlay(plane, each))
        for file, plane, each in zip(some.files, planes, maps, strict=True)
    }


def _subject(candidate: Candidate, chosen: Candidate, material: AssessmentInputs) -> Subject:
    refits = material.refits if candidate.name == REFITTED else None
    return Subject(candidate.model, candidate.outputs, candidate is chosen, refits)


def _measured(candidate: Candidate, seed: int) -> NetworkMetrics:
    return assess_model(candidate.test, candidate.decisions, seed, candidate.test_judged)
