"""What a network's decisions.json does to the rows of a run: the part that the manifest keeps and `verify` checks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from cxr.decisions import Decisions, decision_words
from cxr.fields import Fields
from cxr.files import JsonObject
from cxr.reference import Reference, parse_reference


class Deciding(Protocol):
    """A model with what decides; `cxr.model_folder.ScreeningModel` in production."""

    @property
    def decisions(self) -> Decisions | None:
        """None where nothing was fitted for the network."""

    @property
    def operating_point(self) -> str:
        """Name of the one in force; empty without decisions."""

    @property
    def description(self) -> JsonObject:
        """The content of model.json."""


@dataclass(frozen=True, slots=True)
class Applied:
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


def applied_of(model: Deciding) -> Applied | None:
    """Return what decides about a model's pictures; None without decisions."""
    if model.decisions is None:
        return None
    return applied_at(model.decisions, model.operating_point, members_of(model.description))


def members_of(description: JsonObject) -> tuple[str, ...]:
    """Return the names of an ensemble's members by its model.json; none for a single network."""
    return tuple(description.get("members") or ())


def applied_at(decisions: Decisions, point: str, members: tuple[str, ...] = ()) -> Applied | None:
    """Return what decides at the operating point `point`; None where there is none of that name."""
    if point not in decisions.points:
        return None
    return Applied(
        point=point,
        target=decisions.target,
        threshold=decisions.points[point].threshold,
        temperature=decisions.temperature,
        alpha=decisions.alpha,
        minimum=tuple(decisions.minimum.tolist()),
        reference=decisions.reference,
        members=members,
    )


def parse_applied(model: JsonObject, reference: JsonObject | None, where: str) -> Applied | None:
    """Read back `facts` and `reference_facts` of a manifest's network; raises ModelError where they are not that."""
    fields = Fields(model, where)
    if model.get("decisions") is None:
        return None
    form, classes = fields.inner("decisions"), fields.texts("classes")
    minimum = form.inner("minimum", classes)
    return Applied(
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
