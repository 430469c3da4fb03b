"""Networks of two tables against each other, on the labelled files that all of them answered."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from cxr.core.errors import DataError
from cxr.evaluation.stats.classification import SMALLEST, Comparison, Predictions, compare_models, delong, delong_gap
from cxr.evaluation.stats.intervals import Probabilities
from cxr.inference.outputs import SavedOutputs
from cxr.validation.external import (
    ALL,
    REPORT_FORM,
    UNSEEN,
    Question,
    cases_of,
    contradictions,
    meanings_for,
    positive_labels,
    target_of,
)
from cxr.validation.labels import LEAVE_OUT, LabelTable
from cxr.validation.matching import Matched, NamedFiles, match, named
from cxr.validation.measures import OTHER, Bools, Cases
from cxr.validation.results import NetworkPredictions, ResultsTable


@dataclass(frozen=True, slots=True)
class ComparedFiles:
    """Pairs of networks on one set of files.

    Attributes:
        files: ALL, or UNSEEN: those of which it is known that none of the networks was trained on them.
        n: Files.
        n_of_classes: Those of them whose label is one of the networks' classes.
        of_classes: Every pair on these; empty where there are none, or they are of one class and not all files.
        against_rest: Every pair on all of them, the target class against the rest; empty without a target. The AUC gap
            has DeLong's interval, by file, as its p value is DeLong's; all other intervals are of the bootstrap.
    """

    files: str
    n: int
    n_of_classes: int
    of_classes: tuple[Comparison, ...]
    against_rest: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class TableComparison:
    """Two tables on common files.

    Attributes:
        comparison: REPORT_FORM.
        results: Names of the tables.
        labels: Name of the labels.
        seed: Of the bootstrap.
        target: Class that is looked for; None where nobody said which.
        answered_by_some_only: Files that not all networks answered.
        trained: Files that a network was trained on.
        training_known: Whether all tables tell that.
        decisions_about: Class that the tables' decisions are about; None where nothing tells.
        said_positive: Labels that were said to be positive, and so mean the target.
        contradicting: Pictures that stand under several names with labels that contradict each other; left out.
        sets: All files, and where any was trained on, those that none was trained on.
    """

    comparison: int
    results: tuple[str, str]
    labels: str
    seed: int
    target: str | None
    answered_by_some_only: NamedFiles
    trained: NamedFiles
    training_known: bool
    decisions_about: str | None
    said_positive: tuple[str, ...]
    contradicting: NamedFiles
    sets: tuple[ComparedFiles, ...]


@dataclass(frozen=True, slots=True)
class _Member:
    """A network of a table; `names` are those of its `cases`, without files that are left out.

    Of `pictures`, by the name of each of their files, the labels contradict each other, as the table tells.
    """

    name: str
    table: ResultsTable
    network: NetworkPredictions
    names: tuple[str, ...]
    cases: Cases
    pictures: Mapping[str, str]

    @property
    def answered(self) -> set[str]:
        return {name for name, answered in zip(self.names, self.cases.answered, strict=True) if answered}

    def without(self, names: Container[str]) -> "_Member":
        """Return the same without the cases of `names`."""
        kept = np.array([name not in names for name in self.names], bool)
        return replace(
            self, names=tuple(name for name in self.names if name not in names), cases=self.cases.chosen(kept)
        )

    def of(self, names: Sequence[str]) -> Cases:
        """Return the cases of `names`, in that order."""
        place = {name: number for number, name in enumerate(self.names)}
        return self.cases.chosen(np.array([place[name] for name in names], np.int64))


def compare_tables(
    first: ResultsTable, second: ResultsTable, labels: LabelTable, question: Question
) -> TableComparison:
    """Compare every network of `first` and `second` with every other one, in pairs, on common files.

    Raises:
        DataError: As for `evaluate_table`; or the networks have different classes or targets or no file in common.
    """
    matches = match(first, labels), match(second, labels)
    members = [
        _member(letter, table, labels, matched, network, question)
        for letter, table, matched in (("a", first, matches[0]), ("b", second, matches[1]))
        for network in table.networks
    ]
    _require_alike(members)
    pictures = {name: picture for one in members for name, picture in one.pictures.items()}
    members = [one.without(pictures) for one in members]
    common = sorted(set.intersection(*(one.answered for one in members)))
    if not common:
        raise DataError(f"{first.name} and {second.name} have no labelled file that all their networks answered")
    some = sorted(set.union(*(one.answered for one in members)) - set(common))
    trained = np.logical_or.reduce([one.of(common).trained for one in members])
    unseen = np.logical_and.reduce([one.of(common).unseen for one in members])
    sets = [(ALL, np.ones(len(common), bool)), *([(UNSEEN, unseen)] if trained.any() and unseen.any() else [])]
    return TableComparison(
        comparison=REPORT_FORM,
        results=(first.name, second.name),
        labels=labels.name,
        seed=question.seed,
        target=members[0].cases.target,
        answered_by_some_only=named(some),
        trained=named(np.array(common)[trained].tolist()),
        training_known=all(any(one.network.trained) for one in members),
        decisions_about=next(filter(None, (target_of(one.network, None) for one in members)), None),
        said_positive=positive_labels(matches[0], question),
        contradicting=named(list(dict.fromkeys(pictures.values()))),
        sets=tuple(_compared(files, members, common, rows, question.seed) for files, rows in sets),
    )


def _member(
    letter: str,
    table: ResultsTable,
    labels: LabelTable,
    matched: Matched,
    network: NetworkPredictions,
    question: Question,
) -> _Member:
    meanings = meanings_for(labels, matched, network, question)
    against = contradictions(table, matched, meanings, target_of(network, question.target))
    kept = np.array([word != LEAVE_OUT for word in meanings])
    names = tuple(name for name, keep in zip(matched.names, kept, strict=True) if keep)
    cases = cases_of(table, matched, network, meanings, question).chosen(kept)
    pictures = {name: picture for name, picture in zip(matched.names, against, strict=True) if picture}
    return _Member(f"{letter}: {network.name}", table, network, names, cases, pictures)


def _require_alike(members: Sequence[_Member]) -> None:
    reference = members[0]
    for one in members[1:]:
        if one.network.classes != reference.network.classes:
            raise DataError(
                f"{one.network.name} of {one.table.name} has the classes {', '.join(one.network.classes)}, "
                f"{reference.network.name} has {', '.join(reference.network.classes)}; only networks of the same "
                "classes, in the same order, can be compared"
            )
        if one.cases.target != reference.cases.target:
            raise DataError(
                f"{one.name} looks for {one.cases.target or 'nothing'}, {reference.name} for "
                f"{reference.cases.target or 'nothing'}; name the class that is meant with --target"
            )


def _compared(files: str, members: Sequence[_Member], common: list[str], rows: Bools, seed: int) -> ComparedFiles:
    names = np.array(common)[rows].tolist()
    cases = [one.of(names) for one in members]
    known = np.array(names)[cases[0].truth != OTHER].tolist()
    of_classes: list[Comparison] = []
    alone = len(known) == len(names)  # else one class is measured only where it stands against the others
    if known and (alone or len(np.unique(cases[0].truth[cases[0].truth != OTHER])) > 1):
        of_classes = _pairs(members, known, [one.of_classes() for one in cases], seed)
    rest = [one.against_rest() for one in cases] if cases[0].target else []
    against_rest = _with_delong(_pairs(members, names, rest, seed), rest) if rest else []
    return ComparedFiles(files, len(names), len(known), tuple(of_classes), tuple(against_rest))


def _pairs(
    members: Sequence[_Member], names: Sequence[str], answers: Sequence[Predictions], seed: int
) -> list[Comparison]:
    outputs = [_outputs(member.name, names, one) for member, one in zip(members, answers, strict=True)]
    probabilities: list[Probabilities] = [one.probabilities for one in answers]
    return compare_models(outputs, probabilities, seed, answers[0].classes[-1])


def _with_delong(found: Sequence[Comparison], answers: Sequence[Predictions]) -> list[Comparison]:
    """Return comparisons of the target against the rest whose AUC gap has the interval that its p value is of."""
    areas = [delong(one.truth == 1, one.probabilities[:, 1]) for one in answers]
    return [replace(one, auc_gap=delong_gap(*pair)) for one, pair in zip(found, combinations(areas, 2), strict=True)]


def _outputs(name: str, files: Sequence[str], answers: Predictions) -> SavedOutputs:
    """Return answers as outputs; logarithms of the probabilities are logits that give them."""
    n = len(answers)
    return SavedOutputs(
        name=name,
        classes=answers.classes,
        files=np.array(files),
        index=np.arange(n),
        truth=answers.truth,
        split=np.full(n, "test"),
        group=answers.group,
        source=np.full(n, ""),
        logits=np.log(np.clip(answers.probabilities, SMALLEST, 1)).astype(np.float32),
        features=np.zeros((n, 0), np.float32),
    )
