"""The table's columns and rows, what decided and what judged in them. The contract is docs/results-csv.md."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from cxr.core.errors import Reason, UsageError
from cxr.core.files import JsonObject, read_json
from cxr.core.image import ImageFacts
from cxr.inference.decisions import Decision, Decisions, Fields, Reference, decision_words, parse_reference
from cxr.inference.gate import (
    GATE_FILE,
    GATE_REASONS,
    Flag,
    Gate,
    Limits,
    Sign,
    gate_fingerprint,
    limits_form,
    read_limits,
    read_thresholds,
)
from cxr.inference.model_folder import ScreeningModel
from cxr.screening.paths import escape
from cxr.screening.tables import Column, Kind


class Status(StrEnum):
    """Whether a file was screened: the closed vocabulary of the column `status`."""

    OK = "ok"
    REJECTED = "rejected"
    ERROR = "error"


# Read well, and not a single radiograph with defined black and white: trying again changes nothing.
REJECTING = GATE_REASONS | {Reason.MULTI_FRAME, Reason.TOO_LARGE, Reason.UNSUPPORTED, Reason.NOT_AN_IMAGE}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one network says of one picture.

    Attributes:
        prediction: Class with the largest probability, of equal ones the first.
        probabilities: In the network's order, finite, with sum 1; calibrated where the network has decisions.
        decision: None where it has none.
        in_training_set: Whether the network was trained on this very picture; None where that is not known.
    """

    prediction: str
    probabilities: tuple[float, ...]
    decision: Decision | None = None
    in_training_set: bool | None = None

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
        answers: One for each network; None where that one has no answer.
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
    flags: tuple[Flag, ...] = ()
    format: str = ""
    facts: ImageFacts | None = None
    brightness: float | None = None
    sha256: str = ""
    attributes: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """`ok` for a file with an answer of every network."""
        if self.reason is None:
            return Status.OK
        return Status.REJECTED if self.reason in REJECTING else Status.ERROR


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """What decides in a run.

    Attributes:
        point: Name of the operating point in force.
        target: Its class.
        threshold: Calibrated probability of the target from which on it is suspected.
        temperature: Logits were divided by it.
        alpha: Of the prediction sets.
        minimum: In the order of the classes, smallest calibrated probability of a class in the prediction set.
        reference: The validation images; None where there is nothing to compare with.
        members: Names of the networks that an ensemble consists of; empty for a single network.
    """

    point: str
    target: str
    threshold: float
    temperature: float
    alpha: float
    minimum: tuple[float, ...]
    reference: Reference | None = None
    members: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, str, str]:
        """The words that the column `decision` may hold."""
        return decision_words(self.target)

    def facts(self, classes: Sequence[str]) -> JsonObject:
        """Return what the manifest says of it."""
        return {
            "operating_point": self.point,
            "target": self.target,
            "threshold": self.threshold,
            "temperature": self.temperature,
            "alpha": self.alpha,
            "minimum": dict(zip(classes, self.minimum, strict=True)),
        }

    def reference_facts(self) -> JsonObject | None:
        """Return the validation images' figures as the manifest keeps them, so that joined tables can be compared."""
        return asdict(self.reference) if self.reference else None


def decision_record(model: ScreeningModel) -> DecisionRecord | None:
    """Return what decides about a model's pictures; None without decisions."""
    if model.decisions is None:
        return None
    return decision_record_at(model.decisions, model.operating_point, members_of(model.description))


def members_of(description: JsonObject) -> tuple[str, ...]:
    """Return the names of an ensemble's members by its model.json; none for a single network."""
    return tuple(description.get("members") or ())


def decision_record_at(decisions: Decisions, point: str, members: tuple[str, ...] = ()) -> DecisionRecord | None:
    """Return what decides at the operating point `point`; None where there is none of that name."""
    if point not in decisions.points:
        return None
    return DecisionRecord(
        point=point,
        target=decisions.target,
        threshold=decisions.points[point].threshold,
        temperature=decisions.temperature,
        alpha=decisions.alpha,
        minimum=tuple(decisions.minimum.tolist()),
        reference=decisions.reference,
        members=members,
    )


def parse_decision_record(model: JsonObject, reference: JsonObject | None, where: str) -> DecisionRecord | None:
    """Read back `facts` and `reference_facts` of a manifest's network; raises ModelError where they are not that."""
    fields = Fields(model, where)
    if model.get("decisions") is None:
        return None
    form, classes = fields.inner("decisions"), fields.texts("classes")
    minimum = form.inner("minimum", classes)
    return DecisionRecord(
        point=form.text("operating_point"),
        target=form.text("target"),
        threshold=form.number("threshold"),
        temperature=form.number("temperature"),
        alpha=form.number("alpha"),
        minimum=tuple(minimum.number(name) for name in classes),
        reference=parse_reference(Fields({"reference": _lists(reference)}, where), classes),
        members=fields.texts("members"),
    )


def _lists(reference: JsonObject | None) -> JsonObject | None:
    return reference and {key: list(value) if isinstance(value, tuple) else value for key, value in reference.items()}


EMPTY_SET = "empty"  # a cell without any word would mean that nothing was decided
DECISION_COLUMNS = ("prediction_set", "decision", "refer_reason", "in_training_set")


@dataclass(frozen=True, slots=True)
class ModelColumns:
    """What the table says of a network.

    Attributes:
        prefix: Of its columns.
        identity: Its name and digits.
        classes: In order.
        applied: What decides; None where nothing does.
    """

    prefix: str
    identity: str
    classes: tuple[str, ...]
    applied: DecisionRecord | None = None


def prediction_columns(head: ModelColumns) -> tuple[Column, ...]:
    """Return the columns of a network's answer."""
    names = [f"probability_{name}" for name in head.classes]
    numbers = (Column(f"{head.prefix}{name}", Kind.NUMBER) for name in (*names, "confidence", "margin"))
    words = (Column(f"{head.prefix}{name}") for name in DECISION_COLUMNS)
    return (Column(f"{head.prefix}prediction"), *numbers, *words)


def prediction_cells(head: ModelColumns, answer: Prediction | None) -> tuple[str, ...]:
    """Return the cells of an answer, in the order of its columns; empty ones where there is none."""
    if answer is None:
        return ("",) * len(prediction_columns(head))
    numbers = (*answer.probabilities, answer.confidence, answer.margin)
    return (answer.prediction, *(f"{value:.6f}" for value in numbers), *_decision_cells(answer))


def _decision_cells(answer: Prediction) -> tuple[str, str, str, str]:
    trained = "" if answer.in_training_set is None else "yes" if answer.in_training_set else "no"
    decision = answer.decision
    if decision is None:
        return "", "", "", trained
    return " ".join(decision.classes) or EMPTY_SET, decision.word, decision.reason or "", trained


@dataclass(frozen=True, slots=True)
class GateRecord:
    """What judges in a run.

    Attributes:
        sha256: Over the gate's files.
        limits: Of pictures, before any network.
        thresholds: A sign is seen where its score is at least this.
    """

    sha256: str
    limits: Limits
    thresholds: Mapping[Sign, float]

    def facts(self) -> JsonObject:
        """Return what the manifest says of it."""
        return {
            "sha256": self.sha256,
            "limits": limits_form(self.limits),
            "thresholds": {sign.value: self.thresholds[sign] for sign in Sign},
        }


def gate_record(gate: Gate | None) -> GateRecord | None:
    """Return what judges where the first network has that gate; None without one."""
    return GateRecord(gate.sha256, gate.limits, gate.thresholds) if gate else None


def parse_gate_record(form: JsonObject | None, where: str) -> GateRecord | None:
    """Read back `facts` of a manifest; raises ModelError where they are not that."""
    if form is None:
        return None
    gate = Fields({"gate": form}, where).inner("gate")
    return GateRecord(gate.text("sha256", "[0-9a-f]{64}"), read_limits(gate.inner("limits")), read_thresholds(gate))


def gate_facts_of(folder: Path, description: JsonObject) -> JsonObject | None:
    """Return what a manifest must say of the gate in the folder of a model; None without one.

    Raises:
        ModelError: A file of the gate is absent.
        OSError: As `read_json`.
        ValueError: As `read_json`.
    """
    if description.get("gate") is None:
        return None
    form = read_json(folder / GATE_FILE)
    return {"sha256": gate_fingerprint(folder), "limits": form.get("limits"), "thresholds": form.get("thresholds")}


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

    heads: tuple[ModelColumns, ...]
    keywords: tuple[str, ...] = ()
    gate: GateRecord | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns in order."""
        first, *others = self.heads
        integer = Kind.INTEGER
        return (
            *(Column("path"), Column("status"), Column("reason")),
            *prediction_columns(first),
            Column("flags"),
            *(Column("format"), Column("width", integer), Column("height", integer)),
            *(Column("photometric"), Column("bit_depth", integer), Column("brightness", Kind.NUMBER)),
            *(Column("steps"), Column("detail")),
            *(Column("sha256"), Column("model")),
            *(Column(f"dicom_{keyword}") for keyword in self.keywords),
            *(column for head in others for column in (*prediction_columns(head), Column(f"{head.prefix}model"))),
            *((Column("agreement"),) if others else ()),
        )

    def cells(self, row: Row) -> list[str]:
        """Return the text of each cell of `row`, in the order of `columns`."""
        facts = row.facts
        answers = row.answers or (None,) * len(self.heads)
        first, *others = zip(self.heads, answers, strict=True)
        return [
            *(row.path, row.status.value, row.reason.value if row.reason else ""),
            *prediction_cells(*first),
            " ".join(row.flags),
            row.format,
            *((str(facts.width), str(facts.height), facts.mode, str(facts.bit_depth)) if facts else ("",) * 4),
            "" if row.brightness is None else f"{row.brightness:.6f}",
            *(" ".join(facts.steps) if facts else "", escape(row.detail)),
            *(row.sha256, self.heads[0].identity),
            *(escape(value) for value in row.attributes or ("",) * len(self.keywords)),
            *(cell for head, answer in others for cell in (*prediction_cells(head, answer), head.identity)),
            *((_agreement_cell(answers),) if others else ()),
        ]


def schema_of(
    models: Sequence[tuple[str, str, tuple[str, ...]]],
    keywords: Sequence[str] = (),
    applied: Sequence[DecisionRecord | None] = (),
    gate: GateRecord | None = None,
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
        ModelColumns(f"{prefix}_" if number else "", identity, classes, decides)
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


def _agreement_cell(answers: Sequence[Prediction | None]) -> str:
    predictions = [answer.prediction for answer in answers if answer is not None]
    return agreement(predictions) if len(predictions) == len(answers) else ""
