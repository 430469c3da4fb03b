"""What a classification is worth, as a whole and class by class."""

import numpy as np
from sklearn.metrics import f1_score, matthews_corrcoef

from cxr.evaluation.metrics import confusion
from cxr.evaluation.stats.answers import Answers
from cxr.evaluation.stats.delong import delong, delong_interval
from cxr.evaluation.stats.intervals import percentile, ratio, rounded, wilson
from cxr.evaluation.stats.resampling import Floats, resample
from cxr.evaluation.stats.weighted import balanced_accuracy, macro_auc, mean
from cxr.files import JsonObject


def metrics_section(answers: Answers, seed: int) -> JsonObject:
    """Return overall figures. Accuracy has a Wilson interval, the others that of the grouped bootstrap.

    balanced_accuracy and macro_f1 are means over the classes that occur; macro_auc is null where one does not,
    and mcc (Matthews 1975) where only one does.
    """
    truth = answers.truth

    def figures(weights: Floats) -> dict[str, Floats]:
        return {
            "balanced_accuracy": balanced_accuracy(truth, answers.right, weights),
            "macro_auc": macro_auc(truth, answers.probabilities, weights),
            "log_loss": mean(answers.losses, weights),
            "brier": mean(answers.squares, weights),
        }

    drawn = resample(figures, truth, answers.group, seed)
    return {
        "accuracy": wilson(int(answers.right.sum()), len(answers)),
        **{name: percentile(*value) for name, value in drawn.items()},
        "macro_f1": rounded(
            f1_score(truth, answers.predicted, labels=np.unique(truth), average="macro", zero_division=0)
        ),
        "mcc": rounded(matthews_corrcoef(truth, answers.predicted)) if len(np.unique(truth)) > 1 else None,
    }


def confusion_rows(answers: Answers) -> list[list[int]]:
    """Return counts: rows are true, columns are predicted classes."""
    counts: list[list[int]] = confusion(answers.truth, answers.predicted, len(answers.classes)).tolist()
    return counts


def classes_section(answers: Answers) -> list[JsonObject]:
    """Return one-vs-rest figures of each class: Wilson intervals, and DeLong's for the area."""
    return [_class(answers, number, name) for number, name in enumerate(answers.classes)]


def _class(answers: Answers, number: int, name: str) -> JsonObject:
    positive, called = answers.truth == number, answers.predicted == number
    found, alarms = int((positive & called).sum()), int((~positive & called).sum())
    missed, passed = int((positive & ~called).sum()), int((~positive & ~called).sum())
    sensitivity, specificity = ratio(found, found + missed), ratio(passed, passed + alarms)
    lr_plus = lr_minus = None
    if sensitivity is not None and specificity is not None:
        lr_plus, lr_minus = ratio(sensitivity, 1 - specificity), ratio(1 - sensitivity, specificity)
    return {
        "name": name,
        "n": found + missed,
        "sensitivity": wilson(found, found + missed),
        "specificity": wilson(passed, passed + alarms),
        "ppv": wilson(found, found + alarms),
        "npv": wilson(passed, passed + missed),
        "auc": delong_interval(delong(positive, answers.probabilities[:, number])),
        "f1": rounded(ratio(2 * found, 2 * found + alarms + missed)),
        "lr_plus": rounded(lr_plus),
        "lr_minus": rounded(lr_minus),
    }
