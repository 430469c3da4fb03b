"""The columns of the table and the text of its cells. The contract is docs/results-csv.md."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cxr.errors import UsageError
from cxr.screening.applied import Applied
from cxr.screening.escape import escape
from cxr.screening.gated import Gated
from cxr.screening.heads import Column, Head, Kind, answer_cells, answer_columns
from cxr.screening.rows import Answer, Row

SCHEMA_VERSION = 4


class Agreement(StrEnum):
    """How far several networks agree: the closed vocabulary of the column `agreement`."""

    UNANIMOUS = "unanimous"
    MAJORITY = "majority"
    SPLIT = "split"


@dataclass(frozen=True, slots=True)
class Schema:
    """The table's form, a function of the networks and of the DICOM attributes asked for alone.

    Attributes:
        heads: The first network's columns have no prefix, so that one and several networks are read alike.
        keywords: DICOM attributes.
        gate: What judges pictures before the networks; None where nothing does. It changes no column.
    """

    heads: tuple[Head, ...]
    keywords: tuple[str, ...] = ()
    gate: Gated | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns in order."""
        first, *others = self.heads
        integer = Kind.INTEGER
        return (
            *(Column("path"), Column("status"), Column("reason")),
            *answer_columns(first),
            Column("flags"),
            *(Column("format"), Column("width", integer), Column("height", integer)),
            *(Column("photometric"), Column("bit_depth", integer), Column("brightness", Kind.NUMBER)),
            *(Column("steps"), Column("detail")),
            *(Column("sha256"), Column("model")),
            *(Column(f"dicom_{keyword}") for keyword in self.keywords),
            *(column for head in others for column in (*answer_columns(head), Column(f"{head.prefix}model"))),
            *((Column("agreement"),) if others else ()),
        )

    def cells(self, row: Row) -> list[str]:
        """Return the text of each cell of `row`, in the order of `columns`."""
        facts = row.facts
        answers = row.answers or (None,) * len(self.heads)
        first, *others = zip(self.heads, answers, strict=True)
        return [
            *(row.path, row.status.value, row.reason.value if row.reason else ""),
            *answer_cells(*first),
            " ".join(row.flags),
            row.format,
            *((str(facts.width), str(facts.height), facts.mode, str(facts.bit_depth)) if facts else ("",) * 4),
            "" if row.brightness is None else f"{row.brightness:.6f}",
            *(" ".join(facts.steps) if facts else "", escape(row.detail)),
            *(row.sha256, self.heads[0].identity),
            *(escape(value) for value in row.attributes or ("",) * len(self.keywords)),
            *(cell for head, answer in others for cell in (*answer_cells(head, answer), head.identity)),
            *((_agreement_cell(answers),) if others else ()),
        ]


def schema_of(
    models: Sequence[tuple[str, str, tuple[str, ...]]],
    keywords: Sequence[str] = (),
    applied: Sequence[Applied | None] = (),
    gate: Gated | None = None,
) -> Schema:
    """Return the schema for networks given as (name, identity, classes), the first one without prefix.

    `applied` says for each network what decides; left out, nothing does. `gate` is the first network's.

    Raises:
        UsageError: One network is named twice.
    """
    identities = [identity for _, identity, _ in models]
    twice = [identity for identity, count in Counter(identities).items() if count > 1]
    if twice:
        raise UsageError(f"the network {twice[0]} is named twice by --model; name each one once")
    same_name = Counter(name for name, _, _ in models)
    prefixes = [name if same_name[name] == 1 else identity for name, identity, _ in models]
    heads = [
        Head(f"{prefix}_" if number else "", identity, classes, decides)
        for number, (prefix, (_, identity, classes), decides) in enumerate(
            zip(prefixes, models, applied or [None] * len(models), strict=True)
        )
    ]
    return Schema(tuple(heads), tuple(keywords), gate)


def agreement(predictions: Sequence[str]) -> Agreement:
    """Return how far the predictions of several networks agree."""
    most = Counter(predictions).most_common(1)[0][1]
    if most == len(predictions):
        return Agreement.UNANIMOUS
    return Agreement.MAJORITY if 2 * most > len(predictions) else Agreement.SPLIT


def _agreement_cell(answers: Sequence[Answer | None]) -> str:
    predictions = [answer.prediction for answer in answers if answer is not None]
    return agreement(predictions) if len(predictions) == len(answers) else ""
