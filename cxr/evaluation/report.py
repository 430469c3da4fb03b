"""Put the report together: figures, verdict, examples, and the metrics that are cut from it."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.core.files import JsonObject
from cxr.core.records import ORDER, AuditRecord, Result, parts
from cxr.dataset.audits.sources import CLASS_BY_SOURCE_SAMPLE, UNKNOWN
from cxr.dataset.audits.splits import SplitReport
from cxr.evaluation.audits import AuditFigures
from cxr.evaluation.audits.perturbations import ROBUSTNESS
from cxr.evaluation.audits.subgroups import worst_source
from cxr.evaluation.audits.subject import BaselineFigures, is_paediatric
from cxr.evaluation.candidates import Candidate
from cxr.evaluation.records import (
    CountedStep,
    Epoch,
    ModelReport,
    NetworkMetrics,
    Report,
    ReportData,
    Reproducibility,
    ShownImage,
    Verdict,
    Waiver,
)
from cxr.evaluation.reporting.page import standards
from cxr.evaluation.stats.classification import Comparison, flat_metrics
from cxr.evaluation.stats.intervals import SHARE, Interval, Probabilities, above_or_below
from cxr.evaluation.unseen import OutOfScopeFilms, UnseenHospitals
from cxr.inference.decisions import images_that_sets_need, too_few_for_sets
from cxr.inference.model_folder import decided_on
from cxr.inference.outputs import SavedOutputs

ALWAYS = (
    "Testing is internal: the test images were drawn at random from the same data as the training images. Hospitals, "
    "detectors and years that are not in the data were not tested.",
    "Labels are those that came with the images. How each was established (PCR, radiologist, text) is not checked.",
    "Age, sex and severity are not read: no figure is given by them.",
    "Prediction sets and operating points hold for images like those that they were fitted on, and for no others.",
    "There is one split and one training of each network: how far others would move the figures, no interval says.",
)
_ELSEWHERE = (
    "Testing on the test split is internal: its images were drawn at random from the same data as the training images. "
    "Of other hospitals there is what stands under 'Hospitals left out of training', and nothing of detectors and "
    "years that are in neither."
)
HALF = 0.5
_APART = "Different pictures of one patient may stand in training and test: only near duplicates were kept together."
_NOT_SHOWN = "These figures do not show that a network detects disease"


def banner(baselines: BaselineFigures, audits: Sequence[AuditRecord]) -> tuple[str, ...]:
    """Return the permanent sentences: what the figures do not show, and what collections and grey levels give alone."""
    return (_doubt(audits), *_shortcuts(baselines))


def _doubt(audits: Sequence[AuditRecord]) -> str:
    match _tied_to_sources(audits):
        case Result.WARN:
            return f"{_NOT_SHOWN}: a network may recognise the collection that an image comes from instead."
        case Result.PASS:
            return "These figures do not show how a network does on images of other collections."
    return f"{_NOT_SHOWN}: the collections that the images come from are not known, and it may recognise those instead."


def _tied_to_sources(audits: Sequence[AuditRecord]) -> Result | None:
    """Return what was found of class and collection among the images that were used; None where it was not asked."""
    return next((one.result for one in audits if one.id == CLASS_BY_SOURCE_SAMPLE.id), None)


def _shortcuts(baselines: BaselineFigures) -> Iterator[str]:
    if baselines.source is not None:
        yield (
            f"On the test images, the source collection alone gives {SHARE.number(baselines.source)} accuracy, and "
            f"overall grey alone {SHARE.number(baselines.appearance.value)} balanced accuracy (a random forest on 22 "
            "numbers of brightness and edges)."
        )


def too_few_images(data: ReportData, alpha: float) -> str:
    """Return the sentences of `too_few_for_sets` for the validation split; empty where it is large enough."""
    images, need = data.classes_by_split["validation"], images_that_sets_need(alpha)
    said = too_few_for_sets(alpha, [name for name, count in images.items() if count < need], images)
    return f"{said}." if said else ""


def limitations(
    data: ReportData,
    target: str,
    alpha: float,
    *,
    audits: Sequence[AuditRecord] = (),
    unseen: UnseenHospitals | None = None,
    stated: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return what the figures cannot show; a sentence about the data follows from them or from known collections.

    Args:
        data: What was trained and tested on.
        target: Class of the operating points.
        alpha: Of the prediction sets.
        audits: Of the network that screens.
        unseen: Figures of hospitals that were left out of training.
        stated: What params.yaml says besides.
    """
    found = {
        name: {one.source for one in data.sources if one.label == name and one.source not in ("", UNKNOWN)}
        for name in data.classes
    }
    too_few = too_few_images(data, alpha)
    return (
        *stated,
        *filter(None, [too_few]),
        *_age_limits(found),
        *_unseen_limits(unseen),
        *_collection_limits(found),
        *_patient_limits(data),
        *_prevalence_limits(data, target),
        *_robustness_limits(audits),
        _ELSEWHERE if unseen else ALWAYS[0],
        *ALWAYS[1:],
    )


def _patient_limits(data: ReportData) -> Iterator[str]:
    """Say of how many images the patient is not known."""
    if data.patients_known == 0:
        yield f"The patient is known of no image. {_APART}"
    elif data.patients_known < data.images:
        known = f"{data.patients_known:,} of {data.images:,}"
        yield f"The patient is known of {known} images. Of the others: {_APART[0].lower()}{_APART[1:]}"


def _prevalence_limits(data: ReportData, target: str) -> Iterator[str]:
    """Say how frequent the target is among the test images, and what follows where it is rarer."""
    counts = data.classes_by_split["test"]
    share = counts.get(target, 0) / sum(counts.values())
    yield (
        f"Of the test images {SHARE.number(share)} are {target}. Where it is rarer, fewer of those that are called "
        f"{target} have it: see the predictive values by prevalence."
    )


def _robustness_limits(audits: Sequence[AuditRecord]) -> Iterator[str]:
    """Say which small change of the picture costs most, where one costs too much."""
    for one in audits:
        if one.id == ROBUSTNESS.id and one.result is Result.WARN:
            yield f"Small changes of the picture change answers. {one.found}"


def _age_limits(found: Mapping[str, set[str]]) -> Iterator[str]:
    """Say which classes come from collections of children alone, where others do not."""
    known = {name: all(map(is_paediatric, own)) for name, own in found.items() if own}
    young = [name for name, is_young in known.items() if is_young]
    others = [name for name in known if name not in young]
    if young and others:
        yield (
            f"All images of {_listed(young)} come from a collection of children aged one to five (Kermany 2018), and "
            f"images of {_listed(others)} from others too: a network may tell ages apart, not diseases."
        )


def _unseen_limits(unseen: UnseenHospitals | None) -> Iterator[str]:
    """Say which classes are not recognised at hospitals that were left out: fewer than half, as far as is known."""
    for one in unseen.overall if unseen else ():
        found = one.recognised
        if unseen and found and found.high is not None and found.high < HALF:
            yield (
                f"At hospitals left out of training {one.label} is not recognised: {_with_bounds(found)} of {one.n} "
                f"films are called {one.label}, and {SHARE.number(one.called.value)} {unseen.target}."
            )


def _collection_limits(found: Mapping[str, set[str]]) -> Iterator[str]:
    """Say which classes share no collection, and of which none is known."""
    known = {name: own for name, own in found.items() if own}
    apart = [f"{one} and {other}" for one, other in combinations(known, 2) if known[one].isdisjoint(known[other])]
    if apart:
        yield (
            f"In training, validation and test no known collection has images of both {', nor of both '.join(apart)}: "
            "recognising the collection is enough to tell them apart."
        )
    if unknown := [name for name in found if name not in known]:
        yield (
            f"Where the images of {_listed(unknown)} come from is not known: whether a network recognises the "
            "collection cannot be measured there."
        )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def verdict(
    chosen: ModelReport, audits: Sequence[AuditRecord], baselines: BaselineFigures, too_few: str = ""
) -> Verdict:
    """Return what the report comes to.

    Args:
        chosen: The network that screens.
        audits: All records.
        baselines: What shortcuts reach.
        too_few: See `too_few_images`.
    """
    failing = [audit for audit in audits if audit.result is Result.FAIL and not audit.waiver]
    warning = [audit for audit in audits if audit.result is Result.WARN]
    level = "stop" if failing else "warn" if warning or too_few else "fine"
    sentences = [
        _outcome(chosen),
        *filter(None, [too_few]),
        *_named("Failed", failing),
        *_named("Warned", warning),
    ]
    return Verdict(level, _headline(chosen, audits, baselines), tuple(sentences))


def _headline(chosen: ModelReport, audits: Sequence[AuditRecord], baselines: BaselineFigures) -> str:
    unseen = (
        "How well it does on other collections, these data cannot show."
        if _tied_to_sources(audits) is Result.PASS
        else "Whether it detects disease, these data cannot show."
    )
    return (
        f"{chosen.name} sorts the {chosen.n:,} test images with a balanced accuracy of "
        f"{_with_bounds(chosen.metrics.balanced_accuracy)}. That is {above_or_below(chosen.gain.over_appearance)} "
        f"what overall grey alone gives ({SHARE.number(baselines.appearance.value)}). {unseen}"
    )


def _outcome(chosen: ModelReport) -> str:
    found = chosen.answering.gated
    also = f" and rejects {SHARE.number(found.rejected.value)}" if found.rejected.value else ""
    wrong = f" Of what it answers, {SHARE.number(found.error_answered.value)} is wrong." if found.error_answered else ""
    return f"It refers {SHARE.number(found.referred.value)} of the test images to a reader{also}.{wrong}"


def _named(word: str, audits: Sequence[AuditRecord]) -> Iterator[str]:
    if audits:
        yield f"{word}: {'; '.join(dict.fromkeys(audit.name for audit in audits))}."


def _with_bounds(figure: Interval) -> str:
    bounds = "" if figure.low is None else f" (95 % interval {SHARE.bounds(figure)})"
    return f"{SHARE.number(figure.value)}{bounds}"


ERRORS = 12
EXAMPLES = 2  # of each class


def confident_errors(test: SavedOutputs, probabilities: Probabilities) -> tuple[ShownImage, ...]:
    """Return the wrong answers of largest loss, at most twelve."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != test.truth)
    loss = -np.log(np.maximum(probabilities[np.arange(len(test)), test.truth], 1e-12))
    order = wrong[np.lexsort((test.files[wrong], -loss[wrong]))][:ERRORS]
    return tuple(_shown(test, probabilities, int(row), round(float(loss[row]), 6)) for row in order)


def examples(test: SavedOutputs, probabilities: Probabilities) -> tuple[ShownImage, ...]:
    """Return of each class the images of median probability of their own class: neither the best nor the worst."""
    chosen = [row for number in range(len(test.classes)) for row in _median_rows(test, probabilities, number)]
    return tuple(_shown(test, probabilities, row) for row in chosen)


def _median_rows(test: SavedOutputs, probabilities: Probabilities, number: int) -> list[int]:
    rows = np.flatnonzero(test.truth == number)
    ordered: NDArray[np.int64] = rows[np.lexsort((test.files[rows], probabilities[rows, number]))]
    middle = len(ordered) // 2
    return [int(row) for row in ordered[middle : middle + EXAMPLES]]


def _shown(test: SavedOutputs, probabilities: Probabilities, row: int, loss: float | None = None) -> ShownImage:
    predicted = int(probabilities[row].argmax())
    return ShownImage(
        file=str(test.files[row]),
        actual=test.classes[test.truth[row]],
        predicted=test.classes[predicted],
        probability=round(float(probabilities[row, predicted]), 6),
        loss=loss,
    )


def report_model(
    candidate: Candidate, *, screening: bool, measured: NetworkMetrics, audited: AuditFigures
) -> ModelReport:
    """Return what the report says of one network.

    Args:
        candidate: The network.
        screening: Whether it is the one that screens folders.
        measured: On the test split.
        audited: What audits found.
    """
    description = candidate.model.description
    return ModelReport(
        name=candidate.name,
        screening=screening,
        members=tuple(candidate.model.members),
        initialisation=_initialisation(description),
        parameters=description["parameters"],
        gflop=description["gflop_per_image"],
        epochs=description["training"]["epochs"],
        best_epoch=description["training"]["best_epoch"],
        validation_log_loss=candidate.validation_log_loss,
        decided_on=decided_on(description),
        errors=confident_errors(candidate.test, candidate.probabilities),
        examples=examples(candidate.test, candidate.probabilities),
        confusion_rows=tuple(_shares_of(row) for row in measured.confusion),
        **parts(measured),
        **parts(audited),
    )


def _shares_of(row: Sequence[int]) -> tuple[float | None, ...]:
    whole = sum(row)
    return tuple(round(number / whole, 6) if whole else None for number in row)


FORM = 1
TITLE = "Evaluation of the networks"


def assemble(
    candidates: Sequence[Candidate],
    models: Sequence[ModelReport],
    baselines: BaselineFigures,
    audits: Sequence[AuditRecord],
    split_report: SplitReport,
    comparisons: Sequence[Comparison],
    params: Mapping[str, Any],
    patients_known: int,
    unseen: UnseenHospitals | None = None,
    out_of_scope: tuple[OutOfScopeFilms, ...] = (),
    stated: Sequence[str] = (),
) -> Report:
    """Return the report.

    Args:
        candidates: The networks.
        models: What is said of each, in the same order.
        baselines: What shortcuts reach.
        audits: Records of prepare, split and evaluate, each with its `stage`.
        split_report: Content of reports/split.json.
        comparisons: Network against network.
        params: Content of params.yaml.
        patients_known: Images of the split table whose patient is known.
        unseen: Figures of hospitals that were left out of training.
        out_of_scope: Figures of films of no class.
        stated: Limitations that params.yaml states.
    """
    chosen = next(model for model in models if model.screening)
    results = Counter(audit.result for audit in audits)
    data = _data(candidates[0].model.description["data"], split_report, patients_known)
    decisions = candidates[0].decisions
    report = Report(
        format=FORM,
        title=TITLE,
        data=data,
        verdict=verdict(chosen, audits, baselines, too_few_images(data, decisions.alpha)),
        banner=banner(baselines, audits),
        waivers=tuple(Waiver(audit.stage, audit.name, audit.waiver) for audit in audits if audit.waiver),
        flow=tuple(CountedStep(**parts(step), total=sum(step.images.values())) for step in split_report.flow),
        audits=tuple(audits),
        baselines=baselines,
        chance=baselines.chance,
        screening_model=chosen.name,
        models=tuple(models),
        comparisons=tuple(comparisons),
        learning_curves=tuple(epoch for candidate in candidates for epoch in _epochs(candidate)),
        reproducibility=_reproducibility(candidates, params),
        limitations=limitations(
            data,
            decisions.target,
            decisions.alpha,
            audits=[audit for audit in audits if audit.model == chosen.name],
            unseen=unseen,
            stated=stated,
        ),
        audit_counts={result: results[result] for result in ORDER if results[result]},
        standards=(),
        unseen=unseen,
        out_of_scope=out_of_scope or None,
    )
    return replace(report, standards=standards(report))


def _data(trained: Mapping[str, Any], split_report: SplitReport, patients_known: int) -> ReportData:
    counts: Mapping[str, int] = trained["images_per_class"]
    whole = sum(counts.values())
    return ReportData(
        images=trained["images"],
        synthetic_images=trained["synthetic_images"],
        sha256=trained["sha256"],
        classes=counts,
        classes_by_split=split_report.classes_by_split,
        sources=split_report.sources,
        shares={name: round(number / whole, 6) for name, number in counts.items()} if whole else {},
        images_per_split={split: sum(by.values()) for split, by in split_report.classes_by_split.items()},
        patients_known=patients_known,
    )


def _epochs(candidate: Candidate) -> list[Epoch]:
    columns = ("loss", "accuracy", "val_loss", "val_accuracy")
    if candidate.history is None:
        return []
    rows = candidate.history[["epoch", *columns]].to_dict("records")
    return [Epoch(candidate.name, int(row["epoch"]), *(round(float(row[c]), 6) for c in columns)) for row in rows]


def _reproducibility(candidates: Sequence[Candidate], params: Mapping[str, Any]) -> Reproducibility:
    description = candidates[0].model.description
    return Reproducibility(
        commit=None,
        data_sha256=description["data"]["sha256"],
        params=params,
        versions=description["environment"],
        networks={candidate.name: candidate.model.network_sha256 for candidate in candidates},
    )


METRICS: Mapping[str, Callable[[ModelReport], object]] = {
    "ece": lambda model: model.calibration.after.ece15,
    "temperature": lambda model: model.calibration.temperature,
    "sensitivity": lambda model: {one.name: one.sensitivity.value for one in model.classes},
    "specificity": lambda model: {one.name: one.specificity.value for one in model.classes},
    "operating_points": lambda model: {
        point.name: {"sensitivity": point.sensitivity.value, "specificity": point.specificity.value}
        for point in model.operating_points
    },
    "answered": lambda model: {
        "share": model.answering.gated.answered.value,
        "error_rate": _value(model.answering.gated.error_answered),
    },
    "referred": lambda model: {
        "share": model.answering.gated.referred.value,
        "errors_share": _value(model.answering.gated.share_of_errors_referred),
    },
    "rejected": lambda model: {"share": model.answering.gated.rejected.value},
    "augrc": lambda model: model.selective.augrc,
    "lift_over_floor": lambda model: model.gain.over_appearance.value,
    "lift_over_frame": lambda model: model.gain.over_border.value,
    "lung_dependence": lambda model: model.dependence.lung_dependence,
    "worst_source_recall": lambda model: _value(worst.recall if (worst := worst_source(model.sources)) else None),
    "validation_log_loss": lambda model: model.validation_log_loss,
    "test_images": lambda model: model.n,
    "initialisation": lambda model: model.initialisation,
}


def top_metrics(model: ModelReport, point: str) -> dict[str, float | None]:
    """Return what reports/metrics/<model>.json holds, and DVC shows side by side; what was not measured is null.

    Args:
        model: Of the report.
        point: Name of the operating point of `sensitivity` and `specificity`, those of the target class.
    """
    metrics = model.metrics
    decided = next(one for one in model.operating_points if one.name == point)
    return {
        "balanced_accuracy": metrics.balanced_accuracy.value,
        "macro_auc": metrics.macro_auc.value,
        "log_loss": metrics.log_loss.value,
        "sensitivity": decided.sensitivity.value,
        "specificity": decided.specificity.value,
        "referred": model.answering.gated.referred.value,
    }


def _initialisation(description: JsonObject) -> str:
    """Return what the weights began as, with the SHA-256 of the arrays where they came from a file."""
    digest = description.get("initial_weights_sha256")
    return f"{description['initialisation']}, sha256 {digest}" if digest else str(description["initialisation"])


def metrics_json(model: ModelReport) -> dict[str, object]:
    """Return what reports/measures.json holds of a model: the overall metrics, and then `METRICS`.

    At most 40 keys. The same ones for every model: what could not be measured is null.
    """
    return {**flat_metrics(model.metrics), **{name: of(model) for name, of in METRICS.items()}}


def _value(share: Interval | None) -> float | None:
    return share.value if share else None
