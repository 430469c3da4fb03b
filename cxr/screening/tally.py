"""What a table amounts to, counted row by row while it is written."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cxr.screening.drift_counts import DriftCounts
from cxr.screening.heads import Head
from cxr.screening.rows import Status
from cxr.screening.schema import Schema

EXAMPLES = 5


@dataclass(slots=True)
class Tally:
    """Counts over the rows of a table, and of the files without a row.

    Attributes:
        schema: Of the rows.
        statuses: Rows by status.
        reasons: Rows without an answer by reason.
        predictions: For each network, rows by prediction.
        confidence: For each network, the sum of the confidence by prediction.
        decisions: For each network, rows by decision; empty where nothing is decided.
        refer_reasons: For each network, rows by the reason to refer.
        in_training_set: For each network, rows by whether it was trained on the picture, `yes` or `no`.
        drift: For each network, what is compared with its validation images; None without a reference.
        flags: Rows by flag.
        agreement: Rows by agreement; empty with one network.
        examples: The first rows without an answer: path, reason, detail.
        not_images: Cells of files that have no row because neither name nor content is an image's.
    """

    schema: Schema
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    predictions: list[Counter[str]] = field(default_factory=list)
    confidence: list[Counter[str]] = field(default_factory=list)
    decisions: list[Counter[str]] = field(default_factory=list)
    refer_reasons: list[Counter[str]] = field(default_factory=list)
    in_training_set: list[Counter[str]] = field(default_factory=list)
    drift: list[DriftCounts | None] = field(default_factory=list)
    flags: Counter[str] = field(default_factory=Counter)
    agreement: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, str, str]] = field(default_factory=list)
    not_images: list[str] = field(default_factory=list)
    _names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._names = [column.name for column in self.schema.columns]
        for counters in (self.predictions, self.confidence, self.decisions, self.refer_reasons, self.in_training_set):
            counters.extend(Counter() for _ in self.schema.heads)
        references = [head.applied.reference if head.applied else None for head in self.schema.heads]
        self.drift = [DriftCounts(reference) if reference else None for reference in references]

    def count(self, cells: Sequence[str]) -> None:
        """Count one row."""
        row = dict(zip(self._names, cells, strict=True))
        self.statuses[row["status"]] += 1
        self.flags.update(row["flags"].split())
        for number, head in enumerate(self.schema.heads):
            self._count_answer(number, head, row)
        if row.get("agreement"):
            self.agreement[row["agreement"]] += 1
        if row["reason"]:
            self.reasons[row["reason"]] += 1
            if len(self.examples) < EXAMPLES:
                self.examples.append((row["path"], row["reason"], row["detail"]))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.statuses.total()

    @property
    def ok(self) -> int:
        """Rows with an answer."""
        return self.statuses[Status.OK]

    def _count_answer(self, number: int, head: Head, row: Mapping[str, str]) -> None:
        prediction = row[f"{head.prefix}prediction"]
        for column, counter in (
            ("decision", self.decisions[number]),
            ("refer_reason", self.refer_reasons[number]),
            ("in_training_set", self.in_training_set[number]),
        ):
            if word := row[f"{head.prefix}{column}"]:
                counter[word] += 1
        drift = self.drift[number]
        if drift and prediction:
            drift.count(head.prefix, row)
        if prediction:
            self.predictions[number][prediction] += 1
            self.confidence[number][prediction] += float(row[f"{head.prefix}confidence"])  # type: ignore[assignment]
