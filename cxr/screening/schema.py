"""The table's columns and rows: what a cell holds, how it is made, what must hold of it. See docs/results-csv.md.

A column is one `ResultColumn`; header, rows, the rules of `cxr-verify` and the page's table all follow from it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

from cxr.core.errors import Reason, UsageError
from cxr.core.files import JsonObject
from cxr.core.image import ImageFacts
from cxr.imaging.formats import FORMATS
from cxr.imaging.headers import HEADER_REASONS
from cxr.inference.decisions import Decision, DecisionRecord, Reference, ReferReason, decision_on
from cxr.inference.gate import (
    EXPOSURE_FLAGS,
    GATE_REASONS,
    SIGN_FLAGS,
    Flag,
    GateRecord,
    exposure_flags,
    is_elongated,
    refused_by_size,
)
from cxr.inference.model_folder import ScreeningModel
from cxr.screening.paths import escape
from cxr.screening.storage import Provenance
from cxr.screening.tables import Column, Kind

SCHEMA_VERSION = 4


class Status(StrEnum):
    """Whether a file was screened: the closed vocabulary of the column `status`."""

    OK = "ok"
    REJECTED = "rejected"
    ERROR = "error"


# What the gate or a DICOM header says of a file that could be read; another try gives the same.
JUDGED = GATE_REASONS | HEADER_REASONS
# Read well, and not a single radiograph with defined black and white: trying again changes nothing.
REJECTING = JUDGED | {Reason.MULTI_FRAME, Reason.TOO_LARGE, Reason.UNSUPPORTED, Reason.NOT_AN_IMAGE}


def status_of(reason: str | None) -> Status:
    """Return the status of a file without an answer for that reason; of one that has none to give, `ok`."""
    if not reason:
        return Status.OK
    return Status.REJECTED if reason in REJECTING else Status.ERROR


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one network says of one picture.

    Attributes:
        prediction: Class with the largest probability, of equal ones the first.
        probabilities: In the network's order, finite, with sum 1; calibrated where the network has decisions.
        decision: None where it has none.
    """

    prediction: str
    probabilities: tuple[float, ...]
    decision: Decision | None = None

    @property
    def confidence(self) -> float:
        """The largest probability."""
        return max(self.probabilities)

    @property
    def margin(self) -> float:
        """The largest probability less the second largest."""
        first, second = sorted(self.probabilities, reverse=True)[:2]
        return first - second


@dataclass(frozen=True, slots=True)
class Row:
    """What came out for one file.

    Attributes:
        path: The cell that names it.
        reason: Why there is no answer; None for a screened file.
        detail: What went wrong, for people.
        answers: One for each network; None where that one has no answer. Empty where none has.
        trained: For each network, whether it was trained on this very picture, answered or not; None where it does not
            say what it was trained on. Empty where the file could not be decoded.
        flags: In the order of `Flag`.
        format: Recognised by content; empty where unknown.
        facts: None where the file could not be decoded.
        brightness: Mean of the first network's plane, 0 black, 1 white; None where the file could not be decoded.
        sha256: Of the file; empty where it could not be read.
        attributes: DICOM attributes that were asked for.
    """

    path: str
    reason: Reason | None = None
    detail: str = ""
    answers: tuple[Prediction | None, ...] = ()
    trained: tuple[bool | None, ...] = ()
    flags: tuple[Flag, ...] = ()
    format: str = ""
    facts: ImageFacts | None = None
    brightness: float | None = None
    sha256: str = ""
    attributes: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """`ok` for a file with an answer of every network."""
        return status_of(self.reason)

    def answer(self, number: int) -> Prediction | None:
        """Return the answer of the network with that number, from 0."""
        return self.answers[number] if self.answers else None

    def in_training_set(self, number: int) -> bool | None:
        """Return whether the network with that number was trained on this picture; None where that is not known."""
        return self.trained[number] if self.trained else None


Cells = Mapping[str, str]  # of one row, by the names of their columns
Clauses = Iterator[str]

ROUNDED = 1e-6  # a cell is off by at most 5e-7; decisions were made before rounding
TOLERANCE = 2e-6  # three such cells are added
_FORMS = {
    Kind.NUMBER: (re.compile(r"[01]\.\d{6}"), "six decimals"),
    Kind.INTEGER: (re.compile(r"\d+"), "a whole number"),
}
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultColumn(Column):
    """A column of the table.

    Attributes:
        cell: Gives its text for a row.
        malformed: Says what is wrong with a text that is none for this column, whatever stands beside it; else nothing.
        rule: Gives a clause for each thing that does not hold of its cell in a row whose cells are all well formed.
        type: What it holds, in the page's words.
        content: What it says, in the page's words.
        words: All that its cells may be, of a closed vocabulary; empty for any other column.
        many: Whether a cell has several of the words, separated by spaces.
        identifies: Whether its cells may say of whom a film is.
    """

    cell: Callable[[Row], str]
    malformed: Callable[[str], str] = field(default=lambda _: "")
    rule: Callable[[Cells, "Schema"], Clauses] = field(default=lambda *_: iter(()))
    type: str
    content: str
    words: tuple[str, ...] = ()
    many: bool = False
    identifies: bool = False

    def form(self, cell: str) -> str:
        """Return what is wrong with a cell by itself; nothing where it is well formed."""
        pattern, expected = _FORMS.get(self.kind, (None, ""))
        if cell and pattern and not pattern.fullmatch(cell):
            return f"{self.name} is {cell!r}; expected {expected}"
        return self.malformed(cell)


def broken_rules(cells: Cells, schema: "Schema") -> Clauses:
    """Give a clause for each rule that a row breaks: first whether every cell is well formed, then all others.

    A cell that is not well formed takes away the rules that ask for it, and no other.
    """
    malformed = {column.name: clause for column in schema.columns if (clause := column.form(cells[column.name]))}
    yield from malformed.values()
    sound = {name: cell for name, cell in cells.items() if name not in malformed}
    for column in schema.columns:
        with suppress(KeyError) if malformed else nullcontext():  # that cell is not there
            yield from column.rule(sound, schema)


def undecided(cells: Cells, schema: "Schema") -> Iterator[str]:
    """Give the columns of probabilities that are rounded so that they may be on either side of a limit of decisions."""
    for head in schema.heads:
        answer = _AnswerCells(cells, head, schema.rounded)
        if head.applied and all(answer.filled):
            with suppress(KeyError, ValueError):  # no number, which the rules have named
                yield from (answer.name(_of_class(name)) for name in head.classes if answer.is_near_a_limit(name))


# The columns before the first network's answer.


def _status_rule(cells: Cells, _: "Schema") -> Clauses:
    status = status_of(cells["reason"])
    if cells["status"] != status:
        yield f"status is {cells['status']!r}, but reason {cells['reason']!r} gives {status.value!r}"
    if status is Status.OK and not (cells["sha256"] and cells["width"] and cells["brightness"]):
        yield "status is 'ok', but sha256, width or brightness is empty"


def _reason_rule(cells: Cells, schema: "Schema") -> Clauses:
    reason = cells["reason"]
    if reason in HEADER_REASONS:
        yield from _header_rule(cells, schema)
    if schema.gate is None:
        if reason in GATE_REASONS:
            yield f"reason is {reason!r}, but no gate judged"
        return
    if reason in GATE_REASONS:
        if answered := [head.identity for head in schema.heads if cells[f"{head.prefix}prediction"]]:
            yield f"reason is {reason!r}, but {answered[0]} has an answer"
        if not (cells["width"] and cells["height"] and cells["brightness"]):
            yield f"reason is {reason!r}, but width, height or brightness is empty"
    if cells["width"] and cells["height"]:
        broken = refused_by_size(int(cells["width"]), int(cells["height"]), schema.gate.limits)
        expected = broken[0].value if broken else ""
        if reason != expected and (expected or reason in (Reason.TOO_SMALL, Reason.EXTREME_ASPECT)):
            yield f"reason is {reason!r}, width and height give {expected!r}"


def _header_rule(cells: Cells, schema: "Schema") -> Clauses:
    reason = cells["reason"]
    if schema.any_dicom:
        yield f"reason is {reason!r}, but --any-dicom was given"
    if cells["format"] != "DICOM":
        yield f"reason is {reason!r}, which only a DICOM header gives, but format is {cells['format']!r}"
    if cells["width"] or cells["brightness"]:
        yield f"reason is {reason!r}, but width or brightness is not empty"


def _status_form(cell: str) -> str:
    return "" if cell in set(Status) else f"status is {cell!r}; expected one of {', '.join(Status)}"


def _reason_form(cell: str) -> str:
    return "" if not cell or cell in set(Reason) else f"reason is {cell!r}, which is not in the vocabulary"


_OUTCOME = (
    ResultColumn(
        "path",
        cell=lambda row: row.path,
        type="text",
        content="the file's name, [relative, absolute or hashed](#path), [escaped](#escapes); unique",
        identifies=True,
    ),
    ResultColumn(
        "status",
        cell=lambda row: row.status.value,
        malformed=_status_form,
        rule=_status_rule,
        type="[word](#status)",
        content="whether there is an answer",
        words=tuple(Status),
    ),
    ResultColumn(
        "reason",
        cell=lambda row: row.reason.value if row.reason else "",
        malformed=_reason_form,
        rule=_reason_rule,
        type="[word](#reason) or empty",
        content="why there is none; empty where `status` is `ok`",
        words=tuple(Reason),
    ),
)


# The columns of a network's answer.


@dataclass(frozen=True, slots=True)
class UnseenAlarms:
    """What networks that were trained without a hospital say of that hospital's films without the target.

    Attributes:
        label: Class of the films.
        films: How many.
        hospitals: How many were left out, one at a time.
        lowest: Share called the target at the hospital where it is lowest, 0 to 1.
        highest: The same where it is highest.
    """

    label: str
    films: int
    hospitals: int
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """Which network answered, what decided, and what it was trained on, as the manifest keeps it.

    Attributes:
        model: Its identity: name and first digits of its SHA-256.
        name: Alone.
        sha256: Of graph and weights.
        description_sha256: Of its model.json.
        classes: In the order of its outputs.
        members: Names of the networks that an ensemble consists of; empty for a single network.
        side: Of the planes that it takes, in pixels.
        decisions: None where nothing decides.
        data_sha256: Of the data set that it was trained on, where known.
        synthetic: Whether drawn phantoms were among it.
        commit: Of the code that trained it, where known.
        dvc: Revision that it was taken from; None for a local folder.
        unseen_alarms: How often it is wrong elsewhere; None where no hospital was left out of a training.
    """

    model: str
    name: str
    sha256: str
    description_sha256: str
    classes: tuple[str, ...]
    members: tuple[str, ...]
    side: int
    decisions: DecisionRecord | None
    data_sha256: str | None
    synthetic: bool
    commit: str | None
    dvc: Provenance | None = field(default=None, metadata={"absent": True})
    # Under another key than the one number of earlier manifests, which are read all the same.
    unseen_alarms: UnseenAlarms | None = field(default=None, metadata={"key": "unseen", "absent": True})


def model_record(model: ScreeningModel) -> ModelRecord:
    """Return what a manifest keeps of a loaded network."""
    description, decisions = model.description, model.decisions
    return ModelRecord(
        model=model.identity,
        name=str(description["name"]),
        sha256=model.network_sha256,
        description_sha256=model.description_sha256,
        classes=model.classes,
        members=model.members,
        side=model.plane_side,
        decisions=decisions.record(model.operating_point, description["decisions"]["sha256"]) if decisions else None,
        data_sha256=description["data"].get("sha256"),
        synthetic=model.synthetic,
        commit=description.get("commit"),
        unseen_alarms=_unseen_alarms(description),
    )


def _unseen_alarms(description: JsonObject) -> UnseenAlarms | None:
    """Return what a description says of hospitals left out, of the class without the target that has most films."""
    unseen = ((description.get("evaluation") or {}).get("card") or {}).get("unseen")
    if not unseen:
        return None
    films = Counter[str]()
    for row in unseen["rows"]:
        films[row["label"]] += int(row["n"])
    del films[unseen["target"]]
    if not films:
        return None
    label = max(sorted(films), key=films.__getitem__)
    shares = [float(row["called"]["value"]) for row in unseen["rows"] if row["label"] == label]
    return UnseenAlarms(label, films[label], len(shares), min(shares), max(shares))


@dataclass(frozen=True, slots=True)
class ModelColumns:
    """What the table says of a network.

    Attributes:
        prefix: Of its columns.
        record: The network.
        reference: The validation images; None where there is nothing to compare with.
    """

    prefix: str
    record: ModelRecord
    reference: Reference | None = None

    @property
    def identity(self) -> str:
        """Its name and digits."""
        return self.record.model

    @property
    def classes(self) -> tuple[str, ...]:
        """In order."""
        return self.record.classes

    @property
    def applied(self) -> DecisionRecord | None:
        """What decides; None where nothing does."""
        return self.record.decisions


YES_NO = ("yes", "no")
EMPTY_SET = "empty"  # a cell without any word would mean that nothing was decided
DECISION_COLUMNS = ("prediction_set", "decision", "refer_reason")


@dataclass(frozen=True, slots=True)
class _AnswerCells:
    """The cells of a row that a network fills, by their names without its prefix; a malformed one is absent."""

    cells: Cells
    head: ModelColumns
    rounded: Mapping[str, float]

    def __getitem__(self, name: str) -> str:
        return self.cells[f"{self.head.prefix}{name}"]

    def name(self, name: str) -> str:
        return f"{self.head.prefix}{name}"

    @property
    def filled(self) -> list[bool]:
        """Whether each cell has something that an answer has, and a row without one lacks."""
        names = ("prediction", "confidence", "margin", *map(_of_class, self.head.classes))
        return [self.cells.get(self.name(name)) != "" for name in names]

    @property
    def probabilities(self) -> list[float]:
        return [float(self[_of_class(name)]) for name in self.head.classes]

    def off(self, *names: str) -> float:
        """Return by how much the sum of these cells may be off because another program has rounded them."""
        return sum(self.rounded.get(self.name(name), 0.0) for name in names)

    @property
    def probabilities_off(self) -> float:
        return self.off(*map(_of_class, self.head.classes))

    @property
    def prediction_set(self) -> tuple[str, ...] | None:
        """The classes in it; None where the cell is no prediction set."""
        words = () if self["prediction_set"] == EMPTY_SET else tuple(self["prediction_set"].split(" "))
        return words if words == tuple(name for name in self.head.classes if name in words) else None

    @property
    def expected(self) -> list[Decision]:
        """What the other cells decide: two where the rounded probability is at the threshold, none without a rule."""
        applied, classes = self.head.applied, self.prediction_set
        if applied is None or classes is None:
            return []
        return [
            decision_on(
                classes,
                applied.target,
                prediction=self["prediction"],
                suspected=either,
                flags=self.cells["flags"].split(),
                disagreeing=self["refer_reason"] == ReferReason.DISAGREEMENT,  # what the members answered is in no cell
            )
            for either in self._suspected(applied)
        ]

    def _suspected(self, applied: DecisionRecord) -> Sequence[bool]:
        """Return on which side of the threshold the target is: both where that cannot be told, the likelier first."""
        name = _of_class(applied.target)
        if self.name(name) not in self.cells:
            return True, False
        value = float(self[name])
        suspected = value >= applied.threshold
        at_threshold = abs(value - applied.threshold) <= ROUNDED + self.off(name)
        return (suspected, not suspected) if at_threshold else (suspected,)

    def is_near_a_limit(self, name: str) -> bool:
        """Tell whether a class's probability is rounded, and may be on either side of a limit."""
        assert self.head.applied is not None
        column, applied = _of_class(name), self.head.applied
        if not self.off(column):
            return False
        limits = [applied.minimum[name], *([applied.threshold] if name == applied.target else [])]
        away = min(abs(float(self[column]) - limit) for limit in limits)
        return away <= ROUNDED + self.off(column)


def _of_class(name: str) -> str:
    return f"probability_{name}"


AnswerRule = Callable[[_AnswerCells], Clauses]


def _prediction_rule(head: ModelColumns, cells: Cells, schema: "Schema") -> Clauses:
    answer = _AnswerCells(cells, head, schema.rounded)
    if not any(answer.filled):
        if cells["status"] == Status.OK:
            yield f"status is 'ok', but {answer.name('prediction')} is empty"
        return
    if not all(answer.filled):
        yield f"the answer of {head.identity} is incomplete"
        return
    values, prediction, off = answer.probabilities, answer["prediction"], answer.probabilities_off
    if abs(sum(values) - 1) > TOLERANCE + off:
        yield f"the probabilities of {head.identity} sum to {sum(values):.6f}"
    if prediction not in head.classes:
        yield f"{answer.name('prediction')} is {prediction!r}; expected one of {', '.join(head.classes)}"
    elif values[head.classes.index(prediction)] < max(values) - off:
        yield f"{answer.name('prediction')} is {prediction!r}, which has not the largest probability"


def _where_answered(name: str, rule: AnswerRule, head: ModelColumns, cells: Cells, schema: "Schema") -> Clauses:
    """Apply a rule to the column `name` of a whole answer; where there is none, the cell must be empty."""
    answer = _AnswerCells(cells, head, schema.rounded)
    if all(answer.filled):
        yield from rule(answer)
    elif not any(answer.filled) and answer[name]:
        yield f"{answer.name(name)} is {answer[name]!r}, but {answer.name('prediction')} is empty"


def _confidence_rule(answer: _AnswerCells) -> Clauses:
    yield from _near(answer, "confidence", max(answer.probabilities))


def _margin_rule(answer: _AnswerCells) -> Clauses:
    first, second = sorted(answer.probabilities, reverse=True)[:2]
    yield from _near(answer, "margin", first - second)


def _near(answer: _AnswerCells, name: str, expected: float) -> Clauses:
    if abs(float(answer[name]) - expected) > TOLERANCE + answer.off(name) + answer.probabilities_off:
        yield f"{answer.name(name)} is {answer[name]}, the probabilities give {expected:.6f}"


def _set_rule(answer: _AnswerCells) -> Clauses:
    if answer.head.applied is None:
        return
    classes = answer.prediction_set
    if classes is None:
        words, name = answer["prediction_set"], answer.name("prediction_set")
        yield f"{name} is {words!r}; expected classes in order, or {EMPTY_SET}"
        return
    for name, probability in zip(answer.head.classes, answer.probabilities, strict=True):
        minimum = answer.head.applied.minimum[name]
        off = ROUNDED + answer.off(_of_class(name))
        if (probability >= minimum) != (name in classes) and abs(probability - minimum) > off:
            verb = "lacks" if probability > minimum else "has"
            yield f"{answer.name('prediction_set')} {verb} {name}, whose probability {probability:.6f} says otherwise"


def _decision_rule(answer: _AnswerCells) -> Clauses:
    decision, expected, applied = answer["decision"], answer.expected, answer.head.applied
    if applied is None and any(answer[name] for name in DECISION_COLUMNS):
        yield f"{answer.name('decision')} is {decision!r}, but {answer.head.identity} has no decisions"
    if expected and decision not in [one.word for one in expected]:
        yield f"{answer.name('decision')} is {decision!r}, the probabilities give {expected[0].word!r}"


def _refer_rule(answer: _AnswerCells) -> Clauses:
    reason, decision = answer["refer_reason"], answer["decision"]
    # A decision that is none of these is another column's trouble.
    expected = [one for one in answer.expected if one.word == decision] or answer.expected
    if not expected:
        return
    if expected[0].reason is ReferReason.DISAGREEMENT and len(answer.head.record.members) < 2:
        yield f"{answer.name('refer_reason')} is {reason!r}, but {answer.head.identity} is no ensemble"
    given = [one.reason.value if one.reason else "" for one in expected]
    if reason not in given:
        yield f"{answer.name('refer_reason')} is {reason!r}, the prediction set and the flags give {given[0]!r}"


def _six(value: float) -> str:
    return f"{value:.6f}"


def _probability(place: int, answer: Prediction) -> str:
    return _six(answer.probabilities[place])


def _decided(cell: Callable[[Decision], str]) -> Callable[[Prediction], str]:
    return lambda answer: cell(answer.decision) if answer.decision else ""


# Name, how the cell is made of an answer, what must hold of it, its type and content; probabilities follow the first.
_ANSWER: tuple[tuple[str, Callable[[Prediction], str], AnswerRule, str, str], ...] = (
    ("confidence", lambda answer: _six(answer.confidence), _confidence_rule, "number", "the largest probability"),
    (
        "margin",
        lambda answer: _six(answer.margin),
        _margin_rule,
        "number",
        "the largest probability less the second largest",
    ),
    (
        "prediction_set",
        _decided(lambda decision: " ".join(decision.classes) or EMPTY_SET),
        _set_rule,
        "[words](#decision)",
        "classes that cannot be ruled out, in the network's order, separated by spaces; `empty` where all can. "
        "Each class has a limit of its own, so `prediction` may lie outside",
    ),
    (
        "decision",
        _decided(lambda decision: decision.word),
        _decision_rule,
        "[word](#decision)",
        "what is decided at the operating point in force",
    ),
    (
        "refer_reason",
        _decided(lambda decision: decision.reason or ""),
        _refer_rule,
        "[word](#decision)",
        "why `decision` is `refer`",
    ),
)

_VOCABULARIES: Mapping[str, Callable[[ModelColumns], Sequence[str]]] = {
    "prediction_set": lambda head: head.classes,
    "decision": lambda head: head.applied.words if head.applied else (),
    "refer_reason": lambda _: tuple(ReferReason),
}


def _answer_columns(number: int, head: ModelColumns) -> Iterator[ResultColumn]:
    """Give the columns of the answer of the network with that number, from 0."""

    def of(cell: Callable[[Prediction], str]) -> Callable[[Row], str]:
        return lambda row: "" if (answer := row.answer(number)) is None else cell(answer)

    yield ResultColumn(
        f"{head.prefix}prediction",
        cell=of(lambda answer: answer.prediction),
        rule=partial(_prediction_rule, head),
        type="class or empty",
        content="class with the largest probability; of equal ones the first",
        words=head.classes,
    )
    for place, name in enumerate(head.classes):
        yield ResultColumn(
            f"{head.prefix}probability_{name}",
            Kind.NUMBER,
            cell=of(partial(_probability, place)),
            type="number or empty",
            content="one column for each class, named and ordered as in the model's `model.json`; they sum to 1 but "
            "for rounding; calibrated where the network has [decisions](#decision)",
        )
    for name, cell, rule, holds, content in _ANSWER:
        yield ResultColumn(
            f"{head.prefix}{name}",
            Kind.NUMBER if holds == "number" else Kind.TEXT,
            cell=of(cell),
            rule=partial(_where_answered, name, rule, head),
            type=f"{holds} or empty",
            content=content,
            words=tuple(_VOCABULARIES[name](head)) if name in _VOCABULARIES else (),
            many=name == "prediction_set",
        )
    yield ResultColumn(
        f"{head.prefix}in_training_set",
        cell=lambda row: _YES_OR_NO[row.in_training_set(number)],
        rule=partial(_training_rule, head),
        type="`yes`, `no` or empty",
        content="whether the network was trained on exactly what it sees of this file: such an answer does not show "
        "how good the network is; also of a decoded file without an answer; empty where that is not known",
        words=YES_NO,
    )


_YES_OR_NO = {True: YES_NO[0], False: YES_NO[1], None: ""}


def _training_rule(head: ModelColumns, cells: Cells, _: "Schema") -> Clauses:
    name = f"{head.prefix}in_training_set"
    if not (word := cells[name]):
        return
    if word not in YES_NO:
        yield f"{name} is {word!r}; expected yes, no or nothing"
    elif head.applied is None:
        yield f"{name} is {word!r}, but {head.identity} has no decisions, which say what it was trained on"
    elif not cells["brightness"]:
        yield f"{name} is {word!r}, but nothing was decoded"


def _model_rule(head: ModelColumns, cells: Cells, _: "Schema") -> Clauses:
    name = f"{head.prefix}model"
    if cells[name] != head.identity:
        yield f"{name} is {cells[name]!r}, the manifest says {head.identity!r}"


def _model_column(head: ModelColumns) -> ResultColumn:
    return ResultColumn(
        f"{head.prefix}model",
        cell=lambda _: head.identity,
        rule=partial(_model_rule, head),
        type="text",
        content="name and first digits of the SHA-256 of the network",
    )


# The columns of the picture and its file.


def _flags_form(cell: str) -> str:
    unknown = set(cell.split()) - set(Flag)
    return f"flags has {', '.join(sorted(unknown))}, not in the vocabulary" if unknown else ""


def _flags_rule(cells: Cells, schema: "Schema") -> Clauses:
    words = cells["flags"].split()
    if words != [flag for flag in Flag if flag in words]:
        yield f"flags is {cells['flags']!r}; expected each word once, in the order of docs/results-csv.md"
    if cells["width"] and cells["height"]:
        if is_elongated(int(cells["width"]), int(cells["height"])) != (Flag.ELONGATED in words):
            yield f"flags is {cells['flags']!r}, but the picture has {cells['width']} x {cells['height']} pixels"
        if Flag.LATERAL in words and cells["format"] != "DICOM":
            yield f"flags has lateral, which only a DICOM header says, but format is {cells['format']!r}"
    elif words:
        yield f"flags is {cells['flags']!r}, but nothing was decoded"
    yield from _gate_flags(cells, set(words), schema.gate, schema.rounded.get("brightness", 0.0))


# Rows of pictures that a gate's network has passed: answered, or lost by a network after it.
PASSED = frozenset({"", Reason.NETWORK, Reason.NOT_FINITE})


def _gate_flags(cells: Cells, flags: set[str], gate: GateRecord | None, rounded: float) -> Clauses:
    if gate is None:
        if given := flags & (EXPOSURE_FLAGS | SIGN_FLAGS):
            yield f"flags has {', '.join(sorted(given))}, but no gate judged"
        return
    if Flag.FLAT in flags:
        yield "flags has flat, which is said only where no gate judges"
    if cells["reason"] not in PASSED and (seen := flags & SIGN_FLAGS):
        yield f"flags has {', '.join(sorted(seen))}, but the gate has not passed it: reason is {cells['reason']!r}"
    if cells["brightness"]:
        yield from _exposure(float(cells["brightness"]), ROUNDED + rounded, flags, gate)


def _exposure(brightness: float, off: float, flags: set[str], gate: GateRecord) -> Clauses:
    """Check both flags; what is white over too large a part may be overexposed at any brightness."""
    nearly = [exposure_flags(brightness + by, 0, gate.limits) for by in (-off, off)]
    for flag in sorted(frozenset.intersection(*nearly) - flags):
        yield f"flags lacks {flag}, which brightness {brightness:.6f} gives"
    if Flag.UNDEREXPOSED in flags - frozenset.union(*nearly):
        yield f"flags has {Flag.UNDEREXPOSED}, but brightness is {brightness:.6f}"


def _sha256_form(cell: str) -> str:
    return "" if not cell or _SHA256.fullmatch(cell) else f"sha256 is {cell!r}"


def _of_facts(cell: Callable[[ImageFacts], object]) -> Callable[[Row], str]:
    return lambda row: "" if row.facts is None else str(cell(row.facts))


_SIDES = "pixels as stored; empty where the file could not be decoded"
_PICTURE = (
    ResultColumn(
        "flags",
        cell=lambda row: " ".join(row.flags),
        malformed=_flags_form,
        rule=_flags_rule,
        type="[words](#flags)",
        content="what to know before trusting the answer, separated by spaces",
        words=tuple(Flag),
        many=True,
    ),
    ResultColumn(
        "format",
        cell=lambda row: row.format,
        type="word or empty",
        content=f"{', '.join(f'`{name}`' for name in FORMATS[:-1])} or `{FORMATS[-1]}`, by content",
        words=FORMATS,
    ),
    ResultColumn(
        "width", Kind.INTEGER, cell=_of_facts(lambda facts: facts.width), type="integer or empty", content=_SIDES
    ),
    ResultColumn(
        "height", Kind.INTEGER, cell=_of_facts(lambda facts: facts.height), type="integer or empty", content=_SIDES
    ),
    ResultColumn(
        "photometric",
        cell=_of_facts(lambda facts: facts.mode),
        type="word or empty",
        content="DICOM's PhotometricInterpretation; for others the sample layout (`L`, `RGB`, `P`, `I;16`, ...)",
    ),
    ResultColumn(
        "bit_depth",
        Kind.INTEGER,
        cell=_of_facts(lambda facts: facts.bit_depth),
        type="integer or empty",
        content="bits that a sample uses",
    ),
    ResultColumn(
        "brightness",
        Kind.NUMBER,
        cell=lambda row: "" if row.brightness is None else _six(row.brightness),
        type="number or empty",
        content="mean of the plane that the network sees, 0 black, 1 white; of the first network",
    ),
    ResultColumn(
        "steps",
        cell=_of_facts(lambda facts: " ".join(facts.steps)),
        type="[words](#steps)",
        content="what was done to the samples, in order, separated by spaces",
    ),
    ResultColumn(
        "detail", cell=lambda row: escape(row.detail), type="text", content="what went wrong, for people, escaped"
    ),
    ResultColumn(
        "sha256",
        cell=lambda row: row.sha256,
        malformed=_sha256_form,
        type="64 digits or empty",
        content="of the bytes that were decoded; empty where they could not be read",
    ),
)


def _dicom_column(number: int, keyword: str) -> ResultColumn:
    return ResultColumn(
        f"dicom_{keyword}",
        cell=lambda row: escape(row.attributes[number]) if row.attributes else "",
        type="text",
        content="only with `--dicom Keyword`: that attribute, escaped; also of a file without an answer, where its "
        "header can be read; empty for other formats",
        identifies=True,
    )


# The column after all networks, where there are several.


class Agreement(StrEnum):
    """How far several networks agree: the closed vocabulary of the column `agreement`."""

    UNANIMOUS = "unanimous"
    MAJORITY = "majority"
    SPLIT = "split"


def agreement(predictions: Sequence[str]) -> Agreement | None:
    """Return how far the predictions of several networks agree; None where one of them is empty."""
    if not all(predictions):
        return None
    most = Counter(predictions).most_common(1)[0][1]
    if most == len(predictions):
        return Agreement.UNANIMOUS
    return Agreement.MAJORITY if 2 * most > len(predictions) else Agreement.SPLIT


def _agreement_cell(row: Row) -> str:
    return agreement([answer.prediction if answer else "" for answer in row.answers or (None,)]) or ""


def _agreement_rule(cells: Cells, schema: "Schema") -> Clauses:
    expected = agreement([cells[f"{head.prefix}prediction"] for head in schema.heads]) or ""
    if cells["agreement"] != expected:
        yield f"agreement is {cells['agreement']!r}, the predictions give {str(expected)!r}"


_AGREEMENT = ResultColumn(
    "agreement",
    cell=_agreement_cell,
    rule=_agreement_rule,
    type="word or empty",
    content="`unanimous`: all networks predict one class; `majority`: more than half do; `split`: otherwise; empty "
    "where a network has no answer",
    words=tuple(Agreement),
)


@dataclass(frozen=True)
class Schema:
    """The table's form, a function of the networks and of the DICOM attributes asked for alone.

    Attributes:
        heads: The first network's columns have no prefix, so that one and several networks are read alike.
        keywords: DICOM attributes.
        gate: What judges pictures before the networks; None where nothing does. It changes no column.
        any_dicom: Whether DICOM was screened whatever modality and part of the body its header says; changes no column.
        rounded: By how much, beyond six decimals, a cell of a column may be off: of a table that another program saved.
    """

    heads: tuple[ModelColumns, ...]
    keywords: tuple[str, ...] = ()
    gate: GateRecord | None = None
    any_dicom: bool = False
    rounded: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def columns(self) -> tuple[ResultColumn, ...]:
        """All columns in order."""
        first, *others = self.heads
        return (
            *_OUTCOME,
            *_answer_columns(0, first),
            *_PICTURE,
            _model_column(first),
            *(_dicom_column(number, keyword) for number, keyword in enumerate(self.keywords)),
            *(
                column
                for number, head in enumerate(others, start=1)
                for column in (*_answer_columns(number, head), _model_column(head))
            ),
            *((_AGREEMENT,) if others else ()),
        )

    def cells(self, row: Row) -> list[str]:
        """Return the text of each cell of `row`, in the order of `columns`."""
        return [column.cell(row) for column in self.columns]

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to other processes without the columns, which are made again there."""
        return Schema, (self.heads, self.keywords, self.gate, self.any_dicom, dict(self.rounded))


def schema_of(
    models: Sequence[ModelRecord],
    keywords: Sequence[str] = (),
    references: Mapping[str, Reference] = MappingProxyType({}),
    gate: GateRecord | None = None,
    *,
    any_dicom: bool = False,
) -> Schema:
    """Return the schema of a table.

    Args:
        models: At least one; the columns of the first one have no prefix.
        keywords: DICOM attributes.
        references: Figures of the validation images by the identity of their network.
        gate: That of the first network.
        any_dicom: As in `Schema`.

    Raises:
        UsageError: One network is named twice.
    """
    identities = Counter(model.model for model in models)
    twice = [identity for identity, count in identities.items() if count > 1]
    if twice:
        raise UsageError(f"the network {twice[0]} is named twice by --model; name each one once")
    same_name = Counter(model.name for model in models)
    prefixes = [model.name if same_name[model.name] == 1 else model.model for model in models]
    heads = (
        ModelColumns(f"{prefix}_" if number else "", model, references.get(model.model))
        for number, (prefix, model) in enumerate(zip(prefixes, models, strict=True))
    )
    return Schema(tuple(heads), tuple(keywords), gate, any_dicom)


def schema_for(models: Sequence[ScreeningModel], keywords: Sequence[str] = (), *, any_dicom: bool = False) -> Schema:
    """Return the schema of a table that loaded networks fill. Raises UsageError as `schema_of`."""
    references = {one.identity: ref for one in models if one.decisions and (ref := one.decisions.reference)}
    gate = models[0].gate
    record = GateRecord(gate.sha256, gate.limits, gate.thresholds) if gate else None
    return schema_of([model_record(model) for model in models], keywords, references, record, any_dicom=any_dicom)
