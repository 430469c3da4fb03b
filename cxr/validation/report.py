"""What was found about tables, for people: blocks of sentences and tables; and as rows for other programs."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from cxr.core.pages import RESEARCH_ONLY, markdown_table
from cxr.core.redcap import FieldType, RedcapField, record_id, write_redcap
from cxr.evaluation.stats.calibration import ReliabilityBin
from cxr.evaluation.stats.classification import Comparison
from cxr.evaluation.stats.intervals import (
    BARE_PERCENT,
    FINE_NUMBER,
    NOT_DEFINED,
    NUMBER,
    PERCENT,
    POINTS,
    Interval,
    Notation,
    above_or_below,
    p_value,
)
from cxr.inference.decisions import decision_words
from cxr.validation.external import (
    ALL,
    UNSEEN,
    FigureSet,
    LabelOutcome,
    NetworkEvaluation,
    TableEvaluation,
    outcome_words,
)
from cxr.validation.labels import LEAVE_OUT
from cxr.validation.matching import NamedFiles
from cxr.validation.measures import (
    BOOTSTRAP,
    COUNT,
    DECIDED,
    DELONG,
    MOVER,
    PLAIN,
    PROBABLE,
    REFERRED,
    REST,
    SANDWICH,
    SIMULATION,
    SMALL,
    UNANSWERED,
    UNDECIDED,
    WILSON,
    WITHOUT_ANSWER,
    WITHOUT_DECISION,
    Figure,
    by_key,
)
from cxr.validation.paired import ComparedFiles, TableComparison

NAMES = {UNSEEN: "not trained on", ALL: "all files"}
VALUE = "value [95 % interval]"
# How answers are read as yes or no: in a table, and what that means.
READINGS = {
    PROBABLE: ("most probable class", ""),
    DECIDED: ("decision", "'decision' leaves referred files aside."),
    REFERRED: ("referred as suspected", "'referred as suspected' counts the referred files as if they were suspected."),
    UNDECIDED: (
        "undecided as wrong",
        "'undecided as wrong' takes all files and counts the referred, rejected and failed ones as wrong.",
    ),
    UNANSWERED: (
        "unanswered as wrong",
        "'unanswered as wrong' takes all files and counts the rejected and failed ones as wrong.",
    ),
}


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
        return list(_comparison(report))
    return [_counts(report), *(block for network in report.networks for block in _network_blocks(network))]


def render_markdown(report: TableEvaluation | TableComparison) -> str:
    """Return a report as Markdown."""
    parts = []
    for block in blocks(report):
        parts += [f"## {block.title}", *block.sentences]
        parts += [markdown_table(block.header, block.rows)] if block.rows else []
    return "\n\n".join(["# Evaluation against labels", *parts, RESEARCH_ONLY]) + "\n"


def _counts(report: TableEvaluation) -> ReportBlock:
    counts, what = report.counts, {"path": "names of files", "label": "labels", "patient": "patients"}
    read = ", ".join(f"{report.read[key]} ({words})" for key, words in what.items() if key in report.read)
    return ReportBlock(
        f"{report.results} against {report.labels}",
        (
            f"{counts.labelled_rows:,} of {counts.rows:,} rows have a label.",
            *((f"Sheet read: {report.read['sheet']}.",) if "sheet" in report.read else ()),
            *((f"Columns read: {read}.",) if read else ()),
            *((f"Their names stand in row {report.read['row']}.",) if "row" in report.read else ()),
            *_named(counts.rows_without_label, "Rows without a label, left out"),
            *_named(counts.labels_without_row, "Labels without a row, left out"),
            *_named(counts.ambiguous, "Names that fit several rows, left out; write their folders too"),
            *_named(counts.empty_labels, "Files whose label is empty, left out"),
            *_named(counts.without_ending, "Names that were found without their endings, such as .png"),
            *_named(counts.repeated_labels, "Rows of labels that say again what another one says, counted once"),
        ),
    )


def _network_blocks(network: NetworkEvaluation) -> Iterator[ReportBlock]:
    sets = _sets_of(network)
    yield _outcomes(network)
    if any(label.reasons for label in network.labels):
        yield _reasons(network)
    if network.target:
        yield _against_rest(network, network.target, sets)
        yield from _prevalences(network, network.target, sets)
    yield from _groups(network)
    if network.target and network.curves:
        # Of files of one side alone neither says anything, and a sentence above says why.
        if any(_has(one, "ece") for one in sets):
            yield _calibration(network, network.target, sets)
        if network.curves.reliability:
            yield _reliability(network, network.target, network.curves.reliability)
        if any(_has(one, "net_benefit") for one in sets):
            yield _decision_curve(network, network.target, sets)
    if _has(sets[0], "accuracy"):
        yield _of_classes(network, sets)
        for one in sets:
            yield _by_class(network, one, alone=len(sets) == 1)
    yield _confusion(network)


def _sets_of(network: NetworkEvaluation, by: str = "", group: str = "") -> list[FigureSet]:
    """Return the sets of a group, side by side: what to believe first; one where both are the same files."""
    own = [one for one in network.sets if (one.by, one.group) == (by, group)]
    own.sort(key=lambda one: one.files != UNSEEN)
    return own if network.believed == UNSEEN and own[0].n != own[-1].n else own[-1:]


def _has(one: FigureSet, metric: str) -> bool:
    return any(figure.metric == metric for figure in one.figures)


def _title(network: NetworkEvaluation, what: str) -> str:
    return f"{network.network}: {what}"


def _outcomes(network: NetworkEvaluation) -> ReportBlock:
    words = outcome_words(network)
    rows = [_outcome_row(network, label, words) for label in network.labels]
    shown = {word: any(label.outcomes.get(word) for label in network.labels) for word in words}
    always = decision_words(network.target or "") if network.decides else ()
    kept = [place for place, word in enumerate(words) if shown[word] or word in always]
    header = ("label", "means", "files", *(words[place].replace("_", " ") for place in kept))
    cut = [(*row[:3], *(row[3 + place] for place in kept)) for row in rows]
    unanswered = _named(network.without_answer, "Labelled files without an answer")
    title = _title(network, "what became of the files of each label")
    told = (
        "No row is suspected, so the table does not tell which class is looked for; name it with --target for figures "
        "of it against the rest."
    )
    sentences = (
        *_training(network),
        *unanswered,
        *_contradicting(network.contradicting),
        *_other_decisions(network),
        *_called_positive(network.said_positive, network.target, network.decisions_about),
        *((told,) if network.target is None else ()),
    )
    return ReportBlock(title, sentences, header, tuple(cut))


def _outcome_row(network: NetworkEvaluation, label: LabelOutcome, words: Sequence[str]) -> tuple[str, ...]:
    means = f"{network.target} (positive)" if label.means == network.target else label.means
    return (label.label, means, f"{label.files:,}", *(f"{label.outcomes.get(word, 0):,}" for word in words))


def _contradicting(pictures: NamedFiles) -> tuple[str, ...]:
    return _named(
        pictures,
        "Pictures that stand under several names with labels that contradict each other, left out; correct the labels",
    )


def _other_decisions(network: NetworkEvaluation) -> Iterator[str]:
    about, target = network.decisions_about, network.target
    if about and target != about:
        yield (
            f"The decisions of this table are about {about}, not about {target}, so no figure is of them: files are "
            "counted by their most probable class."
        )


def _called_positive(labels: Sequence[str], target: str | None, about: str | None) -> Iterator[str]:
    """Say what 'positive' was taken for, where that is another class than the decisions' own."""
    if labels and about and target != about:
        yield (
            f"'positive' means {target} here, the class of --target, and not {about}: {', '.join(labels)}. If that is "
            f"not what {'this label shows' if len(labels) == 1 else 'these labels show'}, give a class in --mapping."
        )


# What no table can tell: decisions.json names the pictures that were trained on, and no others.
_VALIDATION = (
    "No table tells films of the validation split of a network's project, which chose its epoch, threshold and "
    "prediction sets, from films that are new to it: they flatter it. If there are any among these files, leave them "
    "out of the labels, or add a column split to the labels and see the test split alone: --by split."
)


def _training(network: NetworkEvaluation) -> tuple[str, ...]:
    """Return what is to be said of the files that the network was trained on."""
    known = network.in_training_set
    if known is None:
        return (
            "The table does not say which files the network was trained on. If any of these are, the figures look "
            "better than the network is.",
        )
    not_told = _named(
        network.training_not_known,
        "Files of which it is not known whether the network was trained on them, because none has a picture that could "
        "be decoded, or the table is older",
    )
    if not known.number:
        which = "the other" if not_told else "these"
        return (*not_told, f"The network was trained on none of {which} files.", _VALIDATION)
    if network.believed == ALL:
        return (
            *not_told,
            f"The network was trained on all of these files that it answered ({known.number:,}): no figure here says "
            "what it does with others. Label files that it was not trained on.",
        )
    return (
        *_named(known, "Files that the network was trained on"),
        *not_told,
        *((f"Those are in the column '{NAMES[ALL]}' alone.",) if not_told else ()),
        f"Believe the column '{NAMES[UNSEEN]}': a network knows the answers to what it was trained on, so the column "
        f"'{NAMES[ALL]}' may look better than the network is. Tables without these columns are of the files not "
        "trained on.",
        _VALIDATION,
    )


def _reasons(network: NetworkEvaluation) -> ReportBlock:
    found = sorted({reason for label in network.labels for reason in label.reasons})
    labels = [label for label in network.labels if label.means != LEAVE_OUT]
    rows = tuple((_reason(one), *(f"{label.reasons.get(one, 0):,}" for label in labels)) for one in found)
    return ReportBlock(
        _title(network, f"why files have no {'decision' if network.decides or not network.target else 'answer'}"),
        (),
        ("reason", *(label.label for label in labels)),
        rows,
    )


def _reason(text: str) -> str:
    word, _, why = text.partition(": ")
    return f"{word}: {why.replace('_', ' ')}"


Row = tuple[str, Callable[[Figure], str], tuple[str, str, float | None]]  # words, notation, key of the figure


def _figure_table(
    rows: Sequence[Row], sets: Sequence[FigureSet]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return header and rows with a column for each set; rows that no set has are left out."""
    header = ("figure", *(NAMES[one.files] if len(sets) > 1 else VALUE for one in sets))
    found = [by_key(one.figures) for one in sets]
    table = tuple(
        (words, *(write(figures[key]) if key in figures else NOT_DEFINED for figures in found))
        for words, write, key in rows
        if any(key in figures for figures in found)
    )
    return header, table


def _counted(figure: Figure) -> str:
    """Return `93.8 % [89.8, 96.3], 211/225`."""
    if figure.value.value is None:
        return NOT_DEFINED if figure.n else f"{NOT_DEFINED}, 0/0"
    return f"{PERCENT.interval(figure.value)}, {round(figure.value.value * figure.n):,}/{figure.n:,}"


def _written(notation: Notation) -> Callable[[Figure], str]:
    return lambda figure: notation.interval(figure.value)


_WITHOUT = {WITHOUT_DECISION: "without a decision", WITHOUT_ANSWER: "rejected or failed"}


def _boundless(sets: Iterable[FigureSet], metric: str) -> Iterator[str]:
    """Say why an AUC has no interval, where one has none."""
    figures = (figure for one in sets for figure in one.figures if figure.metric == metric)
    if any(figure.value.value is not None and figure.value.low is None for figure in figures):
        yield (
            "An AUC without an interval: all files of one side have larger probabilities than all of the other (an AUC "
            "of exactly 1 or 0), or a side has one file, and DeLong's method gives none."
        )


def _against_rest(network: NetworkEvaluation, target: str, sets: Sequence[FigureSet]) -> ReportBlock:
    rows: list[Row] = [
        ("AUC", _written(NUMBER), ("auc", target, None)),
        ("average precision", _written(NUMBER), ("average_precision", target, None)),
        *(
            (f"{rate}, {words}", _counted, (f"{rate}_{reading}", target, None))
            for reading, (words, _) in READINGS.items()
            for rate in ("sensitivity", "specificity")
        ),
        *(
            (f"{rate.upper()}, {words}", _counted, (f"{rate}_{reading}", target, None))
            for reading, (words, _) in READINGS.items()
            for rate in ("ppv", "npv")
        ),
        *(
            (f"{words}, of {whose}", _counted, (metric, name, None))
            for metric, words in _WITHOUT.items()
            for name, whose in ((target, target), (REST, "the rest"))
        ),
    ]
    header, table = _figure_table(rows, sets)
    sentences = (
        *_sides(network, target),
        *_shares(target, sets),
        *_one_sided(target, sets),
        *_explained(sets[0]),
        *_boundless(sets, "auc"),
    )
    return ReportBlock(_title(network, f"{target} against the rest"), sentences, header, table)


def _sides(network: NetworkEvaluation, target: str) -> Iterator[str]:
    """Give which files are positive and which negative."""
    found = [label for label in network.labels if label.files and label.means != LEAVE_OUT]
    sides = [[label for label in found if (label.means == target) is yes] for yes in (True, False)]
    positive, rest = (sum(label.files for label in labels) for labels in sides)
    yes, no = (
        f" ({', '.join(f'{label.label} {label.files:,}' for label in labels)})" * bool(labels) for labels in sides
    )
    yield f"Positive: {positive:,} files{yes}. Negative: {rest:,} files{no}."


def _shares(target: str, sets: Sequence[FigureSet]) -> Iterator[str]:
    """Say for which share of the target the predictive values hold, in the first column that has any."""
    for one in sets:
        positive, rest = (_number(one, "files_of", name) for name in (target, REST))
        if positive and rest:
            where = "here" if one is sets[0] else f"in the column '{NAMES[one.files]}'"
            yield (
                f"PPV and NPV hold only where {100 * positive / (positive + rest):.1f} % of the files are {target}, as "
                f"{where}; --prevalence gives them for other shares."
            )
            return


def _one_sided(target: str, sets: Sequence[FigureSet]) -> Iterator[str]:
    """Say why figures are not defined where all files, or all that have an answer, are of one side."""
    for one in sets:
        column = f" in the column '{NAMES[one.files]}'" * (len(sets) > 1)
        sides = [_number(one, "files_of", name) for name in (target, REST)]
        answered = [
            by_key(one.figures)[(f"{rate}_{PROBABLE}", target, None)].n for rate in ("sensitivity", "specificity")
        ]
        whose, found = ("", sides) if 0 in sides else (" with an answer", answered)
        if 0 in found and any(found):
            which = f"All files{whose}{column} are {target}" if found[0] else f"No file{whose}{column} is {target}"
            yield (
                f"{which}: AUC, average precision, {'' if whose else 'PPV, NPV, '}calibration and net benefit need "
                "files of both kinds, and are not given."
            )


def _number(one: FigureSet, metric: str, name: str) -> int:
    return round(by_key(one.figures)[(metric, name, None)].value.value or 0)


def _explained(one: FigureSet) -> Iterator[str]:
    metrics = {figure.metric for figure in one.figures}
    yield from (why for reading, (_, why) in READINGS.items() if why and f"sensitivity_{reading}" in metrics)


def _prevalences(network: NetworkEvaluation, target: str, sets: Sequence[FigureSet]) -> Iterator[ReportBlock]:
    shares = [one.at for one in sets[0].figures if one.metric == "ppv_at_prevalence" and one.at is not None]
    if not shares:
        return
    main = DECIDED if network.decides else PROBABLE
    header = [f"share of {target}"]
    header += [f"{rate}{f', {NAMES[one.files]}' * (len(sets) > 1)}" for one in sets for rate in ("PPV", "NPV")]
    found = [by_key(one.figures) for one in sets]
    rows = (
        (
            f"{100 * share:g} %",
            *(
                PERCENT.interval(figures[(f"{rate}_at_prevalence", target, share)].value)
                for figures in found
                for rate in ("ppv", "npv")
            ),
        )
        for share in shares
    )
    yield ReportBlock(
        _title(network, f"predictive values where {target} has another share"),
        (f"By Bayes' rule from the sensitivity and specificity of '{READINGS[main][0]}', if both are the same there.",),
        tuple(header),
        tuple(rows),
    )


def _groups(network: NetworkEvaluation) -> Iterator[ReportBlock]:
    for column in dict.fromkeys(one.by for one in network.sets if one.by):
        names = dict.fromkeys(one.group for one in network.sets if one.by == column)
        rows: dict[str, list[tuple[str, ...]]] = {name: [] for name in names}
        shown: list[FigureSet] = []
        for name in names:
            shown += (sets := _sets_of(network, column, name))
            for one in sets:
                label = f"{name}, {NAMES[one.files]}" if len(sets) > 1 else name
                rows[name].append((label, *_group_cells(network, one)))
        small = [name for name, own in rows.items() if any(cell.endswith(_FEW) for row in own for cell in row)]
        note = f"{_FEW} A figure of fewer than {SMALL} files, which says little: {', '.join(small)}."
        header = (column, *(words for words, _ in _group_columns(network)))
        yield ReportBlock(
            _title(network, f"by {column}"),
            (*(note,) * bool(small), *_boundless(shown, "auc")),
            header,
            tuple(chain.from_iterable(rows.values())),
        )


_FEW = "*"


def _group_columns(network: NetworkEvaluation) -> list[tuple[str, tuple[str, str]]]:
    """Return the headers of a table of groups, each with metric and class."""
    target = network.target
    if not target:
        return [
            ("files", ("files", "")),
            ("accuracy, %", ("accuracy", "")),
            ("balanced accuracy, %", ("balanced_accuracy", "")),
        ]
    main = DECIDED if network.decides else PROBABLE
    return [
        (target, ("files_of", target)),
        ("rest", ("files_of", REST)),
        ("sensitivity, %", (f"sensitivity_{main}", target)),
        ("specificity, %", (f"specificity_{main}", target)),
        ("AUC", ("auc", target)),
        ("no decision, %", (WITHOUT_DECISION, "")) if network.decides else ("no answer, %", (WITHOUT_ANSWER, "")),
    ]


def _group_cells(network: NetworkEvaluation, one: FigureSet) -> list[str]:
    figures = by_key(one.figures)
    if without := figures.get((WITHOUT_ANSWER, "", None)):  # of a group without any answer: without a decision, too
        figures = {(WITHOUT_DECISION, "", None): without, **figures}
    return [_group_cell(figures.get((*key, None))) for _, key in _group_columns(network)]


def _group_cell(figure: Figure | None) -> str:
    if figure is None or figure.value.value is None:
        return NOT_DEFINED
    if figure.method == COUNT:
        return f"{figure.value.value:,.0f}"
    written = (NUMBER if figure.metric == "auc" else BARE_PERCENT).interval(figure.value)
    return f"{written}{_FEW * (figure.n < SMALL)}"


def _calibration(network: NetworkEvaluation, target: str, sets: Sequence[FigureSet]) -> ReportBlock:
    header, table = _figure_table(
        [
            ("intercept", _written(NUMBER), ("calibration_intercept", target, None)),
            ("slope", _written(NUMBER), ("calibration_slope", target, None)),
            ("calibration error (15 bins)", _written(FINE_NUMBER), ("ece", target, None)),
            (
                "that of a calibrated network",
                lambda figure: FINE_NUMBER.bounds(figure.value),
                ("ece_if_calibrated", target, None),
            ),
            ("Brier score", _written(NUMBER), ("brier", target, None)),
        ],
        sets,
    )
    sentences = (
        "Intercept: 0 is right; below 0 the probabilities are too high, above 0 too low.",
        "Slope: 1 is right; below 1 the probabilities are too near to 0 and 1, above 1 not near enough.",
        "Calibration error: a calibrated network has some, too: the line below has what 90 % of such show here.",
    )
    return ReportBlock(_title(network, f"calibration of the probability of {target}"), sentences, header, table)


def _reliability(network: NetworkEvaluation, target: str, bins: Sequence[ReliabilityBin]) -> ReportBlock:
    rows = (
        (NUMBER.number(one.confidence), PERCENT.interval(Interval(one.accuracy, one.low, one.high)), f"{one.n:,}")
        for one in bins
    )
    return ReportBlock(
        _title(network, f"probability of {target} beside what was found"),
        (),
        ("mean probability", f"share of {target}", "files"),
        tuple(rows),
    )


def _decision_curve(network: NetworkEvaluation, target: str, sets: Sequence[FigureSet]) -> ReportBlock:
    thresholds = [one.at for one in sets[0].figures if one.metric == "net_benefit" and one.at is not None]
    found = [by_key(one.figures) for one in sets]
    header = ["threshold"]
    for one in sets:
        suffix = f", {NAMES[one.files]}" * (len(sets) > 1)
        header += [f"network{suffix}", f"acting on all{suffix}"]
    rows = [
        (
            f"{at:g}",
            *(
                FINE_NUMBER.interval(figures[(metric, target, at)].value)
                for figures in found
                for metric in ("net_benefit", "net_benefit_of_all")
            ),
        )
        for at in thresholds
    ]
    columns = [f"of '{NAMES[one.files]}' " * (len(sets) > 1) for one in sets]
    sentences = (
        "Net benefit per file: cases found, less false alarms times the odds of the threshold. Acting on none: 0.",
        *(
            f"Better than acting on all and on none, with its whole interval, {where}at: "
            f"{_worth(figures, target, thresholds)}."
            for where, figures in zip(columns, found, strict=True)
            if figures[("net_benefit", target, thresholds[0])].value.value is not None
        ),
    )
    return ReportBlock(_title(network, f"decision curve of {target}"), sentences, tuple(header), tuple(rows))


def _worth(figures: Mapping[tuple[str, str, float | None], Figure], target: str, thresholds: Sequence[float]) -> str:
    """Return the thresholds at which the network is of use, in words."""
    worth = [f"{at:g}" for at in thresholds if _is_worth(figures, target, at)]
    return ", ".join(worth) or "none of these thresholds"


def _is_worth(figures: Mapping[tuple[str, str, float | None], Figure], target: str, at: float) -> bool:
    own, everyone = figures[("net_benefit", target, at)].value, figures[("net_benefit_of_all", target, at)].value
    lowest = own.value if own.low is None else own.low
    return lowest is not None and lowest > max(everyone.value or 0, 0)


_OVERALL: tuple[tuple[str, Callable[[Figure], str], str], ...] = (
    ("accuracy", _counted, "accuracy"),
    ("accuracy, unanswered as wrong", _counted, "accuracy_no_answer_counts_as_wrong"),
    ("balanced accuracy", _written(PERCENT), "balanced_accuracy"),
    ("macro AUC", _written(NUMBER), "macro_auc"),
    ("log loss", _written(NUMBER), "log_loss"),
    ("Brier score, 0 to 2", _written(NUMBER), "brier_of_classes"),
    ("macro F1", _written(FINE_NUMBER), "macro_f1"),
    ("Matthews correlation", _written(FINE_NUMBER), "matthews_correlation"),
)


def _of_classes(network: NetworkEvaluation, sets: Sequence[FigureSet]) -> ReportBlock:
    header, table = _figure_table([(words, write, (metric, "", None)) for words, write, metric in _OVERALL], sets)
    sentences = [f"Of the files whose label is one of the classes {', '.join(network.classes)}."]
    others = [label for label in network.labels if label.means not in (*network.classes, LEAVE_OUT)]
    if others:
        named = ", ".join(f"{label.label} {label.files:,}" for label in others)
        sentences.append(
            f"Not in these figures: {named}. Their false alarms do not count here, so specificity and PPV of "
            f"{network.target} may look better than against the rest."
        )
    figures = {one.metric: one for one in sets[0].figures}
    most = figures["accuracy_of_most_frequent"]
    gap = above_or_below(figures["accuracy_above_most_frequent"].value)
    sentences.append(f"Accuracy is {gap} that of always answering {most.name} ({PERCENT.number(most.value.value)}).")
    return ReportBlock(_title(network, "among its classes"), tuple(sentences), header, table)


def _by_class(network: NetworkEvaluation, one: FigureSet, *, alone: bool) -> ReportBlock:
    figures = by_key(one.figures)
    rows = [
        ("files", *(f"{figures[('sensitivity_among_classes', name, None)].n:,}" for name in network.classes)),
        *(
            (
                words,
                *(
                    notation.interval(figures[(f"{metric}_among_classes", name, None)].value)
                    for name in network.classes
                ),
            )
            for words, metric, notation in (
                ("sensitivity, %", "sensitivity", BARE_PERCENT),
                ("specificity, %", "specificity", BARE_PERCENT),
                ("PPV, %", "ppv", BARE_PERCENT),
                ("NPV, %", "npv", BARE_PERCENT),
                ("AUC", "auc", NUMBER),
            )
        ),
    ]
    files = "" if alone else f", {NAMES[one.files]}"
    return ReportBlock(
        _title(network, f"each class against the others{files}"),
        tuple(_boundless([one], "auc_among_classes")),
        ("figure", *network.classes),
        tuple(rows),
    )


def _confusion(network: NetworkEvaluation) -> ReportBlock:
    rows = (
        (label.label, *(f"{label.predicted[name]:,}" for name in network.classes))
        for label in network.labels
        if label.means != LEAVE_OUT
    )
    return ReportBlock(
        _title(network, "confusion"),
        ("Rows: labels. Columns: most probable classes, whatever was decided.",),
        ("label", *network.classes),
        tuple(rows),
    )


def _comparison(report: TableComparison) -> Iterator[ReportBlock]:
    first, second = report.results
    sets = sorted(report.sets, key=lambda one: one.files != UNSEEN)
    sentences = [
        *_named(report.answered_by_some_only, "Labelled files not answered by all, left out"),
        *_contradicting(report.contradicting),
        *_compared_training(report),
        *_methods(report),
    ]
    if any(one.n_of_classes < one.n for one in sets):
        sentences.append(
            "Files whose label is no class of the networks count only where the target class stands against the rest."
        )
    sentences += _not_compared(report.target, sets)
    header = ("files", *(NAMES[one.files] for one in sets))
    rows = (("common", *(f"{one.n:,}" for one in sets)), ("of the classes", *(f"{one.n_of_classes:,}" for one in sets)))
    yield ReportBlock(f"a: {first}, b: {second}, against {report.labels}", tuple(sentences), header, rows)
    for number in range(max(len(one.of_classes) or len(one.against_rest) for one in sets)):
        yield _pair(number, report.target, sets)


def _not_compared(target: str | None, sets: Sequence[ComparedFiles]) -> Iterator[str]:
    """Say why figures of a comparison are not defined, where some are not."""
    if not all(one.of_classes for one in sets):
        yield (
            "Accuracy, macro AUC and log loss are not given where the files of the networks' classes are of one class "
            f"or none: see {target} against the rest."
        )
    if any(pair.auc_gap.value is None for one in sets for pair in one.of_classes):
        yield "The macro AUC needs files of every class of the networks, and is not given without."
    if any(pair.auc_gap.value is None for one in sets for pair in one.against_rest):
        yield f"The AUC of {target} against the rest needs files of both kinds, and is not given without."


def _methods(report: TableComparison) -> Iterator[str]:
    """Say of which methods intervals and p values are, as the rows name them."""
    yield (
        "Bootstrap: draws whole patients (else equal files). DeLong and McNemar (exact): take files as independent, "
        "and find too much where patients have several."
    )
    yield (
        "The p value of accuracy is of another method than its interval: near 0.05 they may disagree. Those of the AUC "
        "against the rest are of one method."
    )
    if any(max(len(one.of_classes), len(one.against_rest)) > 1 for one in report.sets):
        yield "p values are adjusted by Holm over the pairs, intervals are not."


def _compared_training(report: TableComparison) -> Iterator[str]:
    yield from _called_positive(report.said_positive, report.target, report.decisions_about)
    if not report.training_known:
        yield "Not every table says which files its network was trained on; on such files it looks better than it is."
    if not report.trained.number:
        return
    yield from _named(report.trained, "Files that a network was trained on")
    if any(one.files == UNSEEN for one in report.sets):
        yield (f"Believe the column '{NAMES[UNSEEN]}': a network that was trained on a file has an advantage there.")
        yield _VALIDATION
    else:
        yield (
            "Of no common file it is known that no network was trained on it: the comparison does not say which is "
            "better on others."
        )


def _pair(number: int, target: str | None, sets: Sequence[ComparedFiles]) -> ReportBlock:
    known = next(one for files in sets for one in (files.of_classes or files.against_rest)[number : number + 1])
    rows = []
    for words, write in _PAIR:
        rows.append((words, *(write(files.of_classes[number]) if files.of_classes else NOT_DEFINED for files in sets)))
    for words, write in _PAIR_REST if target else ():
        cells = (write(files.against_rest[number]) if files.against_rest else NOT_DEFINED for files in sets)
        rows.append((words.format(target=target), *cells))
    header = ("figure", *(NAMES[one.files] if len(sets) > 1 else VALUE for one in sets))
    return ReportBlock(f"{known.a} beside {known.b}", (), header, tuple(rows))


def _detectable(one: Comparison) -> str:
    gap = one.detectable_gap_images
    if gap is None:
        return f"none: {one.only_a_right + one.only_b_right} disagreements are too few"
    return f"{gap} files, {Notation(1).number(one.detectable_gap_points)} points"


def _beside(gap: Interval, notation: Notation) -> str:
    return NOT_DEFINED if gap.value is None else f"{above_or_below(gap, notation)} b"


_PAIR: tuple[tuple[str, Callable[[Comparison], str]], ...] = (
    ("accuracy of a (bootstrap)", lambda one: _beside(one.accuracy_gap, POINTS)),
    ("only a right : only b right", lambda one: f"{one.only_a_right} : {one.only_b_right}"),
    ("p, accuracy (McNemar)", lambda one: p_value(one.p_holm)),
    ("smallest gap that would be significant (McNemar)", _detectable),
    ("macro AUC of a (bootstrap)", lambda one: _beside(one.auc_gap, NUMBER)),
    ("log loss of a (bootstrap)", lambda one: _beside(one.log_loss_gap, NUMBER)),
)
_PAIR_REST: tuple[tuple[str, Callable[[Comparison], str]], ...] = (
    ("AUC of a, {target} against the rest (DeLong)", lambda one: _beside(one.auc_gap, NUMBER)),
    ("p, AUC, {target} against the rest (DeLong)", lambda one: p_value(one.auc_p_holm)),
)

_NAMED = 5  # in a sentence; the JSON report names more


def _named(files: NamedFiles, what: str) -> tuple[str, ...]:
    """Return `Rows without a label: 2 (a.png, b.png).`; nothing where there are none."""
    if not files.number:
        return ()
    more = ", ..." if files.number > _NAMED else ""
    return (f"{what}: {files.number:,} ({', '.join(files.first[:_NAMED])}{more}).",)


TIDY = ("network", "files", "group_by", "group", "metric", "class", "at", "estimate", "lower", "upper", "n", "method")


def tidy_table(report: TableEvaluation) -> str:
    """Return every figure as a row of CSV, with the columns TIDY; what is not defined is empty."""
    return _csv([TIDY, *_tidy_rows(report)])


def _tidy_rows(report: TableEvaluation) -> Iterator[tuple[str, ...]]:
    for network, one in _all_sets(report):
        for figure in one.figures:
            found = (figure.at, figure.value.value, figure.value.low, figure.value.high)
            at, *values = ("" if value is None else f"{value:.6g}" for value in found)
            place = (network.network, one.files, one.by, one.group)
            yield (*place, figure.metric, figure.name, at, *values, str(figure.n), figure.method)


def _all_sets(report: TableEvaluation) -> Iterator[tuple[NetworkEvaluation, FigureSet]]:
    return ((network, one) for network in report.networks for one in network.sets)


_METHODS = (WILSON, DELONG, BOOTSTRAP, MOVER, SANDWICH, SIMULATION, COUNT, PLAIN)
# The columns TIDY as fields of REDCap, whose variables must not be words of its own.
_FIELDS = (
    RedcapField(name="results", label="Table of results"),
    RedcapField(name="labels", label="Labels"),
    RedcapField(name="network", label="Network"),
    RedcapField(
        name="files",
        label="Files",
        type=FieldType.CHOICE,
        words=(ALL, UNSEEN),
        note=f"{UNSEEN}: those of which it is known that the network was not trained on them",
    ),
    RedcapField(name="group_by", label="Grouped by the column"),
    RedcapField(name="group_value", label="Group"),
    RedcapField(name="metric", label="Figure"),
    RedcapField(name="class_name", label="Class that it is about"),
    RedcapField(name="at_value", label="Prevalence or threshold that it holds for", type=FieldType.NUMBER),
    RedcapField(name="estimate", label="Value", type=FieldType.NUMBER),
    RedcapField(name="lower", label="Lower end of the 95 % interval", type=FieldType.NUMBER),
    RedcapField(name="upper", label="Upper end of the 95 % interval", type=FieldType.NUMBER),
    RedcapField(name="n", label="Files that it is of", type=FieldType.INTEGER),
    RedcapField(name="method", label="Method of the interval", type=FieldType.CHOICE, words=_METHODS),
)


def write_redcap_figures(path: Path, report: TableEvaluation) -> None:
    """Write every figure as a record of REDCap, and the dictionary of its fields beside it.

    Raises:
        OutputError: A file cannot be written.
    """
    source = (report.results, report.labels)
    key = TIDY.index("estimate")
    rows = ((record_id(*source, *row[:key]), *source, *row) for row in _tidy_rows(report))
    write_redcap(path, "cxr_eval", "One figure: digits of the SHA-256 of what it is of", _FIELDS, rows)


def _csv(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
