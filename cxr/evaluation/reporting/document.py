"""What a page consists of, blocks, cells and sections, without how it looks: HTML and Markdown are drawn from it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from cxr.evaluation.audits.attention import Attention
from cxr.evaluation.records import ModelReport
from cxr.evaluation.stats.intervals import CHANGE, NUMBER, PERCENT, Interval, Notation

Pictures = Mapping[tuple[str, str], tuple[bytes, bytes]]

VOID, CHECKED, NOT_CHECKED = (
    "Void: random weights give nearly the same map",
    "Maps show where it looked, not why",
    "Maps not checked",
)


def stamp_of(maps: Attention) -> str:
    """Return what is stamped on the heat maps of a model."""
    if maps.void is None:
        return NOT_CHECKED
    return VOID if maps.void else CHECKED


@dataclass(frozen=True, slots=True)
class Printed:
    """A figure of the report: the number as it stands in the JSON, and as it is printed."""

    value: int | float
    text: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """Words of the page that hold digits and are no figure of the report, such as the level of an interval."""

    text: str


Piece = str | Printed | Fixed


@dataclass(frozen=True, slots=True)
class Cell:
    """Of a table: `style` is empty or one of number, missing, badge-<result>; `share` in [0, 1] shades it."""

    pieces: tuple[Piece, ...]
    style: str = ""
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Of a table; `grey` where its images are too few to say much."""

    cells: tuple[Cell, ...]
    grey: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption; the first cell of a row names it."""

    kind: ClassVar[str] = "table"
    caption: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[Piece, ...] = ()

    @property
    def figures(self) -> list[bool]:
        """Which columns hold nothing but figures, and are set flush right."""
        columns = [[row.cells[number] for row in self.rows] for number in range(len(self.header))]
        return [
            any(cell.style == "number" for cell in cells)
            and all(cell.style in ("number", "missing") or cell.pieces == ("",) for cell in cells)
            for cells in columns
        ]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Words; `style` is empty, note, missing or badge-<level>."""

    kind: ClassVar[str] = "paragraph"
    pieces: tuple[Piece, ...]
    style: str = ""


@dataclass(frozen=True, slots=True)
class Points:
    """An unordered list."""

    kind: ClassVar[str] = "points"
    items: tuple[tuple[Piece, ...], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A Vega-Lite drawing; `alt` says in words what it shows."""

    kind: ClassVar[str] = "chart"
    id: str
    spec: dict[str, Any]
    caption: str
    alt: str


@dataclass(frozen=True, slots=True)
class Heading:
    """Inside a section; `level` is 3 or 4."""

    kind: ClassVar[str] = "heading"
    id: str
    text: str
    level: int = 3


@dataclass(frozen=True, slots=True)
class Picture:
    """One test image: PNG bytes of it and of its heat map, either may be absent; `stamp` is what the map is worth."""

    image: bytes | None
    overlay: bytes | None
    alt: str
    stamp: str
    void: bool
    words: tuple[tuple[Piece, ...], ...]


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures beside one another."""

    kind: ClassVar[str] = "gallery"
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one audit found; `waiver` says why a failure may stand."""

    badges: tuple[Cell, ...]
    found: str
    waiver: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One audit, of the data or of several networks: who asked, what was found, and where the limit is."""

    name: str
    stage: str
    findings: tuple[Finding, ...]
    limit: str


@dataclass(frozen=True, slots=True)
class Audits:
    """Audits in the order of the pipeline."""

    kind: ClassVar[str] = "audits"
    caption: str
    entries: tuple[AuditEntry, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Blocks side by side where there is room."""

    kind: ClassVar[str] = "grid"
    blocks: "tuple[Block, ...]"


@dataclass(frozen=True, slots=True)
class Fold:
    """Blocks that open and close, with a heading of level 3 or 4."""

    kind: ClassVar[str] = "fold"
    id: str
    title: tuple[Piece, ...]
    blocks: "tuple[Block, ...]"
    open: bool = False
    level: int = 3


Block = Table | Paragraph | Points | Chart | Heading | Gallery | Audits | Grid | Fold


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with a heading of its own."""

    id: str
    title: str
    blocks: Sequence[Block]


NOT_MEASURED = "not measured"
MINUS = "\N{MINUS SIGN}"
SMALLEST_P = 0.001


def text(value: object) -> Cell:
    """Words; nothing becomes 'not measured'."""
    return missing() if value is None or value == "" else Cell((str(value),))


def missing(words: str = NOT_MEASURED) -> Cell:
    """What was not measured."""
    return Cell((words,), "missing")


def badge(result: str, words: str | None = None) -> Cell:
    """A result in a coloured label."""
    return Cell((words or result.replace("_", " "),), f"badge-{result}")


def count(value: int | None) -> Cell:
    """A number of images, with thousands marked."""
    return missing() if value is None else Cell((Printed(value, f"{value:,}"),), "number")


def number(value: float | None, notation: Notation = NUMBER) -> Cell:
    """A figure."""
    return missing() if value is None else Cell((printed(value, notation),), "number")


def percent(value: float | None) -> Cell:
    """A share as a percentage."""
    return number(value, PERCENT)


def p_value(value: float | None) -> Cell:
    """A probability of at least such a result by chance."""
    if value is None:
        return missing()
    shown = f"{value:.3f}" if value >= SMALLEST_P else f"{value:.0e}"
    return Cell((Printed(value, shown),), "number")


def interval(figure: Interval | None, notation: Notation = NUMBER) -> Cell:
    """A figure with its interval, as in 0.951 [0.934, 0.966]."""
    if figure is None or figure.value is None:
        return missing()
    return Cell(interval_pieces(figure, notation), "number")


def change(figure: Interval | None) -> Cell:
    """A difference with its interval and their signs."""
    return interval(figure, CHANGE)


def interval_pieces(figure: Interval, notation: Notation = NUMBER) -> tuple[Piece, ...]:
    """Return the pieces of a figure with its interval, which is left out where it is not known."""
    if figure.value is None:
        return (NOT_MEASURED,)
    middle = printed(figure.value, notation)
    if figure.low is None or figure.high is None:
        return (middle,)
    return (middle, " [", printed(figure.low, notation), ", ", printed(figure.high, notation), "]")


def printed(value: float, notation: Notation = NUMBER) -> Printed:
    """A figure with a true minus sign."""
    return Printed(value, notation.number(value).replace("-", MINUS))


def raw(value: object) -> Cell:
    """A value of JSON as it stands there."""
    if value is None:
        return Cell(("none",), "missing")
    if isinstance(value, bool):
        return Cell(("yes" if value else "no",))
    if isinstance(value, int | float):
        return Cell((Printed(value, repr(value).replace("-", MINUS)),), "number")
    return Cell((str(value),))


def not_measured(what: str, why: str = "") -> Paragraph:
    """Words in the place of what is absent."""
    return Paragraph((f"{what}: {NOT_MEASURED}{f' ({why})' if why else ''}.",), "missing")


def table(
    caption: str, header: Iterable[str], rows: Iterable[Iterable[Cell] | Row], notes: tuple[Piece, ...] = ()
) -> Table:
    """Return a table of rows of cells."""
    whole = tuple(row if isinstance(row, Row) else Row(tuple(row)) for row in rows)
    return Table(caption, tuple(header), whole, notes)


def slug(name: object) -> str:
    """Return `name` in lower case with a hyphen for everything but letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-") or "model"


def name_of(model: ModelReport) -> str:
    """Return the model's name, marked if it is the one that screens."""
    return f"{model.name} (screening)" if model.screening else model.name


def ordered(models: Iterable[ModelReport]) -> list[ModelReport]:
    """Return the models, the screening model first, the others in their order."""
    return sorted(models, key=lambda model: not model.screening)
