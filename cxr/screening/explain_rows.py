"""Which rows of a table are explained: those of a class, of a flag, of a decision, or all with an answer."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cxr.decisions import NOT_SUSPECTED
from cxr.errors import UsageError
from cxr.flags import Flag
from cxr.screening.rows import Status

if TYPE_CHECKING:
    from cxr.screening.schema import Schema

Record = Mapping[str, str]

SUSPECTED = "suspected"
LIMIT = 200


def parse_words(text: str, schema: "Schema") -> frozenset[str]:
    """Read what `--explain-rows` says: words with commas between them.

    Raises:
        UsageError: A word is none of the first network's classes, flags or decisions, nor `ok` or `suspected`.
    """
    head = schema.heads[0]
    decided = (SUSPECTED, *head.applied.words) if head.applied else ()
    known = dict.fromkeys((Status.OK.value, *decided, *head.classes, *(flag.value for flag in Flag)))
    words = frozenset(word.strip() for word in text.split(","))
    wrong = sorted(words - known.keys())
    if wrong and wrong[0] == SUSPECTED:
        raise UsageError(
            f"--explain-rows {text}: {head.identity} has no decisions, so no row is suspected; give "
            f"{Status.OK.value} or one of {', '.join(head.classes)}"
        )
    if wrong:
        raise UsageError(f"--explain-rows {text}: '{wrong[0]}' is no word of the table; expected {', '.join(known)}")
    return words


def choose_rows(records: Iterable[Record], words: frozenset[str], limit: int) -> tuple[list[Record], int]:
    """Return the first `limit` rows that one of `words` fits, and how many more there are.

    Only a row with an answer has anything to explain; a picture that was not answered is never chosen.
    """
    chosen: list[Record] = []
    more = 0
    for record in records:
        if record["status"] != Status.OK or not words & words_of(record):
            continue
        if len(chosen) < limit:
            chosen.append(record)
        else:
            more += 1
    return chosen, more


def words_of(record: Record) -> set[str]:
    """Return the words that fit a row: of its status, of the first network's class and decision, and of its flags."""
    decision = record["decision"]
    suspected = {SUSPECTED} if decision.endswith(f"_{SUSPECTED}") and decision != NOT_SUSPECTED else set()
    return {record["status"], record["prediction"], decision, *record["flags"].split()} | suspected
