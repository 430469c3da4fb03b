"""What a page consists of, without how it looks: HTML and Markdown are drawn from the same blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from cxr.evaluation.reporting.pieces import Piece
from cxr.files import JsonObject


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
    spec: JsonObject
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
class AuditEntry:
    """One audit: what was looked at, what was found, and where the limit is."""

    badges: tuple[Cell, ...]
    name: str
    where: str
    found: str
    limit: str
    waiver: str
    values: Table | None


@dataclass(frozen=True, slots=True)
class Audits:
    """All audits of the pipeline."""

    kind: ClassVar[str] = "audits"
    entries: tuple[AuditEntry, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Blocks side by side where there is room."""

    kind: ClassVar[str] = "grid"
    blocks: "tuple[Block, ...]"


@dataclass(frozen=True, slots=True)
class Fold:
    """Blocks that open and close, with a heading of level 3."""

    kind: ClassVar[str] = "fold"
    id: str
    title: tuple[Piece, ...]
    blocks: "tuple[Block, ...]"
    open: bool = False


Block = Table | Paragraph | Points | Chart | Heading | Gallery | Audits | Grid | Fold


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with a heading of its own."""

    id: str
    title: str
    blocks: Sequence[Block]
