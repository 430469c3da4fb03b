"""What becomes of images between gate, network and decision: rejected, referred or answered, and where errors end."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxr.decisions import NOT_SUSPECTED, REFER, Decision, ReferReason
from cxr.evaluation.gating import FLAGS, REASONS, Judged
from cxr.evaluation.stats.answers import Answers
from cxr.evaluation.stats.intervals import wilson
from cxr.files import JsonObject

Bools = NDArray[np.bool_]


def answering_section(test: Answers, target: str, gated: Sequence[Decision | None], judged: Judged) -> JsonObject:
    """Return what becomes of the images; see `paths` for the shares, `by_reason` for what stands behind them.

    Args:
        test: The network's answers, n.
        target: Class of the operating point.
        gated: What is decided; None where the gate rejects.
        judged: What the gate says.
    """
    referred = [one.reason if one else None for one in gated]
    return {
        **paths(test, target, gated),
        "rejected_by": by_reason(judged.reasons.tolist(), REASONS),
        "referred_by": by_reason(referred, tuple(ReferReason)),
        "flags": {str(flag): wilson(int(judged.flags[:, n].sum()), len(test)) for n, flag in enumerate(FLAGS)},
    }


def paths(test: Answers, target: str, decided: Sequence[Decision | None]) -> JsonObject:
    """Return the shares that are rejected, referred and answered, and where errors end.

    An error is a prediction, the class of the largest probability, that is not the truth; also of what is rejected.

    Returns:
        rejected, referred, answered (of all); errors, errors_rejected, errors_referred (numbers);
        share_of_errors_rejected, share_of_errors_referred (null without errors); error_answered (of what is answered;
        null where nothing is); missed: images of the target class that are answered as not suspected, of all of it.
    """
    words = np.array([one.word if one else "" for one in decided])
    rejected, referred = words == "", words == REFER
    answered, wrong = ~rejected & ~referred, ~test.right
    positive = test.truth == test.classes.index(target)
    errors, missed = int(wrong.sum()), positive & (words == NOT_SUSPECTED)
    return {
        "rejected": _share(rejected),
        "referred": _share(referred),
        "answered": _share(answered),
        "errors": errors,
        "errors_rejected": int((wrong & rejected).sum()),
        "errors_referred": int((wrong & referred).sum()),
        "share_of_errors_rejected": _share(rejected[wrong]),
        "share_of_errors_referred": _share(referred[wrong]),
        "error_answered": _share(wrong[answered]),
        "missed": wilson(int(missed.sum()), int(positive.sum())),
    }


def by_reason(found: Sequence[str | None], reasons: Sequence[str]) -> JsonObject:
    """Return the share of each reason among all images, in the order of the vocabulary."""
    return {str(reason): wilson(found.count(reason), len(found)) for reason in reasons}


def _share(chosen: Bools) -> JsonObject | None:
    return wilson(int(chosen.sum()), len(chosen)) if len(chosen) else None
