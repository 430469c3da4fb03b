"""Screen some rows of a table again and compare.

On the class of processor that the table was made on, every cell must be the same. Another class adds float32 numbers in
another order: there a number may differ by ANOTHER_CLASS, and a word where a number that decides it lies that close to
its threshold.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.errors import DataError, Reason
from cxr.gate import Sign
from cxr.network import softmax
from cxr.planes import Plane
from cxr.processor import instructions
from cxr.screening.answers import Model
from cxr.screening.candidates import Candidate
from cxr.screening.decision_rules import ROUNDED
from cxr.screening.described import Described
from cxr.screening.discover import discover
from cxr.screening.engine import screen
from cxr.screening.escape import unescape
from cxr.screening.heads import DECISION_COLUMNS, Kind
from cxr.screening.names import Naming, PathStyle
from cxr.screening.query import Query
from cxr.screening.reading import read
from cxr.screening.schema import Schema
from cxr.screening.store import Root
from cxr.screening.verify import Check

ANOTHER_CLASS = 1e-5  # of a probability, or of a gate's score: what another order of adding may change


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
    exact = table.computed_on == {instructions()}
    findings = []
    for row, outcome in zip(drawn, outcomes, strict=True):
        assert outcome.row is not None
        again = dict(zip(row, table.schema.cells(outcome.row), strict=True))
        differing = [name for name in again if name != "path" and row[name] != again[name]]
        if differing and not exact and row["sha256"] == again["sha256"]:
            differing = _beyond_tolerance(table.schema, row, again, differing)
            if differing:
                excused = _at_a_threshold(outcome.candidate, models, naming.root, table.schema)
                differing = [name for name in differing if name not in excused]
        findings += [f"{row['path']}: {clause}" for clause in _clauses(row, again, differing)]
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


def _clauses(row: Mapping[str, str], again: Mapping[str, str], differing: Sequence[str]) -> Iterator[str]:
    if "sha256" in differing:
        yield f"the file has changed: sha256 was {row['sha256'] or 'empty'}, is {again['sha256'] or 'empty'}"
        return
    yield from (f"{name} was {row[name]!r}, is {again[name]!r}" for name in differing)


def _beyond_tolerance(
    schema: Schema, row: Mapping[str, str], again: Mapping[str, str], differing: Sequence[str]
) -> list[str]:
    """Return those of the cells called `differing` that differ by more than another class of processor may cause."""
    numbers = {column.name for column in schema.columns if column.kind is Kind.NUMBER}

    def near(name: str) -> bool:
        if name in numbers and row[name] and again[name]:
            return abs(float(row[name]) - float(again[name])) <= ANOTHER_CLASS + ROUNDED
        # Another digit of the score in the words for people.
        return name == "detail" and row["reason"] == again["reason"] == Reason.NOT_A_RADIOGRAPH

    return [name for name in differing if not near(name)]


def _at_a_threshold(candidate: Candidate, models: Sequence[Model], root: Root, schema: Schema) -> set[str]:
    """Return the columns decided by a number that lies within ANOTHER_CLASS of what it is compared with."""
    gate = models[0].gate
    sides = [model.plane_side for model in models] + ([gate.plane_side] if gate else [])
    planes = read(candidate, root, sides).planes
    if not planes:
        return set()
    own = [{f"{head.prefix}{name}" for name in ("prediction", *DECISION_COLUMNS)} for head in schema.heads]
    found: set[str] = set()
    for model, columns in zip(models, own, strict=True):
        if _distance(model, planes[model.plane_side][np.newaxis]) <= ANOTHER_CLASS:
            found |= columns | {"agreement"}
    if gate:
        thresholds = np.array([gate.thresholds[sign] for sign in Sign])
        distance = np.abs(gate.scores(planes[gate.plane_side][np.newaxis]) - thresholds).min()
        if distance <= ANOTHER_CLASS:  # rejected or not: then every cell of an answer is there or not
            found |= {column.name for column in schema.columns} - {"path", "sha256"}
    return found


def _distance(model: Model, plane: Plane) -> float:
    """Return how far the number of a network that is closest to its threshold is from it, for one plane."""
    screened, decisions = model.network.screen(plane), model.decisions
    probabilities = decisions.probabilities(screened.logits) if decisions else softmax(screened.logits)
    votes = [probabilities] if screened.members is None else [probabilities, softmax(screened.members[0])]
    distances = [_lead(each).min() for each in votes]  # over the class that comes second
    if decisions:
        target = probabilities[:, decisions.classes.index(decisions.target)]
        distances += [
            np.abs(probabilities - decisions.minimum).min(),
            np.abs(target - decisions.points[model.operating_point].threshold).min(),
        ]
    return float(min(distances))


def _lead(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest less the second largest, float64 (n,) of (n, classes)."""
    ordered = np.sort(probabilities, axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2])
