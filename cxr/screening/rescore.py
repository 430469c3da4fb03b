"""Screen some rows of a table again and compare."""

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cxr.errors import DataError, Reason
from cxr.screening.answers import Model
from cxr.screening.candidates import Candidate
from cxr.screening.described import Described
from cxr.screening.discover import discover
from cxr.screening.engine import screen
from cxr.screening.escape import unescape
from cxr.screening.heads import Kind
from cxr.screening.names import Naming, PathStyle
from cxr.screening.query import Query
from cxr.screening.row_rules import TOLERANCE
from cxr.screening.store import Root
from cxr.screening.verify import Check


def rescore(table: Described, models: Sequence[Model], root: Root | None, key: bytes, number: int, seed: int) -> Check:
    """Screen `number` rows, drawn at random with `seed`, again.

    Args:
        table: Its manifest says where the files were.
        models: Those of the table, in its order.
        root: Where they are now; None: where they were.
        key: Secret of hashed names; empty otherwise.
        number: At most; all rows where there are fewer.
        seed: Of the draw.

    Raises:
        DataError: The manifest does not say where the files were and `root` is None.
    """
    drawn = _draw(table, number, seed)
    naming = _naming(table, root, key)
    candidates = [Candidate(row["path"], relative, named=True) for row, relative in _relatives(drawn, naming)]
    batches = screen(candidates, naming.root, models, keywords=table.manifest["fingerprint"]["attributes"])
    outcomes = (outcome for batch in batches for outcome in batch)
    findings = []
    for row, outcome in zip(drawn, outcomes, strict=True):
        assert outcome.row is not None
        again = dict(zip(row, table.schema.cells(outcome.row), strict=True))
        findings += [f"{row['path']}: {clause}" for clause in _differences(table, row, again)]
    return Check(f"{len(drawn)} rows screened again", tuple(findings))


def _draw(table: Described, number: int, seed: int) -> list[dict[str, str]]:
    """Draw without knowing how many rows there are (reservoir sampling, Vitter 1985, algorithm R)."""
    drawn: list[dict[str, str]] = []
    generator = random.Random(seed)
    for position, row in enumerate(table.rows()):
        if position < number:
            drawn.append(row)
        elif (place := generator.randrange(position + 1)) < number:
            drawn[place] = row
    return drawn


def _naming(table: Described, root: Root | None, key: bytes) -> Naming:
    request = table.manifest["request"]
    where = root or (Path(unescape(request["root"])) if request["root"] else None)
    if where is None:
        raise DataError("the manifest does not say where the files were; name their folder with --root")
    naming = Naming(where.absolute() if isinstance(where, Path) else where, PathStyle(request["paths"]), key)
    if naming.key_check != table.manifest["fingerprint"]["paths"]["key"]:
        raise DataError("the names were hashed with another key; name the right one with --key")
    return naming


def _relatives(rows: Sequence[Mapping[str, str]], naming: Naming) -> Iterator[tuple[Mapping[str, str], str]]:
    if naming.style is PathStyle.HASHED:
        known = {
            one.cell: one.relative
            for one in discover(Query([naming.root] if isinstance(naming.root, Path) else []), naming).candidates
        }
        yield from ((row, known.get(row["path"], row["path"])) for row in rows)
        return
    # An absolute path replaces the root when the two are joined.
    yield from ((row, unescape(row["path"])) for row in rows)


def _differences(table: Described, row: Mapping[str, str], again: Mapping[str, str]) -> Iterator[str]:
    if row["sha256"] != again["sha256"]:
        yield f"the file has changed: sha256 was {row['sha256'] or 'empty'}, is {again['sha256'] or 'empty'}"
        return
    for column in table.schema.columns:
        then, now = row[column.name], again[column.name]
        near = column.kind is Kind.NUMBER and then and now and abs(float(then) - float(now)) <= TOLERANCE
        # Another machine's score may round to another digit in the words for people.
        near = near or (column.name == "detail" and row["reason"] == again["reason"] == Reason.NOT_A_RADIOGRAPH)
        if column.name != "path" and then != now and not near:
            yield f"{column.name} was {then!r}, is {now!r}"
