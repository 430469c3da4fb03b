"""Is a table what its manifest says, does every row keep the rules, and do the networks say the same again?"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import DataError, ModelError, Reason
from cxr.core.files import JsonObject, sha256_of
from cxr.core.image import Plane
from cxr.core.processor import instructions
from cxr.inference.decisions import DECISIONS_FILE, NOT_SUSPECTED, REFER, Decisions, ReferReason
from cxr.inference.gate import (
    EXPOSURE_FLAGS,
    GATE_REASONS,
    SIGN_FLAGS,
    Flag,
    Limits,
    Sign,
    exposure_flags,
    is_elongated,
    refused_by_size,
)
from cxr.inference.model_folder import ScreeningModel
from cxr.inference.network import softmax
from cxr.screening.candidates import Candidate, Query
from cxr.screening.discovery import discover
from cxr.screening.paths import Naming, PathStyle, unescape
from cxr.screening.predict import screen
from cxr.screening.read import read
from cxr.screening.run_manifest import RunResult, Tally, count_facts, drift_facts
from cxr.screening.schema import (
    DECISION_COLUMNS,
    EMPTY_SET,
    REJECTING,
    DecisionRecord,
    ModelColumns,
    Schema,
    Status,
    agreement,
    decision_record_at,
    gate_facts_of,
    members_of,
)
from cxr.screening.storage import Root
from cxr.screening.tables import Kind, bytes_of, digest_of

ROUNDED = 1e-6  # a cell is off by at most 5e-7; decisions were made before rounding


def broken_decisions(row: Mapping[str, str], head: ModelColumns) -> Iterator[str]:
    """Give a clause for each rule that the decision cells of an answer break; the numbers are well formed."""
    words, decision, reason, trained = (row[f"{head.prefix}{name}"] for name in DECISION_COLUMNS)
    applied = head.applied
    if applied is None:
        if words or decision or reason or trained:
            yield f"{head.prefix}decision is {decision!r}, but {head.identity} has no decisions"
        return
    if trained not in ("", "yes", "no"):
        yield f"{head.prefix}in_training_set is {trained!r}; expected yes, no or nothing"
    members = words.split(" ") if words != EMPTY_SET else []
    if members != [name for name in head.classes if name in members]:
        yield f"{head.prefix}prediction_set is {words!r}; expected classes in order, or {EMPTY_SET}"
        return
    yield from _set(row, head, applied, members)
    yield from _decision(row, head, applied, members)


def unanswered(row: Mapping[str, str], head: ModelColumns) -> Iterator[str]:
    """Give a clause where a row without an answer of a network holds a decision of it."""
    for name in DECISION_COLUMNS:
        if row[f"{head.prefix}{name}"]:
            yield f"{head.prefix}{name} is {row[f'{head.prefix}{name}']!r}, but {head.prefix}prediction is empty"


def _set(row: Mapping[str, str], head: ModelColumns, applied: DecisionRecord, members: list[str]) -> Iterator[str]:
    for name, minimum in zip(head.classes, applied.minimum, strict=True):
        probability = float(row[f"{head.prefix}probability_{name}"])
        if (probability >= minimum) != (name in members) and abs(probability - minimum) > ROUNDED:
            verb = "lacks" if probability > minimum else "has"
            yield f"{head.prefix}prediction_set {verb} {name}, whose probability {probability:.6f} says otherwise"


def _decision(row: Mapping[str, str], head: ModelColumns, applied: DecisionRecord, members: list[str]) -> Iterator[str]:
    decision, reason = row[f"{head.prefix}decision"], row[f"{head.prefix}refer_reason"]
    expected = _refer_reason(members, unusual=Flag.OUT_OF_DISTRIBUTION in row["flags"].split())
    if not expected and reason == ReferReason.DISAGREEMENT:  # what the members answered is in no cell
        expected = reason
        if len(applied.members) < 2:
            yield f"{head.prefix}refer_reason is {reason!r}, but {head.identity} is no ensemble"
    if reason != expected:
        yield f"{head.prefix}refer_reason is {reason!r}, the prediction set and the flags give {expected!r}"
    suspected = applied.words[0]
    probability = float(row[f"{head.prefix}probability_{applied.target}"])
    word = REFER if expected else suspected if probability >= applied.threshold else NOT_SUSPECTED
    near = abs(probability - applied.threshold) <= ROUNDED and {decision, word} == {suspected, NOT_SUSPECTED}
    if decision != word and not near:
        yield f"{head.prefix}decision is {decision!r}, the probabilities give {word!r}"


def _refer_reason(members: list[str], *, unusual: bool) -> str:
    """Return the reason that the prediction set and the gate's flag give, the first of those that hold."""
    if unusual:
        return ReferReason.OUT_OF_DISTRIBUTION.value
    if len(members) != 1:
        return ReferReason.SEVERAL_CLASSES.value if members else ReferReason.EMPTY_SET.value
    return ""


# Rows of pictures that a gate's network has passed: answered, or lost by a network after it.
PASSED = frozenset({"", Reason.NETWORK, Reason.NOT_FINITE})


def broken_by_gate(row: Mapping[str, str], schema: Schema) -> Iterator[str]:
    """Give a clause for each rule that a row breaks; its cells are well formed."""
    flags, reason = set(row["flags"].split()), row["reason"]
    if schema.gate is None:
        if reason in GATE_REASONS:
            yield f"reason is {reason!r}, but no gate judged"
        if given := flags & (EXPOSURE_FLAGS | SIGN_FLAGS):
            yield f"flags has {', '.join(sorted(given))}, but no gate judged"
        return
    if Flag.FLAT in flags:
        yield "flags has flat, which is said only where no gate judges"
    if reason not in PASSED and (seen := flags & SIGN_FLAGS):
        yield f"flags has {', '.join(sorted(seen))}, but the gate has not passed it: reason is {reason!r}"
    if reason in GATE_REASONS:
        if answered := [head.identity for head in schema.heads if row[f"{head.prefix}prediction"]]:
            yield f"reason is {reason!r}, but {answered[0]} has an answer"
        if not (row["width"] and row["height"] and row["brightness"]):
            yield f"reason is {reason!r}, but width, height or brightness is empty"
    if row["width"] and row["height"]:
        yield from _size(row, schema.gate.limits)
    if row["brightness"]:
        yield from _exposure(float(row["brightness"]), flags, schema.gate.limits)


def _size(row: Mapping[str, str], limits: Limits) -> Iterator[str]:
    broken = refused_by_size(int(row["width"]), int(row["height"]), limits)
    expected = broken[0].value if broken else ""
    if row["reason"] != expected and (expected or row["reason"] in (Reason.TOO_SMALL, Reason.EXTREME_ASPECT)):
        yield f"reason is {row['reason']!r}, width and height give {expected!r}"


def _exposure(brightness: float, flags: set[str], limits: Limits) -> Iterator[str]:
    """Check both flags; what is white over too large a part may be overexposed at any brightness."""
    nearly = [exposure_flags(brightness + off, 0, limits) for off in (-ROUNDED, ROUNDED)]
    for flag in sorted(frozenset.intersection(*nearly) - flags):
        yield f"flags lacks {flag}, which brightness {brightness:.6f} gives"
    if Flag.UNDEREXPOSED in flags - frozenset.union(*nearly):
        yield f"flags has {Flag.UNDEREXPOSED}, but brightness is {brightness:.6f}"


TOLERANCE = 2e-6  # cells have six decimals: each is off by at most 5e-7, and three of them are added
_NUMBER = re.compile(r"[01]\.\d{6}")
_INTEGER = re.compile(r"\d+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def broken_rules(row: Mapping[str, str], schema: Schema) -> Iterator[str]:
    """Give a clause for each rule that `row`, all cells as text, breaks."""
    malformed = list(_forms(row, schema))
    yield from malformed
    if malformed:
        return
    yield from _status(row)
    yield from _flags(row)
    yield from broken_by_gate(row, schema)
    for head in schema.heads:
        yield from _answer(row, head)
    predictions = [row[f"{head.prefix}prediction"] for head in schema.heads]
    if len(schema.heads) > 1:
        expected = agreement(predictions) if all(predictions) else ""
        if row["agreement"] != expected:
            yield f"agreement is {row['agreement']!r}, the predictions give {expected!r}"


def _forms(row: Mapping[str, str], schema: Schema) -> Iterator[str]:
    patterns = {Kind.NUMBER: _NUMBER, Kind.INTEGER: _INTEGER}
    for column in schema.columns:
        cell, pattern = row[column.name], patterns.get(column.kind)
        if cell and pattern and not pattern.fullmatch(cell):
            yield f"{column.name} is {cell!r}; expected {'six decimals' if pattern is _NUMBER else 'a whole number'}"
    if row["sha256"] and not _SHA256.fullmatch(row["sha256"]):
        yield f"sha256 is {row['sha256']!r}"
    if row["status"] not in set(Status):
        yield f"status is {row['status']!r}; expected one of {', '.join(Status)}"
    if row["reason"] and row["reason"] not in set(Reason):
        yield f"reason is {row['reason']!r}, which is not in the vocabulary"
    unknown = set(row["flags"].split()) - set(Flag)
    if unknown:
        yield f"flags has {', '.join(sorted(unknown))}, not in the vocabulary"


def _status(row: Mapping[str, str]) -> Iterator[str]:
    status = Status.OK
    if row["reason"]:
        status = Status.REJECTED if row["reason"] in REJECTING else Status.ERROR
    if row["status"] != status:
        yield f"status is {row['status']!r}, but reason {row['reason']!r} gives {status.value!r}"
    if status is Status.OK and not (row["sha256"] and row["width"] and row["brightness"]):
        yield "status is 'ok', but sha256, width or brightness is empty"


def _flags(row: Mapping[str, str]) -> Iterator[str]:
    words = row["flags"].split()
    if words != [flag for flag in Flag if flag in words]:
        yield f"flags is {row['flags']!r}; expected each word once, in the order of docs/results-csv.md"
    if not (row["width"] and row["height"]):
        if words:
            yield f"flags is {row['flags']!r}, but nothing was decoded"
        return
    if is_elongated(int(row["width"]), int(row["height"])) != (Flag.ELONGATED in words):
        yield f"flags is {row['flags']!r}, but the picture has {row['width']} x {row['height']} pixels"
    if Flag.LATERAL in words and row["format"] != "DICOM":
        yield f"flags has lateral, which only a DICOM header says, but format is {row['format']!r}"


def _answer(row: Mapping[str, str], head: ModelColumns) -> Iterator[str]:
    if row[f"{head.prefix}model"] != head.identity:
        yield f"{head.prefix}model is {row[f'{head.prefix}model']!r}, the manifest says {head.identity!r}"
    names = [f"{head.prefix}probability_{name}" for name in head.classes]
    cells = [row[f"{head.prefix}{name}"] for name in ("prediction", "confidence", "margin")] + [row[n] for n in names]
    if not any(cells):
        if row["status"] == Status.OK:
            yield f"status is 'ok', but {head.prefix}prediction is empty"
        yield from unanswered(row, head)
        return
    if not all(cells):
        yield f"the answer of {head.identity} is incomplete"
        return
    yield from _numbers(row, head, [float(row[name]) for name in names])
    yield from broken_decisions(row, head)


def _numbers(row: Mapping[str, str], head: ModelColumns, values: list[float]) -> Iterator[str]:
    if abs(sum(values) - 1) > TOLERANCE:
        yield f"the probabilities of {head.identity} sum to {sum(values):.6f}"
    prediction = row[f"{head.prefix}prediction"]
    if prediction not in head.classes:
        yield f"{head.prefix}prediction is {prediction!r}; expected one of {', '.join(head.classes)}"
        return
    first, second = sorted(values, reverse=True)[:2]
    if values[head.classes.index(prediction)] < first:
        yield f"{head.prefix}prediction is {prediction!r}, which has not the largest probability"
    for name, expected in (("confidence", first), ("margin", first - second)):
        cell = row[f"{head.prefix}{name}"]
        if abs(float(cell) - expected) > TOLERANCE:
            yield f"{head.prefix}{name} is {cell}, the probabilities give {expected:.6f}"


SHOWN = 20  # findings of one kind; a table of another schema would give one a row


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

    Raises:
        DataError: The table cannot be read at all.
    """
    results = table.manifest["results"]
    tally = Tally(table.schema)
    names = [column.name for column in table.schema.columns]
    header = next((list(row) for row in table.rows()), names)
    if header != names or results["columns"] != names:
        differing = sorted({*header, *results["columns"]} ^ {*names}) or ["their order"]
        return [Check("columns", (f"not those of version {results['schema']}: {', '.join(differing)}",))]
    rows = Check("rows", tuple(_first(_rows(table, tally))))
    return [
        Check(
            "bytes",
            tuple(_manifest_differences({"sha256": digest_of(table.path), "bytes": bytes_of(table.path)}, results)),
        ),
        Check("columns"),
        rows,
        Check("counts", tuple(_counts(table, tally))),
    ]


def verify_models(table: RunResult, folders: Sequence[Path]) -> Check:
    """Check that the networks in `folders` are those that the manifest names, to the byte."""
    from cxr.inference.model_folder import describe_model, load_decisions
    from cxr.inference.network import DESCRIPTION_FILE, fingerprint

    available: dict[str, tuple[Path, JsonObject, Decisions | None]] = {}
    findings = []
    for folder in folders:
        try:
            description = describe_model(folder)
            available[fingerprint(folder)] = (folder, description, load_decisions(folder, description))
        except ModelError as error:
            findings.append(str(error))
    for number, model in enumerate(table.manifest["models"]):
        found = available.get(model["sha256"])
        if found is None:
            findings.append(
                f"{model['model']} is in none of {', '.join(map(str, folders))}; name its folder with --model"
            )
            continue
        folder, description, decisions = found
        if sha256_of(folder / DESCRIPTION_FILE) != model["description_sha256"]:
            findings.append(f"{folder} has the network of {model['model']}, but another description")
        elif not _same_decisions(decisions, model, sha256_of(folder / DECISIONS_FILE) if decisions else ""):
            findings.append(f"{folder} decides otherwise than the manifest says of {model['model']}")
        elif list(members_of(description)) != model["members"]:
            findings.append(f"{folder} has other members than the manifest says of {model['model']}")
        elif number == 0 and not _same_gate(folder, description, table.manifest["gate"]):
            findings.append(f"{folder} has another gate than the manifest says")
    return Check("models", tuple(findings))


def _same_gate(folder: Path, description: JsonObject, stated: JsonObject | None) -> bool:
    """Tell whether the manifest's limits are those of the gate's file, so that rows were checked against the right."""
    try:
        return gate_facts_of(folder, description) == stated
    except (ModelError, OSError, ValueError):
        return False


def _same_decisions(decisions: Decisions | None, model: dict[str, Any], sha256: str) -> bool:
    """Tell whether the manifest's figures are those of the file, so that rows were checked against the right ones."""
    stated = model["decisions"]
    if decisions is None or stated is None:
        return decisions is stated
    applied = decision_record_at(decisions, str(stated.get("operating_point")))
    return applied is not None and applied.facts(decisions.classes) | {"sha256": sha256} == stated


def _rows(table: RunResult, tally: Tally) -> Iterator[str]:
    last = ""
    for number, row in enumerate(table.rows(), start=1):
        if row["path"] <= last:
            yield f"row {number}, {row['path']}: not after {last}; rows are sorted by path, each path once"
        last = row["path"]
        for clause in broken_rules(row, tally.schema):
            yield f"row {number}, {row['path']}: {clause}"
        with suppress(ValueError, KeyError):  # no number or class where one belongs, which the rules have named
            tally.count(list(row.values()))


def _counts(table: RunResult, tally: Tally) -> Iterator[str]:
    stated = table.manifest["counts"]
    tally.not_images.extend(table.manifest["aside"]["not_an_image"])
    skipped = stated["skipped_because"] | {"not_an_image": len(tally.not_images)}
    yield from _manifest_differences({"rows": tally.rows}, table.manifest["results"])
    yield from _manifest_differences(count_facts(skipped, tally), stated)
    yield from (f"drift of {clause}" for clause in _manifest_differences(drift_facts(tally), table.manifest["drift"]))


def _manifest_differences(found: dict[str, Any], stated: dict[str, Any]) -> Iterator[str]:
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
    table: RunResult, models: Sequence[ScreeningModel], root: Root | None, key: bytes, number: int, seed: int
) -> Check:
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


def _at_a_threshold(candidate: Candidate, models: Sequence[ScreeningModel], root: Root, schema: Schema) -> set[str]:
    """Return the columns decided by a number that lies within ANOTHER_CLASS of what it is compared with."""
    gate = models[0].gate
    planes = read(candidate, root, [model.plane_side for model in models]).planes
    if not planes:
        return set()
    own = [{f"{head.prefix}{name}" for name in ("prediction", *DECISION_COLUMNS)} for head in schema.heads]
    found: set[str] = set()
    for model, columns in zip(models, own, strict=True):
        if _distance(model, planes[model.plane_side][np.newaxis]) <= ANOTHER_CLASS:
            found |= columns | {"agreement"}
    if gate:
        thresholds = np.array([gate.thresholds[sign] for sign in Sign])
        distance = np.abs(gate.scores(planes[models[0].plane_side][np.newaxis]) - thresholds).min()
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
