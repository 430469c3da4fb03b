"""The audits of networks: each a module that measures and judges, in the order of the report.

A new audit is a module beside these, a line of `AUDITS`, and its row in docs/evaluation.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from cxr.core.records import Audit, AuditRecord
from cxr.evaluation.audits import (
    appearance_floor,
    attention,
    children_adults,
    frame_probe,
    leave_source_out,
    lung_dependence,
    mask_shape,
    robustness,
    source_oracle,
    texture,
)
from cxr.evaluation.audits.appearance_floor import GainOverBaseline
from cxr.evaluation.audits.attention import Attention
from cxr.evaluation.audits.leave_source_out import HeldOutSource
from cxr.evaluation.audits.lung_dependence import LungDependence
from cxr.evaluation.audits.robustness import Perturbed
from cxr.evaluation.audits.subgroups import Subgroup, measure_subgroups
from cxr.evaluation.audits.subject import AuditData, Subject
from cxr.evaluation.audits.texture import Filtered, Shuffled
from cxr.evaluation.audits.variants import ByVariant, predict_variants


class NetworkAudit(Protocol):
    """What the module of an audit has.

    Attributes:
        AUDIT: Id, name, and whether a failure can be put right.
        PER_NETWORK: Whether it is asked of each network; otherwise once, of the data.
    """

    AUDIT: Audit
    PER_NETWORK: bool

    def measure(self, subject: Subject, data: AuditData, /) -> Any:
        """Return the figures, a record of the module's own."""
        ...

    def judge(self, figures: Any, model: str | None, /) -> AuditRecord:
        """Return what the figures mean; `model` names the network, None where it is asked of the data."""
        ...


AUDITS: tuple[NetworkAudit, ...] = (
    source_oracle,
    appearance_floor,
    frame_probe,
    lung_dependence,
    leave_source_out,
    children_adults,
    texture,
    attention,
    mask_shape,
    robustness,
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
    found: dict[NetworkAudit, list[Any]] = {}
    records: list[AuditRecord] = []
    for audit in AUDITS:
        asked = answered if audit.PER_NETWORK else answered[:1]
        found[audit] = figures = [audit.measure(one, data) for one in asked]
        names = [one.name if audit.PER_NETWORK else None for one in asked]
        records += [audit.judge(each, name) for each, name in zip(figures, names, strict=True)]
    shown = (_shown(one, data, found, number) for number, one in enumerate(answered))
    return Audited(tuple(shown), tuple(records))


def _shown(subject: Subject, data: AuditData, found: Mapping[NetworkAudit, list[Any]], number: int) -> AuditFigures:
    return AuditFigures(
        gain=found[appearance_floor][number].gain,
        dependence=found[lung_dependence][number],
        subgroups=measure_subgroups(subject.test, subject.predicted, data.looks, data.sides, data.blocks),
        robustness=found[robustness][number],
        shuffle=found[texture][number].shuffled,
        frequencies=texture.frequencies(subject.test.truth, subject.answers),
        cam=found[attention][number],
        sources=found[leave_source_out][number].rows,
    )
