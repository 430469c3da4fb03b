"""The audits of networks from end to end: figures for the report and verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxr.evaluation.audits.age_gap import age_gap
from cxr.evaluation.audits.answers import ByVariant
from cxr.evaluation.audits.attention import attention
from cxr.evaluation.audits.behaviour import dependence, frequencies, robustness, shuffle
from cxr.evaluation.audits.floor import lift
from cxr.evaluation.audits.judging_behaviour import (
    judge_attention,
    judge_dependence,
    judge_robustness,
    judge_texture,
)
from cxr.evaluation.audits.judging_groups import judge_ages, judge_sources
from cxr.evaluation.audits.judging_shortcuts import judge_floor, judge_oracle
from cxr.evaluation.audits.regions import find_regions
from cxr.evaluation.audits.shared import Shared
from cxr.evaluation.audits.sources import LeftOut, head_refitted, refitted
from cxr.evaluation.audits.subgroups import subgroups
from cxr.evaluation.audits.variants import FULL, ask
from cxr.evaluation.outputs import SavedOutputs
from cxr.files import JsonObject
from cxr.head import read_head
from cxr.model_folder import NETWORK_FILE, ScreeningModel

ORDER = (
    "source_oracle",
    "appearance_floor",
    "frame_probe",
    "lung_dependence",
    "leave_source_out",
    "children_adults",
    "texture",
    "attention",
    "mask_shape",
    "robustness",
)


@dataclass(frozen=True, slots=True)
class Subject:
    """A network to audit.

    Attributes:
        model: Loaded from its folder.
        outputs: What it said of all images of the split table.
        screening: Whether it was chosen for screening.
        refits: Answers of the same architecture trained again without each source, see `refitted`; None where only
            its head can be fitted again.
    """

    model: ScreeningModel
    outputs: SavedOutputs
    screening: bool
    refits: pd.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Audited:
    """What was found.

    Attributes:
        name: The network.
        figures: Keys of the model's part of the report: lift, dependence, subgroups, robustness, shuffle, frequencies,
            cam and sources.
        records: Its audits.
    """

    name: str
    figures: JsonObject
    records: list[JsonObject]


def audit_models(subjects: Sequence[Subject], shared: Shared, target: str) -> list[Audited]:
    """Audit networks together: each altered picture is made once and shown to all.

    Args:
        subjects: With outputs on the same split table.
        shared: What `measure_shared` found on it.
        target: The class whose sources are held out.

    Raises:
        ModelError: A network does not end in pooling and one linear layer.
    """
    tests = {each.outputs.name: each.outputs.of("test") for each in subjects}
    full = {name: np.asarray(test.logits.argmax(axis=1), np.int64) for name, test in tests.items()}
    networks = {each.outputs.name: each.model.network.logits for each in subjects}
    answers = ask(networks, full, shared.planes, shared.masks, shared.seed)
    return [audit_model(each, answers[each.outputs.name], shared, target) for each in subjects]


def audit_model(subject: Subject, answers: ByVariant, shared: Shared, target: str) -> Audited:
    """Audit one network, given its answers to the altered test images; see `audit_models`."""
    outputs, name, test = subject.outputs, subject.outputs.name, subject.outputs.of("test")
    predicted, truth = answers[FULL], test.truth
    xml = subject.model.folder / NETWORK_FILE
    head = read_head(xml, test.features, test.logits)
    left_out = _left_out(subject, target)
    figures: JsonObject = {
        "lift": lift(predicted, shared.floor, shared.weights),
        "dependence": dependence(
            truth, answers, find_regions(shared.planes.shape[1], shared.masks).how, shared.weights
        ),
        "subgroups": subgroups(test, predicted, shared.looks, shared.sides, shared.blocks),
        "robustness": robustness(truth, answers),
        "shuffle": shuffle(truth, answers),
        "frequencies": frequencies(truth, answers),
        "cam": attention(xml, subject.model.network, head, test, shared.planes, shared.masks, shared.seed),
        "sources": left_out.rows,
    }
    smallest = int(np.bincount(truth, minlength=len(outputs.classes)).min())
    records = [
        judge_floor(name, figures["lift"], smallest, subject.screening),
        judge_oracle(name, float(np.mean(predicted == truth)), shared.floor_figures["oracle"]),
        judge_dependence(name, figures["dependence"]),
        judge_sources(name, left_out),
        judge_ages(name, age_gap(test, predicted, shared.blocks) if shared.blocks else None),
        judge_texture(name, figures["shuffle"], shared.floor.chance),
        judge_attention(name, figures["cam"]),
        judge_robustness(name, figures["robustness"]),
    ]
    return Audited(name, figures, records)


def audit_records(shared: Shared, audited: Sequence[Audited]) -> list[JsonObject]:
    """Return all audit records of the networks, by audit and then in the order of the networks."""
    records = [*shared.records, *(record for each in audited for record in each.records)]
    return sorted(records, key=lambda record: ORDER.index(record["id"]))


def _left_out(subject: Subject, target: str) -> LeftOut:
    if subject.refits is not None and len(subject.refits):
        return refitted(subject.refits, subject.outputs, target)
    return head_refitted(subject.outputs, target)
