"""What a run amounts to, in numbers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cxr.errors import Reason
from cxr.screening.results import Row


@dataclass(frozen=True, slots=True)
class ClassCount:
    """How often a class was predicted.

    Attributes:
        share: Of the screened files, 0 to 1.
        mean_probability: Mean, over the files of this prediction, of the predicted class's probability; 0 for none.
    """

    name: str
    count: int
    share: float
    mean_probability: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts over all rows.

    Attributes:
        screened: Files with an answer.
        predicted: One for each class, in the model's order.
        failed: Files without an answer by reason, most frequent first.
        examples: The first failed rows, at most five.
    """

    screened: int
    predicted: tuple[ClassCount, ...]
    failed: dict[Reason, int]
    examples: tuple[Row, ...]

    @property
    def failures(self) -> int:
        """Files without an answer."""
        return sum(self.failed.values())


def summarise(rows: Sequence[Row], classes: Sequence[str]) -> Summary:
    """Count the answers and the failures of `rows`."""
    screened = [row for row in rows if row.reason is None]
    failed = Counter(row.reason for row in rows if row.reason is not None)
    return Summary(
        screened=len(screened),
        predicted=tuple(_class_count(name, screened) for name in classes),
        failed=dict(failed.most_common()),
        examples=tuple([row for row in rows if row.reason is not None][:5]),
    )


def _class_count(name: str, screened: Sequence[Row]) -> ClassCount:
    certain = [max(row.probabilities) for row in screened if row.prediction == name]
    mean = sum(certain) / len(certain) if certain else 0.0
    return ClassCount(name, len(certain), len(certain) / len(screened) if screened else 0.0, mean)
