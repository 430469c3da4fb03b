"""The audits of networks from end to end: figures for the report and verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.core.files import JsonObject
from cxr.core.image import Plane
from cxr.dataset.appearance import Features, appearance_features, border_features
from cxr.dataset.release import Masks
from cxr.evaluation.audits.robustness import (
    FULL,
    ByVariant,
    dependence,
    find_regions,
    frequencies,
    measure_robustness,
    predict_variants,
    shuffle,
)
from cxr.evaluation.audits.saliency import attention, judge_attention, judge_dependence, judge_robustness, judge_texture
from cxr.evaluation.audits.shortcuts import (
    ShortcutBaseline,
    describe_baseline,
    fit_shortcut_baseline,
    gain_over_baseline,
    judge_border_baseline,
    judge_gain,
    judge_mask_shape,
    judge_source_baseline,
    mask_shape,
)
from cxr.evaluation.audits.subgroups import (
    MIXED,
    AgeBlocks,
    LeftOut,
    age_gap,
    find_age_blocks,
    head_refitted,
    judge_ages,
    judge_sources,
    measure_subgroups,
    refitted,
)
from cxr.evaluation.stats.intervals import draw_weights
from cxr.inference.model_folder import ScreeningModel
from cxr.inference.network import NETWORK_FILE, read_linear_head
from cxr.inference.outputs import SavedOutputs


@dataclass(frozen=True, slots=True)
class Shared:
    """Of the n test images, in the order of the split table.

    Attributes:
        planes: uint8 (n, side, side).
        masks: bool (n, side, side); None where the release has no lung masks.
        sides: int64 (n,), longer side of the file in pixels.
        looks: Overall appearance, float64 (n, 22).
        weights: Of the bootstrap, float64 (draws, n).
        floor: Answers of the probes.
        floor_figures: The report's `floor`.
        blocks: Children and adults of the class `normal`; None where there is no change point.
        records: Audits that are about no network.
        seed: Of everything drawn.
    """

    planes: Plane
    masks: Masks | None
    sides: NDArray[np.int64]
    looks: Features
    weights: NDArray[np.float64]
    floor: ShortcutBaseline
    floor_figures: JsonObject
    blocks: AgeBlocks | None
    records: list[JsonObject]
    seed: int


def measure_shared(
    outputs: SavedOutputs,
    images: Plane,
    sides: NDArray[np.int64],
    masks: Masks | None,
    changes: JsonObject,
    seed: int,
) -> Shared:
    """Measure what no network has a part in.

    Args:
        outputs: Of any network, on all m images of the split table; what the network said is not read.
        images: uint8 (images, side, side), see `SavedOutputs.index`.
        sides: int64 (m,), longer side of the file in pixels.
        masks: bool (m, side, side), all False where an image has none; None where the release has no lung masks.
        changes: `change_points` of reports/data.json.
        seed: Of forests, folds, bootstrap and variants.

    Raises:
        DataError: There is no train or no test split.
    """
    test, chosen = outputs.of("test"), outputs.split == "test"
    weights = draw_weights(test.truth, test.group, seed)
    planes = images[outputs.index]
    looks = appearance_features(planes)
    floor = fit_shortcut_baseline(outputs, looks, border_features(planes), seed)
    figures = describe_baseline(floor, weights)
    return Shared(
        planes=planes[chosen],
        masks=None if masks is None else masks[chosen],
        sides=sides[chosen],
        looks=looks[chosen],
        weights=weights,
        floor=floor,
        floor_figures=figures,
        blocks=find_age_blocks(outputs, looks, changes.get(MIXED), seed),
        records=[judge_border_baseline(figures), judge_mask_shape(mask_shape(outputs, masks, seed), floor.chance)],
        seed=seed,
    )


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
    answers = predict_variants(networks, full, shared.planes, shared.masks, shared.seed)
    return [audit_model(each, answers[each.outputs.name], shared, target) for each in subjects]


def audit_model(subject: Subject, answers: ByVariant, shared: Shared, target: str) -> Audited:
    """Audit one network, given its answers to the altered test images; see `audit_models`."""
    outputs, name, test = subject.outputs, subject.outputs.name, subject.outputs.of("test")
    predicted, truth = answers[FULL], test.truth
    xml = subject.model.folder / NETWORK_FILE
    head = read_linear_head(xml, test.features, test.logits)
    left_out = _left_out(subject, target)
    figures: JsonObject = {
        "lift": gain_over_baseline(predicted, shared.floor, shared.weights),
        "dependence": dependence(
            truth, answers, find_regions(shared.planes.shape[1], shared.masks).how, shared.weights
        ),
        "subgroups": measure_subgroups(test, predicted, shared.looks, shared.sides, shared.blocks),
        "robustness": measure_robustness(truth, answers),
        "shuffle": shuffle(truth, answers),
        "frequencies": frequencies(truth, answers),
        "cam": attention(xml, subject.model.network, head, test, shared.planes, shared.masks, shared.seed),
        "sources": left_out.rows,
    }
    smallest = int(np.bincount(truth, minlength=len(outputs.classes)).min())
    records = [
        judge_gain(name, figures["lift"], smallest, subject.screening),
        judge_source_baseline(name, float(np.mean(predicted == truth)), shared.floor_figures["oracle"]),
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
