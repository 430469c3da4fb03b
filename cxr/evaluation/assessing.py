"""Everything that is measured and audited of the networks, from saved outputs to the report."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from cxr.audit import waive
from cxr.cam import class_maps
from cxr.evaluation.assembling import assemble, model_part
from cxr.evaluation.audits.auditing import Subject, audit_models, audit_records
from cxr.evaluation.audits.pictures import overlay, thumbnail
from cxr.evaluation.audits.shared import measure_shared
from cxr.evaluation.candidates import Candidate
from cxr.evaluation.material import Material
from cxr.evaluation.params import EvaluateParams
from cxr.evaluation.stats.comparing import compare_models
from cxr.evaluation.stats.measuring import measure_model
from cxr.files import JsonObject
from cxr.head import read_head
from cxr.model_folder import NETWORK_FILE

REFITTED = "cnn1"  # the network that is cheap enough to be trained again without each source


def assess(
    candidates: Sequence[Candidate],
    chosen: Candidate,
    material: Material,
    params: EvaluateParams,
    values: Mapping[str, Any],
) -> JsonObject:
    """Return the report; what fails in it stops the stage only after it was written.

    Args:
        candidates: The networks with their saved outputs.
        chosen: The one that screens folders.
        material: Data and what earlier stages found.
        params: The section `evaluate`.
        values: Content of params.yaml.
    """
    # With one thread figures do not depend on the number of cores, and small matrices need not wait for each other.
    with threadpool_limits(limits=1):
        seed = int(values["seed"])
        shared = measure_shared(
            candidates[0].outputs,
            material.images,
            material.sides,
            material.masks,
            material.data_report["change_points"],
            seed,
        )
        subjects = [_subject(candidate, chosen, material) for candidate in candidates]
        audited = audit_models(subjects, shared, params.target)
        records = [{"stage": "evaluate"} | record for record in waive(audit_records(shared, audited), params.waivers)]
        models = [
            model_part(
                candidate, screening=candidate is chosen, measured=_measured(candidate, seed), audited=one.figures
            )
            for candidate, one in zip(candidates, audited, strict=True)
        ]
        comparisons = compare_models(
            [candidate.test for candidate in candidates],
            [candidate.probabilities for candidate in candidates],
            seed,
            params.target,
        )
        audits = [*material.earlier_audits, *records]
        return assemble(candidates, models, shared.floor_figures, audits, material.split_report, comparisons, values)


def draw_pictures(
    candidates: Sequence[Candidate], report: JsonObject, material: Material
) -> dict[tuple[str, str], tuple[bytes, bytes]]:
    """Draw the films that the report shows, each alone and under the map of the answer given: PNG by model and file."""
    models = {model["name"]: model for model in report["models"]}
    return {
        (candidate.name, file): pictures
        for candidate in candidates
        for file, pictures in _pictures(candidate, models[candidate.name], material).items()
    }


def _pictures(candidate: Candidate, model: JsonObject, material: Material) -> dict[str, tuple[bytes, bytes]]:
    test = candidate.test
    shown = {entry["file"] for entry in (*model["errors"], *model["examples"])}
    some = test.where(np.isin(test.files, sorted(shown)))
    if not len(some):
        return {}
    planes = np.ascontiguousarray(material.images[some.index])
    head = read_head(candidate.model.folder / NETWORK_FILE, some.features, some.logits)
    answered = np.asarray(some.logits.argmax(axis=1), np.int64)
    maps = class_maps(candidate.model.network, head, planes, answered)
    return {
        str(file): (thumbnail(plane), overlay(plane, each))
        for file, plane, each in zip(some.files, planes, maps, strict=True)
    }


def _subject(candidate: Candidate, chosen: Candidate, material: Material) -> Subject:
    refits = material.refits if candidate.name == REFITTED else None
    return Subject(candidate.model, candidate.outputs, candidate is chosen, refits)


def _measured(candidate: Candidate, seed: int) -> JsonObject:
    validation = candidate.outputs.of("validation")
    return measure_model(candidate.test, candidate.decisions, seed, validation, candidate.test_judged)
