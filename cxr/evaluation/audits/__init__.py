"""The audits of networks: each a `NetworkAudit` that measures and judges, in the order of the report.

A new audit is a class in a module beside these, a line of `AUDITS`, and its row in docs/evaluation.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cxr.core.records import AuditRecord
from cxr.evaluation.audits.attention import ATTENTION, Attention
from cxr.evaluation.audits.perturbations import (
    LUNG_DEPENDENCE,
    ROBUSTNESS,
    TEXTURE,
    Filtered,
    LungDependence,
    Perturbed,
    Shuffled,
    frequencies,
    predict_variants,
)
from cxr.evaluation.audits.shortcuts import APPEARANCE_FLOOR, FRAME_PROBE, MASK_SHAPE, SOURCE_ORACLE, GainOverBaseline
from cxr.evaluation.audits.subgroups import (
    CHILDREN_ADULTS,
    LEAVE_SOURCE_OUT,
    HeldOutSource,
    Subgroup,
    measure_subgroups,
)
from cxr.evaluation.audits.subject import AuditData, ByVariant, NetworkAudit, Subject

AUDITS: tuple[NetworkAudit[Any], ...] = (
    SOURCE_ORACLE,
    APPEARANCE_FLOOR,
    FRAME_PROBE,
    LUNG_DEPENDENCE,
    LEAVE_SOURCE_OUT,
    CHILDREN_ADULTS,
    TEXTURE,
    ATTENTION,
    MASK_SHAPE,
    ROBUSTNESS,
)


@dataclass(frozen=True)
class AuditFigures:
    """What the report shows of a network beside the verdicts.

    Attributes:
        gain: Over the shortcut baselines.
        dependence: On the lungs.
        subgroups: Share of right answers in each.
        robustness: A row a change to the pictures.
        shuffle: A row a grid.
        frequencies: A row a filter.
        cam: What class activation maps are worth.
        sources: Recall of the target class by held-out source.
    """

    gain: GainOverBaseline = field(metadata={"key": "lift"})
    dependence: LungDependence
    subgroups: tuple[Subgroup, ...]
    robustness: tuple[Perturbed, ...]
    shuffle: tuple[Shuffled, ...]
    frequencies: tuple[Filtered, ...]
    cam: Attention
    sources: tuple[HeldOutSource, ...]


@dataclass(frozen=True, slots=True)
class Audited:
    """What the audits found.

    Attributes:
        figures: What the report shows of each network, in their order.
        records: By audit, and then in the order of the networks.
    """

    figures: tuple[AuditFigures, ...]
    records: tuple[AuditRecord, ...]


def audit_networks(subjects: Sequence[Subject], data: AuditData) -> Audited:
    """Audit networks together: each altered picture is made once and shown to all.

    Args:
        subjects: With outputs on the same split table, without answers.
        data: What `measure_data` found on it.

    Raises:
        ModelError: A network does not end in pooling and one linear layer.
    """
    full = {one.name: np.asarray(one.test.logits.argmax(axis=1), np.int64) for one in subjects}
    answers: dict[str, ByVariant] = {}
    for side in sorted({one.model.plane_side for one in subjects}):
        networks = {one.name: one.model.network.logits for one in subjects if one.model.plane_side == side}
        answers |= predict_variants(networks, full, *data.pictures(side), data.seed)
    answered = [replace(one, answers=answers[one.name]) for one in subjects]
    found: dict[NetworkAudit[Any], list[Any]] = {}
    records: list[AuditRecord] = []
    for audit in AUDITS:
        asked = answered if audit.per_network else answered[:1]
        found[audit] = figures = [audit.measure(one, data) for one in asked]
        names = [one.name if audit.per_network else None for one in asked]
        records += [audit.judge(each, name) for each, name in zip(figures, names, strict=True)]
    shown = (_shown(one, data, found, number) for number, one in enumerate(answered))
    return Audited(tuple(shown), tuple(records))


def _shown(
    subject: Subject, data: AuditData, found: Mapping[NetworkAudit[Any], list[Any]], number: int
) -> AuditFigures:
    return AuditFigures(
        gain=found[APPEARANCE_FLOOR][number].gain,
        dependence=found[LUNG_DEPENDENCE][number],
        subgroups=measure_subgroups(subject.test, subject.predicted, data.looks, data.sides, data.blocks),
        robustness=found[ROBUSTNESS][number],
        shuffle=found[TEXTURE][number].shuffled,
        frequencies=frequencies(subject.test.truth, subject.answers),
        cam=found[ATTENTION][number],
        sources=found[LEAVE_SOURCE_OUT][number].rows,
    )
