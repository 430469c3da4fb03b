"""Figures of a table's networks against labels. Probabilities are taken as they are: nothing is fitted here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import DataError
from cxr.evaluation.reporting.format import (
    BARE_PERCENT,
    FINE_NUMBER,
    NUMBER,
    PERCENT,
    RESEARCH_ONLY,
    SIGNED_POINTS,
    Notation,
    markdown_table,
    p_value,
)
from cxr.evaluation.stats.calibration import Calibration, calibration
from cxr.evaluation.stats.classification import (
    SMALLEST,
    ClassMetrics,
    Metrics,
    Predictions,
    class_metrics,
    confusion_rows,
    overall_metrics,
)
from cxr.evaluation.stats.comparison import Comparison, compare_models
from cxr.evaluation.stats.decisions import Referral, detection_rates, referral
from cxr.evaluation.stats.intervals import Interval, Labels, Probabilities, wilson
from cxr.inference.decisions import NOT_SUSPECTED, REFER
from cxr.inference.outputs import SavedOutputs
from cxr.validation.labels import (
    NO_ANSWER,
    LabelTable,
    MatchCounts,
    Matched,
    NamedFiles,
    NetworkPredictions,
    ResultsTable,
    groups,
    match,
    named,
)

SMALL = 30  # images; below, a share says little
REPORT_FORM = 1
_SUSPECTED = "_suspected"


@dataclass(frozen=True, slots=True)
class DecidedClass:
    """What was decided about the images of one class.

    Attributes:
        name: The class.
        suspected: Number of images.
        not_suspected: Number of images.
        referred: Number of images.
    """

    name: str
    suspected: int
    not_suspected: int
    referred: int


@dataclass(frozen=True, slots=True)
class TableDecisions:
    """What the column `decision` was worth.

    Attributes:
        n: Images with a decision.
        target: Class that is looked for; None, as the next three, where no image at all was suspected: the table then
            does not tell.
        sensitivity: For the target, of the images that were not referred.
        specificity: The same.
        suspected_or_referred: Share of the target's images that were either.
        referred: What referring did.
        by_class: Counts.
    """

    n: int
    target: str | None
    sensitivity: Interval | None
    specificity: Interval | None
    suspected_or_referred: Interval | None
    referred: Referral
    by_class: tuple[DecidedClass, ...]


@dataclass(frozen=True, slots=True)
class MissingAsErrors:
    """Figures in which a labelled file without an answer is a wrong one.

    Attributes:
        n: Labelled files.
        accuracy: Of them.
        sensitivity: By class.
    """

    n: int
    accuracy: Interval
    sensitivity: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class SourceSensitivity:
    """Images of one class from one source.

    Attributes:
        source: As the labels name it.
        label: The class.
        n: Images.
        sensitivity: Share of them that was recognised.
        small: Whether there are fewer than SMALL.
    """

    source: str
    label: str
    n: int
    sensitivity: Interval
    small: bool


@dataclass(frozen=True, slots=True)
class NetworkEvaluation:
    """One network of a table.

    Attributes:
        network: Its identity.
        n: Labelled images that it answered; all figures but `missing_as_errors` are of these.
        without_answer: Labelled files that it did not answer.
        in_training_set: Of the n, those that it was trained on.
        metrics: Overall.
        classes: One class against the others.
        confusion: Images by true class and answer.
        missing_as_errors: With the files it did not answer.
        calibration: Of the probabilities as they are.
        decisions: None where the table has none.
        sources: As far as the labels name any.
    """

    network: str
    n: int
    without_answer: NamedFiles
    in_training_set: NamedFiles
    metrics: Metrics
    classes: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    missing_as_errors: MissingAsErrors
    calibration: Calibration
    decisions: TableDecisions | None
    sources: tuple[SourceSensitivity, ...]


@dataclass(frozen=True, slots=True)
class TableEvaluation:
    """A table against labels; docs/cxr-eval.md describes it.

    Attributes:
        evaluation: REPORT_FORM.
        results: Name of the table.
        labels: Name of the labels.
        seed: Of bootstrap and null band.
        counts: How both fit.
        networks: In the order of the table.
    """

    evaluation: int
    results: str
    labels: str
    seed: int
    counts: MatchCounts
    networks: tuple[NetworkEvaluation, ...]


@dataclass(frozen=True, slots=True)
class TableComparison:
    """Two tables on common files.

    Attributes:
        comparison: REPORT_FORM.
        results: Names of the tables.
        labels: Name of the labels.
        seed: Of the bootstrap.
        n: Images that all networks answered.
        answered_by_some_only: The others that any answered.
        target: Class whose AUC is tested.
        comparisons: Every pair of networks.
    """

    comparison: int
    results: tuple[str, str]
    labels: str
    seed: int
    n: int
    answered_by_some_only: NamedFiles
    target: str
    comparisons: tuple[Comparison, ...]


def _measure_decisions(answers: Predictions, words: Sequence[str]) -> TableDecisions | None:
    """Measure the column `decision`; None where nothing was decided.

    Args:
        answers: The images that have an answer.
        words: What was decided about each; empty where nothing was.
    """
    decided = np.array([bool(word) for word in words])
    if not decided.any():
        return None
    column, truth = np.array(words)[decided], answers.truth[decided]
    referred = column == REFER
    target = _target(words, answers.classes)
    sensitivity = specificity = either = None
    if target is not None:
        positive, suspected = truth == answers.classes.index(target), column == f"{target}{_SUSPECTED}"
        sensitivity, specificity = detection_rates(positive[~referred], suspected[~referred])
        either = wilson(_count(positive & (suspected | referred)), _count(positive))
    return TableDecisions(
        n=_count(decided),
        target=target,
        sensitivity=sensitivity,
        specificity=specificity,
        suspected_or_referred=either,
        referred=referral(~answers.right[decided], referred),
        by_class=tuple(
            DecidedClass(
                name,
                suspected=_count(own & (column != NOT_SUSPECTED) & ~referred),
                not_suspected=_count(own & (column == NOT_SUSPECTED)),
                referred=_count(own & referred),
            )
            for name, own in ((name, truth == number) for number, name in enumerate(answers.classes))
        ),
    )


def _count(chosen: NDArray[np.bool_]) -> int:
    return int(chosen.sum())


def _target(words: Sequence[str], classes: Sequence[str]) -> str | None:
    return next((name for name in classes if f"{name}{_SUSPECTED}" in words), None)


def evaluate_table(table: ResultsTable, labels: LabelTable, seed: int) -> TableEvaluation:
    """Measure every network of a table.

    Args:
        table: What cxr-batch wrote.
        labels: What the images show.
        seed: Of bootstrap and null band.

    Raises:
        DataError: Nothing matches, a label is unknown, or a network has no answer for any labelled file.
    """
    matched = match(table, labels)
    networks = tuple(_network(table, matched, network, seed) for network in table.networks)
    return TableEvaluation(REPORT_FORM, table.name, labels.name, seed, matched.counts, networks)


def _predictions_of(
    table: ResultsTable, matched: Matched, network: NetworkPredictions, chosen: NDArray[np.bool_] | None = None
) -> Predictions:
    """Return what is measured of a network: the labelled rows that `chosen`, bool (n,), marks.

    By default those with an answer.
    """
    kept = network.predicted[matched.rows] != NO_ANSWER if chosen is None else chosen
    if not kept.any():
        raise DataError(f"{table.name} has no answer of {network.name} for any labelled file; nothing can be measured")
    group = groups(matched.labels, [table.digests[row] for row in matched.rows])
    truth = _true_classes(matched, network.classes)
    return Predictions(network.classes, truth[kept], network.probabilities[matched.rows[kept]], group[kept])


def _true_classes(matched: Matched, classes: tuple[str, ...]) -> Labels:
    """Return the class numbers of the labelled rows, int64 (n,)."""
    return np.array([classes.index(label.label) for label in matched.labels], np.int64)


def _network(table: ResultsTable, matched: Matched, network: NetworkPredictions, seed: int) -> NetworkEvaluation:
    answers = _predictions_of(table, matched, network)
    answered = network.predicted[matched.rows] != NO_ANSWER
    rows = matched.rows[answered]
    sources = [label.source for label, kept in zip(matched.labels, answered, strict=True) if kept]
    return NetworkEvaluation(
        network=network.name,
        n=len(answers),
        without_answer=named([table.paths[row] for row in matched.rows[~answered]]),
        in_training_set=named([table.paths[row] for row in rows if network.trained[row]]),
        metrics=overall_metrics(answers, seed),
        classes=class_metrics(answers),
        confusion=confusion_rows(answers),
        missing_as_errors=_missing_as_errors(matched, network),
        calibration=calibration(answers, seed),
        decisions=_measure_decisions(answers, [network.decisions[row] for row in rows]),
        sources=tuple(_by_source(answers, sources)),
    )


def _missing_as_errors(matched: Matched, network: NetworkPredictions) -> MissingAsErrors:
    truth = _true_classes(matched, network.classes)
    right = network.predicted[matched.rows] == truth
    sensitivity = {name: _share(right[truth == number]) for number, name in enumerate(network.classes)}
    return MissingAsErrors(len(truth), _share(right), sensitivity)


def _by_source(answers: Predictions, sources: list[str]) -> Iterator[SourceSensitivity]:
    names = np.array(sources)
    cells = sorted({(source, int(number)) for source, number in zip(sources, answers.truth, strict=True) if source})
    for source, number in cells:
        right = answers.right[(names == source) & (answers.truth == number)]
        yield SourceSensitivity(source, answers.classes[number], len(right), _share(right), len(right) < SMALL)


def _share(right: NDArray[np.bool_]) -> Interval:
    return wilson(_count(right), len(right))


Member = tuple[ResultsTable, Matched, NetworkPredictions]


def compare_tables(first: ResultsTable, second: ResultsTable, labels: LabelTable, seed: int) -> TableComparison:
    """Compare every network of `first` and `second` with every other one, in pairs, on common files.

    Raises:
        DataError: As for `evaluate_table`; or the networks have different classes or no file in common.
    """
    members = [
        (table, matched, network)
        for table, matched in ((table, match(table, labels)) for table in (first, second))
        for network in table.networks
    ]
    classes = members[0][2].classes
    for table, _, network in members[1:]:
        if network.classes != classes:
            raise DataError(
                f"{network.name} of {table.name} has the classes {', '.join(network.classes)}, {members[0][2].name} "
                f"has {', '.join(classes)}; only networks of the same classes, in the same order, can be compared"
            )
    common = sorted(set.intersection(*map(_answered, members)))
    if not common:
        raise DataError(f"{first.name} and {second.name} have no labelled file that all their networks answered")
    some = sorted(set.union(*map(_answered, members)) - set(common))
    letters = ["a"] * len(first.networks) + ["b"] * len(second.networks)
    outputs = [
        _outputs(member, f"{letter}: {member[2].name}", common) for member, letter in zip(members, letters, strict=True)
    ]
    tests, probabilities = zip(*outputs, strict=True)
    return TableComparison(
        comparison=REPORT_FORM,
        results=(first.name, second.name),
        labels=labels.name,
        seed=seed,
        n=len(common),
        answered_by_some_only=named(some),
        target=classes[0],
        comparisons=tuple(compare_models(tests, probabilities, seed, classes[0])),
    )


def _answered(member: Member) -> set[str]:
    _, matched, network = member
    answered = network.predicted[matched.rows] != NO_ANSWER
    return {name for name, has_answer in zip(matched.names, answered, strict=True) if has_answer}


def _outputs(member: Member, name: str, common: list[str]) -> tuple[SavedOutputs, Probabilities]:
    """The common files, by name; logarithms of the probabilities are logits that give them."""
    table, matched, network = member
    place = {name: number for number, name in enumerate(matched.names)}
    answers = _predictions_of(table, matched, network, np.ones(len(matched.rows), bool))
    order = np.array([place[name] for name in common])
    probabilities = answers.probabilities[order]
    outputs = SavedOutputs(
        name=name,
        classes=answers.classes,
        files=np.array(common),
        index=order,
        truth=answers.truth[order],
        split=np.full(len(order), "test"),
        group=answers.group[order],
        source=np.array([matched.labels[number].source for number in order]),
        logits=np.log(np.clip(probabilities, SMALLEST, 1)).astype(np.float32),
        features=np.zeros((len(order), 0), np.float32),
    )
    return outputs, probabilities


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """A part of a report; without rows there is no table.

    Attributes:
        title: Of the part.
        sentences: Above the table.
        header: Names of the columns.
        rows: Cells.
    """

    title: str
    sentences: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def blocks(report: TableEvaluation | TableComparison) -> list[ReportBlock]:
    """Return the parts of what `evaluate_table` or `compare_tables` found."""
    if isinstance(report, TableComparison):
        return [_common(report), *map(_pair, report.comparisons)]
    return [_counts(report), *(block for network in report.networks for block in _network_blocks(network))]


def render_markdown(report: TableEvaluation | TableComparison) -> str:
    """Return a report as Markdown."""
    parts = []
    for block in blocks(report):
        parts += [f"## {block.title}", *block.sentences]
        parts += [markdown_table(block.header, block.rows)] if block.rows else []
    return "\n\n".join(["# Evaluation against labels", *parts, RESEARCH_ONLY]) + "\n"


def _counts(report: TableEvaluation) -> ReportBlock:
    counts = report.counts
    return ReportBlock(
        f"{report.results} against {report.labels}",
        (
            f"{counts.labelled_rows:,} of {counts.rows:,} rows have a label.",
            *_left_out(counts.rows_without_label, "Rows without a label, left out"),
            *_left_out(counts.labels_without_row, "Labels without a row, left out"),
        ),
    )


def _network_blocks(network: NetworkEvaluation) -> Iterator[ReportBlock]:
    name = network.network
    yield _overall(network)
    yield _by_class(name, network.classes)
    names = tuple(one.name for one in network.classes)
    counted = zip(names, network.confusion, strict=True)
    yield ReportBlock(
        f"{name}: confusion", (), ("true", *names), tuple((true, *map(str, row)) for true, row in counted)
    )
    yield _calibration(name, network.calibration)
    if network.decisions:
        yield _decisions(name, network.decisions)
    if network.sources:
        yield _sources(name, network.sources)


def _overall(network: NetworkEvaluation) -> ReportBlock:
    metrics = network.metrics
    as_errors = ("accuracy, answers missing count as errors", PERCENT.interval(network.missing_as_errors.accuracy))
    return ReportBlock(
        f"{network.network}: {network.n:,} images",
        (
            *_left_out(network.in_training_set, "In the training set, which makes figures look better"),
            *_left_out(network.without_answer, "Labelled files without an answer, not in the figures"),
        ),
        ("figure", "value [95 % interval]"),
        (
            ("accuracy", PERCENT.interval(metrics.accuracy)),
            *((as_errors,) if network.without_answer.number else ()),
            ("balanced accuracy", PERCENT.interval(metrics.balanced_accuracy)),
            ("macro AUC", NUMBER.interval(metrics.macro_auc)),
            ("log loss", NUMBER.interval(metrics.log_loss)),
            ("Brier score", NUMBER.interval(metrics.brier)),
            ("macro F1", FINE_NUMBER.number(metrics.macro_f1)),
            ("Matthews correlation", FINE_NUMBER.number(metrics.mcc)),
        ),
    )


def _by_class(name: str, classes: Sequence[ClassMetrics]) -> ReportBlock:
    rates = (
        ("sensitivity, %", [one.sensitivity for one in classes]),
        ("specificity, %", [one.specificity for one in classes]),
        ("PPV, %", [one.ppv for one in classes]),
        ("NPV, %", [one.npv for one in classes]),
    )
    rows = (
        ("images", *(str(one.n) for one in classes)),
        *((label, *map(BARE_PERCENT.interval, found)) for label, found in rates),
        ("AUC", *(NUMBER.interval(one.auc) for one in classes)),
    )
    return ReportBlock(f"{name}: by class", (), ("figure", *(one.name for one in classes)), rows)


def _calibration(name: str, found: Calibration) -> ReportBlock:
    verdict = "is told" if found.distinguishable else "cannot be told"
    error, low, high = map(FINE_NUMBER.number, (found.ece15, found.null_low, found.null_high))
    sentence = (
        f"Calibration error (15 bins) {error}; a calibrated model shows {low} to {high} on as many images "
        f"(p = {p_value(found.p)}): it {verdict} from one."
    )
    rows = (
        (NUMBER.number(one.confidence), PERCENT.interval(Interval(one.accuracy, one.low, one.high)), str(one.n))
        for one in found.reliability
    )
    return ReportBlock(f"{name}: calibration", (sentence,), ("mean confidence", "right", "images"), tuple(rows))


def _decisions(name: str, found: TableDecisions) -> ReportBlock:
    referred, target = found.referred, found.target
    sentences = [
        f"Referred: {PERCENT.interval(referred.share)} of {found.n:,}, among them {referred.errors_referred} of "
        f"{referred.errors} wrong predictions. Wrong among the others: {PERCENT.interval(referred.error_answered)}."
    ]
    if target:
        sentences.append(
            f"Of what was not referred: sensitivity for {target} {PERCENT.interval(found.sensitivity)}, "
            f"specificity {PERCENT.interval(found.specificity)}. "
            f"Suspected or referred: {PERCENT.interval(found.suspected_or_referred)} of {target}."
        )
    rows = ((one.name, str(one.suspected), str(one.not_suspected), str(one.referred)) for one in found.by_class)
    header = ("true", "suspected", "not suspected", "referred")
    return ReportBlock(f"{name}: decisions of the table", tuple(sentences), header, tuple(rows))


def _sources(name: str, sources: Sequence[SourceSensitivity]) -> ReportBlock:
    rows = (
        (one.source, one.label, f"{one.n}{' (few)' if one.small else ''}", PERCENT.interval(one.sensitivity))
        for one in sources
    )
    return ReportBlock(f"{name}: by source", (), ("source", "class", "images", "sensitivity"), tuple(rows))


def _common(report: TableComparison) -> ReportBlock:
    first, second = report.results
    return ReportBlock(
        f"a: {first}, b: {second}, against {report.labels}: {report.n:,} common images",
        (
            *_left_out(report.answered_by_some_only, "Labelled files not answered by all, left out"),
            f"McNemar's exact test; DeLong's for the AUC of {report.target}; adjusted by Holm over the pairs.",
        ),
    )


def _pair(one: Comparison) -> ReportBlock:
    gap, points = one.detectable_gap_images, Notation(1)
    seen = "none" if gap is None else f"{gap} images, {points.number(one.detectable_gap_points)} points"
    return ReportBlock(
        f"{one.a} less {one.b}",
        (),
        ("figure", "difference [95 % interval]"),
        (
            ("accuracy, points", SIGNED_POINTS.interval(one.accuracy_gap)),
            ("right in one only", f"{one.only_a_right} : {one.only_b_right}"),
            ("p, accuracy", p_value(one.p_holm)),
            ("smallest gap that so many disagreements can show", seen),
            ("macro AUC, points", SIGNED_POINTS.interval(one.auc_gap)),
            ("p, AUC", p_value(one.auc_p_holm)),
            ("log loss", NUMBER.interval(one.log_loss_gap)),
        ),
    )


_NAMED = 5  # in a sentence; the JSON report names more


def _left_out(files: NamedFiles, what: str) -> tuple[str, ...]:
    """Return `Rows without a label: 2 (a.png, b.png).`; nothing where no file was left out."""
    if not files.number:
        return ()
    more = ", ..." if files.number > _NAMED else ""
    return (f"{what}: {files.number:,} ({', '.join(files.first[:_NAMED])}{more}).",)
