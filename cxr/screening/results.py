"""The result table: one row for each image file, and its CSV. The contract is docs/results-csv.md."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cxr.errors import Reason

# A spreadsheet runs a cell that starts with one of these; the last four are the full-width forms.
FORMULA_STARTS = "=+-@\uff1d\uff0b\uff0d\uff20"
# Control characters, lone surrogates (bytes that are not UTF-8), line and paragraph separators.
ESCAPED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_ESCAPE = re.compile(r"\\(?:(?P<backslash>\\)|(?P<newline>n)|x(?P<byte>[0-9a-f]{2}))")


class Status(StrEnum):
    """Whether a file was screened: the closed vocabulary of the column `status`."""

    OK = "ok"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Row:
    """What came out for one image file.

    Attributes:
        path: Relative to the screened folder, POSIX, not escaped.
        reason: Why there is no answer; None for a screened file.
        prediction: Class with the largest probability; empty without an answer.
        probabilities: In the model's order, finite, with sum 1; empty without an answer.
        detail: What went wrong, for people; not in the CSV.
    """

    path: str
    reason: Reason | None = None
    prediction: str = ""
    probabilities: tuple[float, ...] = ()
    detail: str = ""

    @property
    def status(self) -> Status:
        """`ok` for a file with an answer."""
        return Status.OK if self.reason is None else Status.ERROR


def columns(classes: Sequence[str]) -> list[str]:
    """Return the header: four fixed columns, then one probability for each class in the model's order."""
    return ["path", "status", "reason", "prediction", *(f"probability_{name}" for name in classes)]


def to_csv(rows: Iterable[Row], classes: Sequence[str]) -> str:
    r"""Return the whole table as RFC 4180 text with a header and `\n` line ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns(classes))
    writer.writerows(_cells(row, len(classes)) for row in rows)
    return text.getvalue()


def escape_path(path: str) -> str:
    r"""Write `path` as a cell that is one line of valid UTF-8, and that no spreadsheet executes.

    A backslash becomes `\\`, a newline `\n`; each byte of any other control character, of a line separator, of
    what is not UTF-8, and of a leading formula sign becomes `\xNN`. All other characters stay.
    """
    escaped = "".join(_escape_character(character) for character in path)
    if path and path[0] in FORMULA_STARTS:
        return _escape_bytes(path[0]) + escaped[1:]
    return escaped


def unescape_path(cell: str) -> str:
    """Return the path that `escape_path` made `cell` from; bytes that are not UTF-8 become surrogate escapes."""
    raw, end = bytearray(), 0
    for match in _ESCAPE.finditer(cell):
        raw += cell[end : match.start()].encode()
        raw += bytes.fromhex(match["byte"]) if match["byte"] else b"\\" if match["backslash"] else b"\n"
        end = match.end()
    raw += cell[end:].encode()
    return raw.decode("utf-8", "surrogateescape")


def _cells(row: Row, n_classes: int) -> list[str]:
    probabilities = [f"{value:.6f}" for value in row.probabilities] or [""] * n_classes
    return [escape_path(row.path), row.status, row.reason or "", row.prediction, *probabilities]


def _escape_character(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character == "\n":
        return "\\n"
    return _escape_bytes(character) if unicodedata.category(character) in ESCAPED_CATEGORIES else character


def _escape_bytes(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
