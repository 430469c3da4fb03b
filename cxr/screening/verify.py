"""Is a table what its manifest says, does every row keep the rules, and do the networks say the same again?"""

import errno
import os
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import DataError, ModelError, Reason
from cxr.core.files import sha256_of
from cxr.core.image import Plane
from cxr.core.process import instructions
from cxr.core.records import as_json
from cxr.core.tabular_files import HEAD, TextForm, form_of
from cxr.imaging.isolation import FILE_SECONDS
from cxr.inference.decisions import DECISIONS_FILE, DecisionRecord, Decisions
from cxr.inference.gate import GateRecord, Sign, read_gate_record
from cxr.inference.model_folder import ScreeningModel, describe_model, load_decisions
from cxr.inference.network import DESCRIPTION_FILE, fingerprint, softmax
from cxr.screening.candidates import Candidate, Query
from cxr.screening.discovery import discover
from cxr.screening.paths import Naming, PathStyle, unescape
from cxr.screening.predict import screen
from cxr.screening.read import ReadOptions, read
from cxr.screening.run_manifest import RunResult, Tally, counts_record, drift_records
from cxr.screening.schema import DECISION_COLUMNS, ROUNDED, ModelRecord, Schema, broken_rules, undecided
from cxr.screening.storage import Root
from cxr.screening.tables import Format, Kind, bytes_of, digest_of, head_of

SHOWN = 20  # findings of one kind; a table of another schema would give one a row
NAMED = 3  # paths in one finding


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; it holds when there is nothing to say about it."""

    name: str
    findings: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing differs."""
        return not self.findings


def verify_table(table: RunResult) -> list[Check]:
    """Check bytes, header, every row, order and counts of a table against its manifest and the contract.

    A table that another program saved fails by its bytes; its rows are read and checked all the same, by what is left
    of their numbers.

    Raises:
        DataError: The table cannot be read at all.
    """
    results, tally = table.manifest.results, Tally(table.schema)
    names = tuple(column.name for column in tally.schema.columns)
    header = next((tuple(row) for row in table.rows()), names)
    if header != names or results.columns != names:
        differing = "; ".join(_columns(header, names, "the table") or _columns(results.columns, names, "the manifest"))
        return [Check("columns", (f"not those of version {results.schema}: {differing}",))]
    found = {"sha256": digest_of(table.path), "bytes": bytes_of(table.path)}
    saved = _saved_numbers(table, found["sha256"])
    rows = Check("rows", tuple(_first(_rows(table, tally, saved))))
    return [
        Check("bytes", (*_saved_otherwise(table, saved), *_differences(found, as_json(results)))),
        Check("columns"),
        rows,
        Check("counts", tuple(_counts(table, tally))),
    ]


def _columns(found: Sequence[str], expected: Sequence[str], where: str) -> list[str]:
    """Say which columns are missing, which are none, and, where there is nothing else, which stands elsewhere."""
    missing = [name for name in expected if name not in found]
    other = [name or "one without a name" for name in found if name not in expected]
    clauses = [f"{where} lacks {', '.join(missing)}"] if missing else []
    if other:
        clauses.append(f"{where} has {', '.join(other)}, which {'is' if len(other) == 1 else 'are'} none of them")
    if clauses or tuple(found) == tuple(expected):
        return clauses
    for place, (name, wanted) in enumerate(zip(found, expected, strict=False), start=1):
        if name != wanted:
            return [f"{where} has another order: column {place} is {name}, not {wanted}"]
    return [f"{where} has a column twice"]


_SHORT = re.compile(r"(?:[01](?:\.\d{0,5})?|\.\d{1,5}|\d(?:\.\d{1,4})?[Ee]-0?[1-6])", re.ASCII)  # 0.5, 1, .5, 2E-05
_DECIMALS = 6  # of a number as cxr-batch writes it


@dataclass(frozen=True, slots=True)
class _Saved:
    """What another program has left of the numbers of a table.

    Attributes:
        short: How many cells of a column have fewer decimals than six; those of none are left out.
        decimals: The most that a cell of these columns has. Six: only zeros at the end are gone. Fewer: rounded.
    """

    short: Mapping[str, int]
    decimals: Mapping[str, int]

    @property
    def rounded(self) -> dict[str, float]:
        """By how much a cell of a rounded column may be off."""
        return {name: 0.5 * 10.0**-most for name, most in self.decimals.items() if most < _DECIMALS}

    def whole(self, row: Mapping[str, str]) -> dict[str, str]:
        """Return a row with its numbers as cxr-batch writes them."""
        short = {name: row[name] for name in self.short if _SHORT.fullmatch(row[name])}
        return {**row, **{name: f"{float(cell):.{_DECIMALS}f}" for name, cell in short.items()}}


def _saved_numbers(table: RunResult, sha256: object) -> _Saved:
    """Look at all numbers of a table with this digest; nothing is short in the bytes of the manifest."""
    if sha256 == table.manifest.results.sha256:
        return _Saved({}, {})
    names = [column.name for column in table.schema.columns if column.kind is Kind.NUMBER]
    short, decimals = Counter[str](), dict.fromkeys(names, 0)
    for row in table.rows():
        for name in names:
            is_short = _SHORT.fullmatch(row[name]) is not None
            short[name] += is_short
            decimals[name] = max(decimals[name], _decimals(row[name]) if is_short else _DECIMALS * bool(row[name]))
    found = {name: count for name, count in short.items() if count}
    return _Saved(found, {name: decimals[name] for name in found})


def _decimals(number: str) -> int:
    exponent = Decimal(number).as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def _saved_otherwise(table: RunResult, saved: _Saved) -> Iterator[str]:
    """Say what a table has that cxr-batch does not write, as where somebody opened it in a spreadsheet and saved it."""
    odd = _odd_form(table)
    if odd or saved.short:
        read = (
            "does not read rounded probabilities" if _may_be_rounded(table, saved) else "reads this form all the same"
        )
        yield (
            f"another program saved it: {odd or 'numbers have fewer than six decimals'}. "
            f"cxr-eval {read}; for the bytes of the manifest run the same cxr-batch command again"
        )
    for name, count in saved.short.items():
        most = saved.decimals[name]
        yield (
            f"{name}: {count:,} {'number has' if count == 1 else 'numbers have'} "
            + ("lost zeros at the end" if most == _DECIMALS else f"{most} decimals at most, so they may be rounded")
        )


def _may_be_rounded(table: RunResult, saved: _Saved) -> bool:
    """Tell whether probabilities may be; of what else may be rounded no figure is made."""
    return any(
        f"{head.prefix}probability_{name}" in saved.rounded for head in table.schema.heads for name in head.classes
    )


def _odd_form(table: RunResult) -> str:
    """Say what form a CSV has, and which one cxr-batch writes; nothing where they are one."""
    if table.format is not Format.CSV:
        return ""
    with table.path.open("rb") as file:
        found = form_of(file.read(HEAD))
    written = form_of(head_of(table.dialect))
    if found.oddities == written.oddities:
        return ""
    return f"it has {_words(found)}; cxr-batch writes {_words(written)}"


def _words(form: TextForm) -> str:
    return ", ".join(form.oddities) or "plain UTF-8, commas and LF"


def verify_models(table: RunResult, folders: Sequence[Path]) -> Check:
    """Check that the networks in `folders` are those that the manifest names, to the byte."""
    available: dict[str, Path] = {}
    findings = []
    for folder in folders:
        try:
            load_decisions(folder, describe_model(folder))
            available[fingerprint(folder)] = folder
        except ModelError as error:
            findings.append(str(error))
    for number, model in enumerate(table.manifest.models):
        if model.sha256 not in available:
            findings.append(f"{model.model} is in none of {', '.join(map(str, folders))}; name its folder with --model")
        elif differing := _differing(available[model.sha256], model, table.manifest.gate, judges=number == 0):
            findings.append(differing)
    return Check("models", tuple(findings))


def _differing(folder: Path, model: ModelRecord, gate: GateRecord | None, *, judges: bool) -> str:
    """Say what the folder of a network has otherwise than its record, so that rows were checked against the right."""
    description = describe_model(folder)
    if sha256_of(folder / DESCRIPTION_FILE) != model.description_sha256:
        return (
            f"{folder} has the network of {model.model}, but another description, as a model adapted to a site has; "
            "name the folder that the table was made with: --model"
        )
    if not _same_decisions(folder, load_decisions(folder, description), model.decisions):
        return f"{folder} decides otherwise than the manifest says of {model.model}"
    if tuple(description.get("members") or ()) != model.members:
        return f"{folder} has other members than the manifest says of {model.model}"
    if judges and not _same_gate(folder if description.get("gate") else None, gate):
        return f"{folder} has another gate than the manifest says"
    return ""


def _same_decisions(folder: Path, decisions: Decisions | None, stated: DecisionRecord | None) -> bool:
    if decisions is None or stated is None:
        return decisions is None and stated is None
    known = stated.operating_point in decisions.points
    return known and decisions.record(stated.operating_point, sha256_of(folder / DECISIONS_FILE)) == stated


def _same_gate(folder: Path | None, stated: GateRecord | None) -> bool:
    """Compare the gate in `folder`, or that there is none."""
    try:
        return (read_gate_record(folder) if folder else None) == stated
    except ModelError:
        return False


def _rows(table: RunResult, tally: Tally, saved: _Saved) -> Iterator[str]:
    last, schema = "", replace(tally.schema, rounded=saved.rounded)
    unsure: dict[str, list[str]] = {}
    for number, row in enumerate(map(saved.whole, table.rows()), start=1):
        if row["path"] <= last:
            yield f"row {number}, {row['path']}: not after {last}; rows are sorted by path, each path once"
        last = row["path"]
        for clause in broken_rules(row, schema):
            yield f"row {number}, {row['path']}: {clause}"
        for name in undecided(row, schema):
            unsure.setdefault(name, []).append(row["path"])
        with suppress(ValueError, KeyError):  # no number or class where one belongs, which the rules have named
            tally.count(list(row.values()))
    for name, paths in unsure.items():
        rows = "1 row" if len(paths) == 1 else f"{len(paths):,} rows"
        yield f"{name} is rounded, and too near a limit to check what is decided in {rows}: {_named(paths)}"


def _named(paths: Sequence[str]) -> str:
    return ", ".join(paths[:NAMED]) + (", ..." if len(paths) > NAMED else "")


def _counts(table: RunResult, tally: Tally) -> Iterator[str]:
    stated, counts = as_json(table.manifest), table.manifest.counts
    tally.not_images.extend(table.manifest.aside.not_an_image)
    skipped = replace(counts.skipped_because, not_an_image=len(tally.not_images))
    yield from _differences({"rows": tally.rows}, stated["results"])
    yield from _differences(as_json(counts_record(skipped, tally)), stated["counts"])
    yield from (f"drift of {clause}" for clause in _differences(as_json(drift_records(tally)), stated["drift"]))


def _differences(found: Mapping[str, object], stated: Mapping[str, object]) -> Iterator[str]:
    for name, value in found.items():
        if stated.get(name) != value:
            yield f"{name} is {value}, the manifest says {stated.get(name)}"


def _first(findings: Iterator[str]) -> Iterator[str]:
    more = 0
    for number, finding in enumerate(findings):
        if number < SHOWN:
            yield finding
        else:
            more += 1
    if more:
        yield f"... and {more:,} more"


ANOTHER_CLASS = 1e-5  # of a probability, or of a gate's score: what another order of adding may change


def rescore(
    table: RunResult,
    models: Sequence[ScreeningModel],
    root: Root | None,
    key: bytes,
    number: int,
    seed: int,
    seconds: float = FILE_SECONDS,
) -> Check:
    """Screen `number` rows, drawn at random with `seed`, again.

    Args:
        table: Its manifest says where the files were.
        models: Those of the table, in its order.
        root: Where they are now; None: where they were.
        key: Secret of hashed names; empty otherwise.
        number: At most; all rows where there are fewer.
        seed: Of the draw.
        seconds: That decoding one file may take; 0: as long as it takes.

    Raises:
        DataError: The manifest does not say where the files were and `root` is None.
    """
    saved = _saved_numbers(table, digest_of(table.path))
    drawn = list(map(saved.whole, _draw(table, number, seed)))
    naming = _naming(table, root, key)
    candidates = [Candidate(row["path"], relative, named=True) for row, relative in _relatives(drawn, naming)]
    options = ReadOptions(table.schema.keywords, seconds, table.schema.any_dicom)
    batches = screen(candidates, naming.root, models, options=options)
    outcomes = (outcome for batch in batches for outcome in batch)
    exact = table.computed_on == {instructions()}
    findings = []
    for row, outcome in zip(drawn, outcomes, strict=True):
        assert outcome.row is not None
        again = dict(zip(row, table.schema.cells(outcome.row), strict=True))
        differing = [name for name in again if name != "path" and row[name] != again[name]]
        differing = [name for name in differing if not _is_rounding(row[name], again[name], saved.rounded.get(name))]
        if differing and not exact and row["sha256"] == again["sha256"]:
            differing = _beyond_tolerance(table.schema, row, again, differing)
            if differing:
                excused = _at_a_threshold(outcome.candidate, models, naming.root, table.schema, options)
                differing = [name for name in differing if name not in excused]
        findings += [f"{row['path']}: {clause}" for clause in _clauses(row, again, differing)]
    return Check(f"{len(drawn)} rows screened again", tuple(findings))


def _draw(table: RunResult, number: int, seed: int) -> list[dict[str, str]]:
    """Draw without knowing how many rows there are (reservoir sampling, Vitter 1985, algorithm R)."""
    drawn: list[dict[str, str]] = []
    generator = random.Random(seed)
    for position, row in enumerate(table.rows()):
        if position < number:
            drawn.append(row)
        elif (place := generator.randrange(position + 1)) < number:
            drawn[place] = row
    return drawn


def _naming(table: RunResult, root: Root | None, key: bytes) -> Naming:
    request = table.manifest.request
    where = root or (Path(unescape(request.root)) if request.root else None)
    if where is None:
        raise DataError("the manifest does not say where the files were; name their folder with --root")
    naming = Naming(where.absolute() if isinstance(where, Path) else where, PathStyle(request.paths), key)
    if naming.key_check != table.manifest.fingerprint.paths.key:
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
    if row["sha256"] and not again["sha256"]:
        gone = again["detail"] == os.strerror(errno.ENOENT)
        yield "is no longer there" if gone else f"cannot be read any more: {again['detail']}"
        return
    if "sha256" in differing:
        yield f"the file has changed: sha256 was {row['sha256'] or 'empty'}, is {again['sha256'] or 'empty'}"
        return
    yield from (f"{name} was {row[name]!r}, is {again[name]!r}" for name in differing)


def _is_rounding(cell: str, again: str, rounded: float | None) -> bool:
    """Tell whether two cells of a column that another program has rounded, by this at most, may be one number."""
    return rounded is not None and bool(cell and again) and abs(float(cell) - float(again)) <= rounded + ROUNDED


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


def _at_a_threshold(
    candidate: Candidate, models: Sequence[ScreeningModel], root: Root, schema: Schema, options: ReadOptions
) -> set[str]:
    """Return the columns decided by a number that lies within ANOTHER_CLASS of what it is compared with."""
    gate = models[0].gate
    sides = [side for model in models for side in model.sides]
    planes = read(candidate, root, sides, options).planes
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


def _distance(model: ScreeningModel, plane: Plane) -> float:
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
