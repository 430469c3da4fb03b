"""What the table's own decisions were worth."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxr.decisions import NOT_SUSPECTED, REFER
from cxr.evaluation.stats.answers import Answers
from cxr.evaluation.stats.conformal import referral
from cxr.evaluation.stats.intervals import wilson
from cxr.evaluation.stats.operating_points import detection_rates
from cxr.files import JsonObject

_SUSPECTED = "_suspected"


def decisions_section(answers: Answers, words: Sequence[str]) -> JsonObject | None:
    """Return sensitivity and specificity of the column `decision`, and what referring did; None without decisions.

    Args:
        answers: The images that have an answer.
        words: What was decided about each; empty where nothing was.

    Returns:
        sensitivity and specificity are of the images that were not referred; suspected_or_referred is the share of
        the target's images that were either. The three, and target, are null where no image at all was suspected: the
        table then does not tell which class is looked for.
    """
    decided = np.array([bool(word) for word in words])
    if not decided.any():
        return None
    column, truth = np.array(words)[decided], answers.truth[decided]
    referred = column == REFER
    target = _target(words, answers.classes)
    found: JsonObject = {"n": int(decided.sum()), "target": target}
    if target is None:
        found |= {"sensitivity": None, "specificity": None, "suspected_or_referred": None}
    else:
        positive, suspected = truth == answers.classes.index(target), column == f"{target}{_SUSPECTED}"
        sensitivity, specificity = detection_rates(positive[~referred], suspected[~referred])
        either = wilson(int((positive & (suspected | referred)).sum()), int(positive.sum()))
        found |= {"sensitivity": sensitivity, "specificity": specificity, "suspected_or_referred": either}
    return found | {
        "referred": referral(~answers.right[decided], referred),
        "by_class": [
            {"name": name, "suspected": _count(own & (column != NOT_SUSPECTED) & ~referred)}
            | {"not_suspected": _count(own & (column == NOT_SUSPECTED)), "referred": _count(own & referred)}
            for name, own in ((name, truth == number) for number, name in enumerate(answers.classes))
        ],
    }


def _count(chosen: NDArray[np.bool_]) -> int:
    return int(chosen.sum())


def _target(words: Sequence[str], classes: Sequence[str]) -> str | None:
    return next((name for name in classes if f"{name}{_SUSPECTED}" in words), None)
