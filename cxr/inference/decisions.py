"""What was fitted on validation, and how it is applied: calibrated probabilities, prediction sets, decisions."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import ModelError
from cxr.core.files import read_json, reason_of
from cxr.inference.network import ONE_RUN, softmax


@dataclass(frozen=True, slots=True)
class Fields:
    """An object with the words that name it in a message, such as `models/screening/decisions.json: conformal`.

    Every method raises ModelError where the member is absent or is not what the method asks for.
    """

    form: Mapping[str, object]
    where: str

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float:
        """Return a finite number from `low` to `high`."""
        value = self._get(key)
        if not _is_number(value) or not low <= value <= high:
            raise self.wrong(key, f"expected a number from {low:g} to {high:g}")
        return float(value)

    def numbers(self, key: str, count: int) -> tuple[float, ...]:
        """Return `count` finite numbers, none smaller than the one before."""
        values = self._get(key)
        if not isinstance(values, list) or len(values) != count or not all(map(_is_number, values)):
            raise self.wrong(key, f"expected {count} numbers")
        if sorted(values) != values:
            raise self.wrong(key, "expected numbers in ascending order")
        return tuple(map(float, values))

    def count(self, key: str, least: int = 0) -> int:
        """Return a whole number of at least `least`."""
        value = self._get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.wrong(key, f"expected a whole number of at least {least}")
        return value

    def text(self, key: str, pattern: str = ".+") -> str:
        """Return a text that `pattern` matches wholly."""
        value = self._get(key)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self.wrong(key, f"expected a text of the form {pattern}")
        return value

    def texts(self, key: str, pattern: str = ".+") -> tuple[str, ...]:
        """Return different texts that `pattern` matches wholly."""
        values = self._get(key)
        fits = re.compile(pattern).fullmatch
        if not isinstance(values, list) or not all(isinstance(value, str) and fits(value) for value in values):
            raise self.wrong(key, f"expected texts of the form {pattern}")
        if len(set(values)) != len(values):
            raise self.wrong(key, "expected each text once")
        return tuple(values)

    def inner(self, key: str, names: Sequence[str] = ()) -> "Fields":
        """Return an object; with `names`, one whose members have exactly these names, in any order."""
        value = self._get(key)
        if not isinstance(value, dict):
            raise self.wrong(key, "expected an object")
        if names and set(value) != set(names):
            raise self.wrong(key, f"expected the members {', '.join(names)}")
        return Fields(value, f"{self.where}: {key}")

    def wrong(self, key: str, expected: str) -> ModelError:
        """Return the error of a member that is not what was expected."""
        return ModelError(f"{self.where}: {key} is {_short(self.form.get(key))}; {expected}. Run: dvc repro evaluate")

    def _get(self, key: str) -> Any:
        if key not in self.form:
            raise ModelError(f"{self.where} lacks {key}; run: dvc repro evaluate")
        return self.form[key]


def read_fields(path: Path, key: str, version: int, what: str) -> Fields:
    """Read the description of a network that stands beside the one that answers, as `train_<key>` writes it.

    Args:
        path: Of the file.
        key: Whose value is the version of its form.
        version: That this program reads.
        what: It describes, such as `a gate`.

    Raises:
        ModelError: It is absent, or of another form.
    """
    remedy = f"{ONE_RUN}, or run: dvc repro release/dvc.yaml:train_{key}"
    try:
        form = read_json(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({reason_of(error)}); {remedy}") from error
    if not isinstance(form, dict) or form.get(key) != version:
        raise ModelError(f"{path} does not describe {what} of form {version}; {remedy}")
    return Fields(form, str(path))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


RATES = ("sensitivity", "specificity")
LARGEST = 1e12  # of a temperature or threshold; softer than any network is wrong


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold and what it was chosen for.

    Attributes:
        threshold: The target class is suspected from this calibrated probability on.
        aim: What it was chosen for, in words.
        sensitivity: On the answers that it was chosen on, 0 to 1; None where nobody says.
        specificity: The same.
    """

    threshold: float
    aim: str
    sensitivity: float | None = None
    specificity: float | None = None


def parse_points(fields: Fields) -> dict[str, OperatingPoint]:
    """Read `operating_points` by name. Raises ModelError where they are not that."""
    points = fields.inner("operating_points")
    return {name: _point(points.inner(name)) for name in points.form}


def parse_default(fields: Fields, points: Mapping[str, OperatingPoint]) -> str:
    """Read `default_operating_point`, one of `points`. Raises ModelError where it is none of them."""
    name = fields.text("default_operating_point")
    if name not in points:
        raise fields.wrong("default_operating_point", f"expected one of {', '.join(points) or 'operating_points'}")
    return name


def _point(point: Fields) -> OperatingPoint:
    rates = [point.number(key, 0, 1) if point.form.get(key) is not None else None for key in RATES]
    return OperatingPoint(point.number("threshold", 0, LARGEST), point.text("aim"), *rates)


QUANTILES = 101


@dataclass(frozen=True, slots=True)
class Reference:
    """Figures of the validation images.

    Attributes:
        images: How many.
        predictions: For each class, how many are predicted to be of it.
        confidence: The 0th, 1st, ... 100th percentile of the largest calibrated probability.
        brightness: Likewise of the mean of the planes, 0 black, 1 white.
        side: Likewise of the longer side of the files, in pixels.
        target: Likewise of the calibrated probability of the target among its own images; None where a model of an
            earlier version does not say it.
    """

    images: int
    predictions: Mapping[str, int]
    confidence: tuple[float, ...]
    brightness: tuple[float, ...]
    side: tuple[float, ...]
    target: tuple[float, ...] | None = field(default=None, metadata={"absent": True})


def parse_reference(fields: Fields, classes: tuple[str, ...]) -> Reference | None:
    """Check the member `reference` of decisions.json, which may be null. Raises ModelError."""
    if fields.form.get("reference") is None:
        return None
    form = fields.inner("reference")
    images, predictions = form.count("images", 1), form.inner("predictions", classes)
    counts = {name: predictions.count(name) for name in classes}
    if sum(counts.values()) != images:
        raise form.wrong("predictions", f"expected counts with the sum {images}")
    confidence, brightness, side = (form.numbers(name, QUANTILES) for name in ("confidence", "brightness", "side"))
    target = form.numbers("target", QUANTILES) if "target" in form.form else None
    return Reference(images, counts, confidence, brightness, side, target)


Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DECISIONS_FILE = "decisions.json"
DECISIONS_FORM = 1
PIXEL_DIGITS = 16  # of 64: among a million pictures, two share these with a probability of 3e-8
REFER, NOT_SUSPECTED = "refer", "not_suspected"


class ReferReason(StrEnum):
    """Why a picture is for a person to decide: the words of the column `refer_reason`; the first that holds is said."""

    # Each has the word of the flag that it follows from.
    OUT_OF_DISTRIBUTION = "out_of_distribution"
    LATERAL = "lateral"
    ROTATED_90 = "rotated_90"
    ROTATED_180 = "rotated_180"
    INVERTED = "inverted"
    # Of the answer.
    EMPTY_SET = "empty_set"
    SEVERAL_CLASSES = "several_classes"
    DISAGREEMENT = "disagreement"
    CONTRADICTION = "contradiction"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided about one picture.

    Attributes:
        classes: The prediction set, in the order of the network's outputs.
        word: `<target>_suspected`, `not_suspected` or `refer`.
        reason: Why `refer`; None otherwise.
    """

    classes: tuple[str, ...]
    word: str
    reason: ReferReason | None = None


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """What decides in a run, as its manifest keeps it.

    Attributes:
        operating_point: Name of the one in force.
        target: Its class.
        threshold: Calibrated probability of the target from which on it is suspected.
        temperature: Logits were divided by it.
        alpha: Of the prediction sets.
        minimum: For each class, its smallest calibrated probability in a prediction set.
        sha256: Of decisions.json.
        offset: For each class, what was added to its logit after the temperature; None where nothing was.
    """

    operating_point: str
    target: str
    threshold: float
    temperature: float
    alpha: float
    minimum: Mapping[str, float]
    sha256: str
    offset: Mapping[str, float] | None = field(default=None, metadata={"absent": True})

    @property
    def words(self) -> tuple[str, str, str]:
        """The words that the column `decision` may hold."""
        return decision_words(self.target)

    @property
    def too_few_images(self) -> str:
        """The sentence of `too_few_for_sets`; empty where every class can be left out of a set."""
        return too_few_for_sets(self.alpha, [name for name, least in self.minimum.items() if least == 0])


@dataclass(frozen=True, slots=True)
class Decisions:
    """What decisions.json says.

    Attributes:
        network: SHA-256 of the network that it was fitted for.
        classes: In the order of the logits.
        temperature: Logits are divided by it (Guo 2017); above 0.
        target: Class of the operating points.
        points: By name.
        default_point: Name of the one that is used where none is asked for.
        alpha: Share of images whose class the prediction set may lack, for each class (Vovk 2012).
        minimum: float64 (classes,), smallest calibrated probability of a class in the set.
        reference: The validation images; None where nothing is to be compared.
        training_pixels: First 16 digits of `cxr.core.image.pixels_digest` of each training image's plane.
        offset: float64 (classes,), added to the logits after the temperature; 0 but in a model adapted to a site.
    """

    network: str
    classes: tuple[str, ...]
    temperature: float
    target: str
    points: Mapping[str, OperatingPoint]
    default_point: str
    alpha: float
    minimum: Floats
    reference: Reference | None
    training_pixels: frozenset[str]
    offset: Floats

    def probabilities(self, logits: NDArray[Any]) -> Floats:
        """Return calibrated probabilities, float64 (n, classes), of logits of that shape."""
        return softmax(np.asarray(logits, np.float64) / self.temperature + self.offset)

    def disagreeing(self, members: NDArray[Any] | None) -> Bools | None:
        """Tell where not all members have one most probable class: bool (n,), of logits (n, members, classes).

        None for a single network, which has no members.
        """
        return None if members is None else disagreeing(members + self.offset * self.temperature)

    def sets(self, probabilities: Floats) -> Bools:
        """Tell which classes are in the prediction sets: bool (n, classes)."""
        return np.asarray(probabilities >= self.minimum)

    def suspected(self, probabilities: Floats, point: str) -> Bools:
        """Tell where the target reaches the threshold of the operating point `point`: bool (n,)."""
        return np.asarray(probabilities[:, self.classes.index(self.target)] >= self.points[point].threshold)

    def record(self, point: str, sha256: str) -> DecisionRecord:
        """Return what a manifest keeps of them at the operating point `point`; `sha256` is that of their file."""
        return DecisionRecord(
            operating_point=point,
            target=self.target,
            threshold=self.points[point].threshold,
            temperature=self.temperature,
            alpha=self.alpha,
            minimum=dict(zip(self.classes, self.minimum.tolist(), strict=True)),
            sha256=sha256,
            offset=dict(zip(self.classes, self.offset.tolist(), strict=True)) if self.offset.any() else None,
        )

    def decide(
        self,
        probabilities: Floats,
        point: str,
        *,
        flags: Sequence[Collection[str]] | None = None,
        disagreeing: Bools | None = None,
    ) -> list[Decision]:
        """Decide about n pictures by their calibrated probabilities, float64 (n, classes), not rounded.

        `flags` are n sets of words of `cxr.inference.gate.Flag`, and bool (n,) `disagreeing` marks the pictures about
        which the members of an ensemble differ; None: of none.
        """
        flags = [()] * len(probabilities) if flags is None else flags
        apart = np.zeros(len(probabilities), np.bool_) if disagreeing is None else disagreeing
        predictions = (self.classes[number] for number in probabilities.argmax(axis=1))
        suspected = self.suspected(probabilities, point)
        rows = zip(self.sets(probabilities), predictions, suspected, flags, apart, strict=True)
        return [self._decision(*row) for row in rows]

    def _decision(
        self, kept: Bools, prediction: str, suspected: bool, flags: Collection[str], disagreeing: bool
    ) -> Decision:
        classes = tuple(name for name, is_kept in zip(self.classes, kept, strict=True) if is_kept)
        return decision_on(
            classes, self.target, prediction=prediction, suspected=suspected, flags=flags, disagreeing=disagreeing
        )


def decision_on(
    classes: tuple[str, ...],
    target: str,
    *,
    prediction: str,
    suspected: bool,
    flags: Collection[str] = (),
    disagreeing: bool = False,
) -> Decision:
    """Decide about one picture; of several reasons to refer, the first in the order of `ReferReason` is given.

    Args:
        classes: The prediction set.
        target: Class of the operating point.
        prediction: Class of the largest probability.
        suspected: Whether the target reaches the threshold.
        flags: What is known of the picture, words of `cxr.inference.gate.Flag`.
        disagreeing: Whether the members of an ensemble differ.
    """
    holds = {
        ReferReason.EMPTY_SET: not classes,
        ReferReason.SEVERAL_CLASSES: len(classes) > 1,
        ReferReason.DISAGREEMENT: disagreeing,
        ReferReason.CONTRADICTION: (prediction == target) != suspected,
    }
    reason = next((reason for reason in ReferReason if holds.get(reason, reason in flags)), None)
    if reason is not None:
        return Decision(classes, REFER, reason)
    return Decision(classes, decision_words(target)[0] if suspected else NOT_SUSPECTED)


def disagreeing(members: NDArray[Any]) -> Bools:
    """Tell where not all members have one class of largest logit: bool (n,), of logits (n, members, classes)."""
    answers = members.argmax(axis=2)
    return np.asarray((answers != answers[:, :1]).any(axis=1))


def decision_words(target: str) -> tuple[str, str, str]:
    """Return the closed vocabulary of the column `decision`, for operating points of the class `target`."""
    return f"{target}_suspected", NOT_SUSPECTED, REFER


_HAIR = 1e-9  # 0.29 * 100 is a hair below 29


def rank_of_limit(alpha: float, images: int) -> int:
    """Return which of the ascending probabilities of `images` validation images limits a prediction set; 0: none."""
    return math.floor(alpha * (images + 1) + _HAIR)


def images_that_sets_need(alpha: float) -> int:
    """Return from how many validation images of a class on a prediction set can leave the class out."""
    return math.ceil((1 - _HAIR) / alpha) - 1


def alpha_that_suits(images: int) -> float:
    """Return the smallest alpha, rounded up to three digits, for which `images` of a class are enough."""
    return math.ceil(1000 / (images + 1) - _HAIR) / 1000


def too_few_for_sets(alpha: float, held: Sequence[str], images: Mapping[str, int] | None = None) -> str:
    """Say that prediction sets always hold some classes, what follows, and what helps.

    Args:
        alpha: Share of a class that its sets may lack.
        held: Classes that no set leaves out, because too few validation images are of them.
        images: Validation images by class, where they are known.

    Returns:
        The sentences; empty where nothing is in `held`.
    """
    if not held:
        return ""
    named = " and ".join(filter(None, (", ".join(held[:-1]), held[-1])))
    referred = "every image" if len(held) > 1 else "every image that may be of another class"
    return (
        f"Validation is too small for evaluate.alpha {alpha:g}: every prediction set holds {named}, so {referred} "
        f"is referred. It takes {images_that_sets_need(alpha):,} validation images of each class"
        f"{_suiting(held, images or {})}. "
        "Import more images, or raise evaluate.alpha in params.yaml, then run 'dvc repro' again"
    )


LARGEST_ALPHA = 0.5  # from here on params.yaml takes none


def _suiting(held: Sequence[str], images: Mapping[str, int]) -> str:
    """Say how many there are, and from which alpha on they suffice; nothing where they are not known."""
    if not images:
        return ""
    counts = ", ".join(f"{images[name]:,} of {name}" for name in held)
    alpha = alpha_that_suits(min(images[name] for name in held))
    suits = f"; these suffice from evaluate.alpha {alpha:g} on" if alpha < LARGEST_ALPHA else ""
    return f", and there are {counts}{suits}"


def read_decisions(path: Path) -> Decisions:
    """Read decisions.json. Raises ModelError where the file is absent or is not one of this version."""
    try:
        form = read_json(path)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read ({reason_of(error)}); take the whole model folder from one run"
        ) from error
    return parse_decisions(form, str(path))


def _offset(fields: Fields, classes: tuple[str, ...]) -> Floats:
    """Read the member `offset`, which only a model adapted to a site has."""
    if "offset" not in fields.form:
        return np.zeros(len(classes))
    offset = fields.inner("offset", classes)
    return np.array([offset.number(name, -LARGEST, LARGEST) for name in classes])


def parse_decisions(form: Mapping[str, object], where: str = DECISIONS_FILE) -> Decisions:
    """Check the content of decisions.json, which messages call `where`. Raises ModelError."""
    if not isinstance(form, dict) or form.get("decisions") != DECISIONS_FORM:
        raise ModelError(f"{where} is not a decisions file of version {DECISIONS_FORM}; run: dvc repro evaluate")
    fields = Fields(form, where)
    classes = fields.texts("classes", r"\w+")
    points = parse_points(fields)
    conformal = fields.inner("conformal")
    minimum = conformal.inner("minimum", classes)
    decisions = Decisions(
        network=fields.text("network", "[0-9a-f]{64}"),
        classes=classes,
        temperature=fields.number("temperature", 1 / LARGEST, LARGEST),
        target=fields.text("target"),
        points=points,
        default_point=parse_default(fields, points),
        alpha=conformal.number("alpha", 1 / LARGEST, 1),
        minimum=np.array([minimum.number(name, 0, 1) for name in classes]),
        reference=parse_reference(fields, classes),
        training_pixels=frozenset(fields.texts("training_pixels", f"[0-9a-f]{{{PIXEL_DIGITS}}}")),
        offset=_offset(fields, classes),
    )
    if decisions.target not in classes:
        raise fields.wrong("target", f"expected one of {', '.join(classes)}")
    return decisions
