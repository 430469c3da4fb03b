"""What a table amounts to, counted row by row while it is written."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cxr.screening.rows import Status
from cxr.screening.schema import Head, Schema

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
    flags: Counter[str] = field(default_factory=Counter)
    agreement: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, str, str]] = field(default_factory=list)
    not_images: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.predictions = [Counter() for _ in self.schema.heads]
        self.confidence = [Counter() for _ in self.schema.heads]

    def count(self, cells: Sequence[str]) -> None:
        """Count one row."""
        row = dict(zip((column.name for column in self.schema.columns), cells, strict=True))
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
        if prediction:
            self.predictions[number][prediction] += 1
            self.confidence[number][prediction] += float(row[f"{head.prefix}confidence"])  # type: ignore[assignment]
