"""Is knowing only the source of an image as good as the network?"""

from dataclasses import dataclass

import numpy as np

from cxr.core.records import Audit, AuditRecord, Result
from cxr.evaluation.audits.subject import AuditData, Subject
from cxr.evaluation.reporting.format import SHARE
from cxr.evaluation.stats.intervals import rounded

AUDIT = Audit("source_oracle", "Source oracle", fixable=False)
PER_NETWORK = True

NEAR_SOURCE_BASELINE = 0.02


@dataclass(frozen=True, slots=True)
class SourceAgainstNetwork:
    """Accuracies on the test split, 0 to 1, not rounded.

    Attributes:
        source: Of answering with the commonest training class of the source; None where no source is known.
        accuracy: Of the network.
    """

    source: float | None
    accuracy: float


def measure(subject: Subject, data: AuditData) -> SourceAgainstNetwork:
    """Return both accuracies."""
    accuracy = float(np.mean(subject.predicted == subject.test.truth))
    return SourceAgainstNetwork(data.baseline_figures.source, accuracy)


def judge(figures: SourceAgainstNetwork, model: str | None) -> AuditRecord:
    """Warn where the source alone is as good."""
    source, accuracy = figures.source, figures.accuracy
    if source is None:
        result, found = Result.NOT_APPLICABLE, "The release names no sources."
    elif source >= accuracy - NEAR_SOURCE_BASELINE:
        result = Result.WARN
        found = (
            f"Knowing only the source collection, without the image, gives {SHARE.number(source)} accuracy, {model} "
            f"{SHARE.number(accuracy)}: accuracy on these data cannot show that disease is detected."
        )
    else:
        result = Result.PASS
        found = (
            f"Knowing only the source collection gives {SHARE.number(source)} accuracy, {model} "
            f"{SHARE.number(accuracy)}."
        )
    limit = f"A warning if the oracle is no more than {100 * NEAR_SOURCE_BASELINE:.0f} points below the network."
    return AUDIT.record(result, found, limit, {"oracle": source, "accuracy": rounded(accuracy)}, model)
