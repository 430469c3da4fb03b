"""Figures of a table's networks against labels. Probabilities are taken as they are: nothing is fitted here."""

import numpy as np
from numpy.typing import NDArray

from cxr.errors import DataError
from cxr.evaluation.external.deciding import decisions_section
from cxr.evaluation.external.labels import Labels
from cxr.evaluation.external.matching import Matched, groups, match, named
from cxr.evaluation.external.screened import NO_ANSWER, NetworkAnswers, Screened
from cxr.evaluation.metrics import Labels as Numbers
from cxr.evaluation.stats.answers import Answers
from cxr.evaluation.stats.by_class import classes_section, confusion_rows, metrics_section
from cxr.evaluation.stats.calibration import calibration
from cxr.evaluation.stats.intervals import wilson
from cxr.files import JsonObject

SMALL = 30  # images; below, a share says little
REPORT_FORM = 1


def evaluate_table(table: Screened, labels: Labels, seed: int) -> JsonObject:
    """Measure every network of a table.

    Args:
        table: What cxr-batch wrote.
        labels: What the images show.
        seed: Of bootstrap and null band.

    Returns:
        What docs/cxr-eval.md describes.

    Raises:
        DataError: Nothing matches, a label is unknown, or a network has no answer for any labelled file.
    """
    matched = match(table, labels)
    return {
        "evaluation": REPORT_FORM,
        "results": table.name,
        "labels": labels.name,
        "seed": seed,
        "counts": {"rows": len(table.paths), "labels": len(labels.files), **matched.counts()},
        "networks": [_network(table, matched, network, seed) for network in table.networks],
    }


def answers_of(
    table: Screened, matched: Matched, network: NetworkAnswers, chosen: NDArray[np.bool_] | None = None
) -> Answers:
    """Return what is measured of a network: the labelled rows that `chosen`, bool (n,), marks.

    By default those with an answer.
    """
    kept = network.predicted[matched.rows] != NO_ANSWER if chosen is None else chosen
    if not kept.any():
        raise DataError(f"{table.name} has no answer of {network.name} for any labelled file; nothing can be measured")
    group = groups(matched.labels, [table.digests[row] for row in matched.rows])
    truth = true_classes(matched, network.classes)
    return Answers(network.classes, truth[kept], network.probabilities[matched.rows[kept]], group[kept])


def true_classes(matched: Matched, classes: tuple[str, ...]) -> Numbers:
    """Return the class numbers of the labelled rows, int64 (n,)."""
    return np.array([classes.index(label.label) for label in matched.labels], np.int64)


def _network(table: Screened, matched: Matched, network: NetworkAnswers, seed: int) -> JsonObject:
    answers = answers_of(table, matched, network)
    answered = network.predicted[matched.rows] != NO_ANSWER
    rows = matched.rows[answered]
    figures, rest = calibration(answers, seed)
    return {
        "network": network.name,
        "n": len(answers),
        "without_answer": named([table.paths[row] for row in matched.rows[~answered]]),
        "in_training_set": named([table.paths[row] for row in rows if network.trained[row]]),
        "metrics": metrics_section(answers, seed),
        "classes": classes_section(answers),
        "confusion": confusion_rows(answers),
        "missing_as_errors": _missing_as_errors(matched, network),
        "calibration": figures | rest,
        "decisions": decisions_section(answers, [network.decisions[row] for row in rows]),
        "sources": _sources(
            answers, [label.source for label, kept in zip(matched.labels, answered, strict=True) if kept]
        ),
    }


def _missing_as_errors(matched: Matched, network: NetworkAnswers) -> JsonObject:
    truth = true_classes(matched, network.classes)
    right = network.predicted[matched.rows] == truth
    return {
        "n": len(truth),
        "accuracy": wilson(int(right.sum()), len(truth)),
        "sensitivity": {
            name: wilson(int(right[truth == number].sum()), int((truth == number).sum()))
            for number, name in enumerate(network.classes)
        },
    }


def _sources(answers: Answers, sources: list[str]) -> list[JsonObject]:
    names = np.array(sources)
    cells = sorted({(source, int(number)) for source, number in zip(sources, answers.truth, strict=True) if source})
    found = []
    for source, number in cells:
        own = (names == source) & (answers.truth == number)
        share = wilson(int(answers.right[own].sum()), int(own.sum()))
        cell = {"source": source, "label": answers.classes[number], "n": int(own.sum()), "sensitivity": share}
        found.append(cell | {"small": bool(own.sum() < SMALL)})
    return found
