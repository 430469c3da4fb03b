"""A table's networks against labels. Probabilities and decisions are taken as they are: nothing is fitted here."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cxr.core.errors import DataError
from cxr.core.records import parts
from cxr.dataset.spelling import folded
from cxr.evaluation.stats.calibration import ReliabilityBin, reliability
from cxr.evaluation.stats.classification import (
    THRESHOLDS,
    PrecisionRecallCurve,
    Predictions,
    RocCurve,
    precision_recall_curves,
    roc_curves,
)
from cxr.evaluation.stats.intervals import ratio, rounded
from cxr.inference.decisions import decision_words
from cxr.validation.grouping import GroupBy
from cxr.validation.labels import (
    LEAVE_OUT,
    NEGATIVE,
    LabelTable,
    Means,
    meaning_of,
    require_meanings,
    said_positive,
)
from cxr.validation.matching import MatchCounts, Matched, NamedFiles, groups, match, named
from cxr.validation.measures import (
    OTHER,
    PROBABLE,
    REFERRED,
    Bools,
    Cases,
    Figure,
    has_both,
    measure,
    measure_nothing,
    readings,
)
from cxr.validation.results import NetworkPredictions, ResultsTable

REPORT_FORM = 4
ALL, UNSEEN = "all", "unseen"
_REASONED = ("rejected", "error")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of tables and labels.

    Attributes:
        means: What labels mean that are not the name of a class.
        target: Class that is looked for; None: that of the decisions.
        by: Columns to group by.
        prevalences: Shares of the target class for predictive values.
        seed: Of bootstrap and null band.
    """

    means: Means
    target: str | None = None
    by: tuple[GroupBy, ...] = ()
    prevalences: tuple[float, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class FigureSet:
    """Figures of one set of files.

    Attributes:
        files: ALL, or UNSEEN: those of which it is known that the network was not trained on them.
        by: Column that the files are grouped by; empty for all groups together.
        group: Its value.
        n: Files.
        trained: Those of them that the network was trained on.
        figures: In a fixed order; fewer where the files do not give them.
    """

    files: str
    by: str
    group: str
    n: int
    trained: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class LabelOutcome:
    """What became of the files of one label.

    Attributes:
        label: As it is written.
        means: A class, NEGATIVE or LEAVE_OUT.
        files: How many there are.
        outcomes: How often which decision (without decisions: prediction) was given, or which status.
        reasons: How often which reason was given for a referral, a rejection or an error.
        predicted: How often which class was the most probable one.
    """

    label: str
    means: str
    files: int
    outcomes: Mapping[str, int]
    reasons: Mapping[str, int]
    predicted: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DecisionCurvePoint:
    """Net benefit per file at a threshold (Vickers and Elkin 2006).

    Attributes:
        threshold: Of the probability of the target class.
        network: Of acting on what reaches it; None where not defined, as the next.
        all: Of acting on every file.
    """

    threshold: float
    network: float | None
    all: float | None


@dataclass(frozen=True, slots=True)
class DecisionCurve:
    """Net benefits where the target class has a share; `as_labelled` where it is that of the labels."""

    prevalence: float
    as_labelled: bool
    points: tuple[DecisionCurvePoint, ...]


@dataclass(frozen=True, slots=True)
class AnswerPoint:
    """What yes and no reach, as one way of reading the answers gives them; None where not defined.

    Attributes:
        reading: PROBABLE or REFERRED.
        sensitivity: 0 to 1.
        specificity: 0 to 1.
        ppv: 0 to 1.
    """

    reading: str
    sensitivity: float | None
    specificity: float | None
    ppv: float | None


@dataclass(frozen=True, slots=True)
class Curves:
    """What is drawn of the target class against the rest.

    Attributes:
        n: Files.
        positive: Those of the target class.
        roc: Without points where one side is empty.
        precision_recall: Without points where one side is empty, as `reliability`.
        reliability: Of the probability of the target class.
        decision: First for the share of the labels, then for others that were asked for; without points as above.
        points: What yes and no reach on the same files.
    """

    n: int
    positive: int
    roc: RocCurve
    precision_recall: PrecisionRecallCurve
    reliability: tuple[ReliabilityBin, ...]
    decision: tuple[DecisionCurve, ...]
    points: tuple[AnswerPoint, ...]


@dataclass(frozen=True, slots=True)
class NetworkEvaluation:
    """One network of a table.

    Attributes:
        network: Its identity.
        classes: In its order.
        target: Class that is looked for; None where nobody said which.
        believed: UNSEEN, or ALL where the table does not tell which files are that, or none is, or none of the others
            is one that the network was trained on.
        decides: Whether the table has decisions about the target.
        decisions_about: Class that the table's decisions are about; None where nothing tells.
        said_positive: Labels that were said to be positive, and so mean the target.
        contradicting: Pictures that stand under several names with labels that contradict each other; left out.
        without_answer: Labelled files that it did not answer.
        in_training_set: Labelled files that it was trained on; None where the table does not tell.
        training_not_known: Labelled files of which the table does not tell, though it does of others.
        labels: What became of the files of each label; of the believed files, and those that are left out.
        sets: All files, unseen files, then the same of every group.
        curves: Of the believed files; None without a target or answers.
    """

    network: str
    classes: tuple[str, ...]
    target: str | None
    believed: str
    decides: bool
    decisions_about: str | None
    said_positive: tuple[str, ...]
    contradicting: NamedFiles
    without_answer: NamedFiles
    in_training_set: NamedFiles | None
    training_not_known: NamedFiles
    labels: tuple[LabelOutcome, ...]
    sets: tuple[FigureSet, ...]
    curves: Curves | None


@dataclass(frozen=True, slots=True)
class TableEvaluation:
    """A table against labels; docs/cxr-eval.md describes it.

    Attributes:
        evaluation: REPORT_FORM.
        results: Name of the table.
        labels: Name of the labels.
        read: What was read from which column of the labels; empty for a folder.
        seed: Of bootstrap and null band.
        counts: How both fit.
        networks: In the order of the table.
    """

    evaluation: int
    results: str
    labels: str
    read: Mapping[str, str]
    seed: int
    counts: MatchCounts
    networks: tuple[NetworkEvaluation, ...]


def evaluate_table(table: ResultsTable, labels: LabelTable, question: Question) -> TableEvaluation:
    """Measure every network of a table.

    Args:
        table: What cxr-batch wrote.
        labels: What the images show.
        question: What is asked.

    Raises:
        DataError: Nothing matches, a label is unknown, a column is absent, or a network has no answer for any labelled
            file.
    """
    matched = match(table, labels)
    members = {by: _members(table, labels, matched, by) for by in _columns(labels, question)}
    networks = tuple(_network(table, labels, matched, network, question, members) for network in table.networks)
    used = labels.used
    read = parts(used) if used else {}
    stated = {what: column for what, column in read.items() if column}
    return TableEvaluation(REPORT_FORM, table.name, labels.name, stated, question.seed, matched.counts, networks)


def _columns(labels: LabelTable, question: Question) -> tuple[GroupBy, ...]:
    """Return what to group by, a column always in the same spelling; `source` counts where nothing is asked for."""
    known = (GroupBy("source"),) if "source" in labels.columns else ()
    spelt: dict[str, str] = {}
    return tuple(replace(by, column=spelt.setdefault(folded(by.column), by.column)) for by in question.by) or known


def _members(table: ResultsTable, labels: LabelTable, matched: Matched, by: GroupBy) -> Mapping[str, Bools]:
    """Return the matched rows of each group of a column of the labels, or else of the table."""
    column, spelt, wanted = by.column, {folded(name): name for name in labels.columns}, folded(by.column)
    if wanted in spelt:
        rows = [f"row {one.row}" if one.row else name for one, name in zip(matched.labels, matched.names, strict=True)]
        cells = [label.columns[spelt[wanted]] for label in matched.labels]
        return by.named(cells, labels.name, rows, decimal_comma=labels.decimal_comma)
    written = {folded(name): cells for name, cells in table.columns.items()}
    if wanted in written:
        cells = [written[wanted][row] for row in matched.rows]
        return by.named(cells, table.name, [table.paths[row] for row in matched.rows])
    known = (
        f"{labels.name} has the columns {', '.join(labels.columns)}" if labels.columns else "a folder has no columns"
    )
    raise DataError(f"--by {column}: {known}, and {table.name} has none of that name; name one of them")


Members = Mapping[GroupBy, Mapping[str, Bools]]  # rows of each group


def _network(
    table: ResultsTable,
    labels: LabelTable,
    matched: Matched,
    network: NetworkPredictions,
    question: Question,
    members: Members,
) -> NetworkEvaluation:
    stated = meanings_for(labels, matched, network, question)
    against = contradictions(table, matched, stated, target_of(network, question.target))
    meanings = [LEAVE_OUT if picture else word for word, picture in zip(stated, against, strict=True)]
    pictures = list(dict.fromkeys(filter(None, against)))
    every = cases_of(table, matched, network, meanings, question)
    measured = np.array([word != LEAVE_OUT for word in meanings])
    if pictures and not measured.any():
        raise DataError(
            f"{labels.name} has labels that contradict each other for every picture of {table.name} that is to be "
            f"measured: it stands there under several names, such as {pictures[0]}; correct the labels"
        )
    if not (every.answered & measured).any():
        raise DataError(f"{table.name} has no answer of {network.name} for any labelled file; nothing can be measured")
    told = any(network.trained[row] for row in matched.rows)
    unseen, not_known = measured & every.unseen, measured & ~every.unseen & ~every.trained
    apart = (measured & every.trained).any() or not not_known.any()
    believed = UNSEEN if apart and (unseen & every.answered).any() else ALL
    shown = unseen if believed == UNSEEN else measured
    paths = np.array([table.paths[row] for row in matched.rows])
    return NetworkEvaluation(
        network=network.name,
        classes=network.classes,
        target=every.target,
        believed=believed,
        decides=every.decides,
        decisions_about=target_of(network, None),
        said_positive=positive_labels(matched, question),
        contradicting=named(pictures),
        without_answer=named(paths[measured & ~every.answered].tolist()),
        in_training_set=named(paths[measured & every.trained].tolist()) if told else None,
        training_not_known=named(paths[not_known].tolist() if told else []),
        labels=tuple(_outcomes(table, matched, network, every, meanings, shown)),
        sets=tuple(_sets(every, measured, told, members, question)),
        curves=_curves(every.chosen(shown), question.prevalences),
    )


def meanings_for(
    labels: LabelTable, matched: Matched, network: NetworkPredictions, question: Question
) -> tuple[str, ...]:
    """Return what the label of each matched row means to a network; see `labels.meaning_of`.

    Raises:
        DataError: Nobody said what a label means, or a class is named that the network has not.
    """
    target = target_of(network, question.target)
    require_meanings(labels.name, network.name, (one.label for one in matched.labels), question.means, network.classes)
    found = [meaning_of(one.label, question.means, network.classes, target) for one in matched.labels]
    if target is None and (None in found or NEGATIVE in found):
        raise DataError(
            f"{network.name} decides nothing in this table that names the class that is looked for, which positive and "
            f"negative labels are about; name it with --target, one of {', '.join(network.classes)}"
        )
    return tuple(word or "" for word in found)


def contradictions(
    table: ResultsTable, matched: Matched, meanings: Sequence[str], target: str | None
) -> tuple[str, ...]:
    """Find pictures that stand under several names with labels that contradict each other.

    Two classes do, and the target and anything else. Files that are left out contradict nothing.

    Returns:
        For each matched row, such as `a.png as covid and b.png as normal`; empty where nothing contradicts.
    """
    known = (table.digests[row].casefold() for row in matched.rows)
    digests = [digest if word != LEAVE_OUT else "" for digest, word in zip(known, meanings, strict=True)]
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)  # by digest, then by meaning
    files = zip(matched.names, digests, meanings, matched.labels, strict=True)
    for name, digest, word, label in sorted(files, key=lambda one: one[0]):
        found[digest].setdefault(word, f"{name} as {label.label}")
    against = {digest for digest, said in found.items() if digest and _contradict(set(said), target)}
    return tuple(" and ".join(found[digest].values()) if digest in against else "" for digest in digests)


def _contradict(meanings: set[str], target: str | None) -> bool:
    """Tell whether one picture cannot have them all; what is negative may be of any class but the target."""
    return len(meanings if target in meanings else meanings - {NEGATIVE}) > 1


def positive_labels(matched: Matched, question: Question) -> tuple[str, ...]:
    """Return the labels of matched rows that were said to be positive."""
    return tuple(sorted({one.label for one in matched.labels if said_positive(one.label, question.means)}))


def target_of(network: NetworkPredictions, wanted: str | None) -> str | None:
    """Return the class that is looked for: the `wanted` one, or that of the decisions; None where nothing tells.

    Raises:
        DataError: The network has no such class.
    """
    if wanted is not None and wanted not in network.classes:
        raise DataError(f"--target {wanted}: {network.name} has the classes {', '.join(network.classes)}")
    words = set(network.decisions)
    return wanted or next((name for name in network.classes if decision_words(name)[0] in words), None)


def cases_of(
    table: ResultsTable,
    matched: Matched,
    network: NetworkPredictions,
    meanings: Sequence[str],
    question: Question,
) -> Cases:
    """Return the matched rows with what a network said of them; decisions only where they are about the target."""
    rows, target = matched.rows, target_of(network, question.target)
    decisions = np.array(network.decisions)[rows]
    return Cases(
        classes=network.classes,
        target=target,
        truth=np.array([network.classes.index(one) if one in network.classes else OTHER for one in meanings], np.int64),
        predicted=network.predicted[rows],
        probabilities=network.probabilities[rows],
        decisions=decisions if target_of(network, None) in (None, target) else np.full_like(decisions, ""),
        group=groups(matched.labels, [table.digests[row] for row in rows]),
        trained=np.array([network.trained[row] == "yes" for row in rows]),
        unseen=np.array([network.trained[row] == "no" for row in rows]),
    )


def _sets(cases: Cases, measured: Bools, told: bool, members: Members, question: Question) -> Iterator[FigureSet]:
    yield from _both(cases, measured, told, "", "", question)
    # By one column in two ways, such as age=18 and age=18,65, a group may come twice, with the same files.
    once = {(by.column, group): rows for by, found in members.items() for group, rows in found.items()}
    for (column, group), rows in once.items():
        if (measured & rows).any():
            yield from _both(cases, measured & rows, told, column, group, question)


def _both(cases: Cases, rows: Bools, told: bool, by: str, group: str, question: Question) -> Iterator[FigureSet]:
    """Give the figures of all files, and of those that the network was not trained on, where the table tells."""
    chosen = cases.chosen(rows)
    figures = measure(chosen, question.prevalences, question.seed)
    yield FigureSet(ALL, by, group, len(chosen), int(chosen.trained.sum()), figures)
    if told:
        unseen = chosen.chosen(chosen.unseen)
        if not len(unseen):
            figures = measure_nothing(cases.target)
        elif len(unseen) < len(chosen):
            figures = measure(unseen, question.prevalences, question.seed)
        yield FigureSet(UNSEEN, by, group, len(unseen), 0, figures)


def _outcomes(
    table: ResultsTable,
    matched: Matched,
    network: NetworkPredictions,
    cases: Cases,
    meanings: Sequence[str],
    shown: Bools,
) -> Iterator[LabelOutcome]:
    order = {name: number for number, name in enumerate((*network.classes, NEGATIVE, LEAVE_OUT))}
    stated = [(order[word], label.label, word) for word, label in zip(meanings, matched.labels, strict=True)]
    for one in sorted(set(stated)):
        rows = [
            number for number, other in enumerate(stated) if other == one and (shown[number] or one[2] == LEAVE_OUT)
        ]
        outcomes = [_outcome(table, network, cases, number, int(matched.rows[number])) for number in rows]
        predicted = Counter(network.classes[number] for number in cases.predicted[rows] if number >= 0)
        yield LabelOutcome(
            label=one[1],
            means=one[2],
            files=len(rows),
            outcomes=_counted(word for word, _ in outcomes),
            reasons=_counted(f"{word}: {reason}" for word, reason in outcomes if reason),
            predicted={name: predicted[name] for name in network.classes},
        )


def _counted(words: Iterator[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _outcome(table: ResultsTable, network: NetworkPredictions, cases: Cases, number: int, row: int) -> tuple[str, str]:
    """Return the decision, or else the prediction or the status, and the reason for it.

    What was decided about another class than the target is no outcome.
    """
    if cases.answered[number]:
        if network.decisions[row] and (cases.decides or not cases.target):
            return network.decisions[row], network.refer_reasons[row]
        return network.classes[cases.predicted[number]], ""
    status = table.statuses[row]
    return status if status in _REASONED else "no answer", table.reasons[row]


def _curves(cases: Cases, prevalences: Sequence[float]) -> Curves | None:
    if cases.target is None or not cases.answered.any():
        return None
    answers = cases.against_rest()
    positive, share = answers.truth == 1, answers.probabilities[:, 1]
    own, both = float(positive.mean()), has_both(positive)
    others = (one for one in prevalences if one != round(own, 6))
    no_curve = PrecisionRecallCurve(cases.target, (), ())
    return Curves(
        n=len(answers),
        positive=int(positive.sum()),
        roc=roc_curves(answers)[1],
        precision_recall=precision_recall_curves(answers)[1] if both else no_curve,
        reliability=reliability(share, positive) if both else (),
        decision=(
            _decision_curve(answers, own, as_labelled=True),
            *(_decision_curve(answers, one, as_labelled=False) for one in others),
        ),
        points=tuple(_points(cases, cases.target)),
    )


def _points(cases: Cases, target: str) -> Iterator[AnswerPoint]:
    for reading, considered, called in readings(cases, target):
        if reading in (PROBABLE, REFERRED):
            positive, yes = cases.positive[considered], called[considered]
            rates = [yes[positive], ~yes[~positive], positive[yes] if has_both(cases.positive) else positive[:0]]
            yield AnswerPoint(reading, *(rounded(ratio(rows.sum(), len(rows))) for rows in rates))


def _decision_curve(answers: Predictions, prevalence: float, *, as_labelled: bool) -> DecisionCurve:
    positive, share = answers.truth == 1, answers.probabilities[:, 1]
    points = []
    for threshold in THRESHOLDS if has_both(positive) else ():
        odds, called = threshold / (1 - threshold), share >= threshold
        found, alarms = called[positive].mean(), called[~positive].mean()
        network = prevalence * found - (1 - prevalence) * alarms * odds
        everyone = prevalence - (1 - prevalence) * odds
        points.append(DecisionCurvePoint(threshold, rounded(network), rounded(everyone)))
    return DecisionCurve(round(prevalence, 6), as_labelled, tuple(points))


def outcome_words(network: NetworkEvaluation) -> tuple[str, ...]:
    """Return what can become of a file, in order: decisions, or classes where there are none, then the statuses."""
    seen = {word for label in network.labels for word in label.outcomes}
    first = decision_words(network.target or "") if network.decides else network.classes
    return (*first, *(word for word in sorted(seen - set(first) - set(_REASONED))), *_REASONED)
