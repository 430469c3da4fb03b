"""What stands before the networks: says of a picture whether it is an upright frontal chest radiograph like the known.

`judge` applies it: its limits, its network and what each sign means, in one order for whoever asks.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import ModelError, Reason
from cxr.core.image import ImageFacts, Plane
from cxr.core.process import limit_error
from cxr.inference.decisions import Fields, read_fields
from cxr.inference.network import ONE_RUN, Failure, Floats, Name, Network, files_digest, predict_with_fallback

Texts = NDArray[np.str_]


class Flag(StrEnum):
    """What a reader should know before trusting an answer: the closed vocabulary of the column `flags`."""

    SMALL = "small"
    ELONGATED = "elongated"
    FLAT = "flat"
    SYNTHETIC = "synthetic"
    LATERAL = "lateral"
    OVEREXPOSED = "overexposed"
    UNDEREXPOSED = "underexposed"
    INVERTED = "inverted"
    ROTATED_90 = "rotated_90"
    ROTATED_180 = "rotated_180"
    CROPPED = "cropped"
    OUT_OF_DISTRIBUTION = "out_of_distribution"


# Only a gate gives these: the first two its limits, the others its network.
EXPOSURE_FLAGS = frozenset({Flag.OVEREXPOSED, Flag.UNDEREXPOSED})
SIGN_FLAGS = frozenset({Flag.INVERTED, Flag.ROTATED_90, Flag.ROTATED_180, Flag.CROPPED, Flag.OUT_OF_DISTRIBUTION})
# A picture that its gate keeps from the networks.
GATE_REASONS = frozenset(
    {Reason.TOO_SMALL, Reason.EXTREME_ASPECT, Reason.BLANK, Reason.COLOUR_PHOTO, Reason.NOT_A_RADIOGRAPH}
)

REASONS = tuple(reason for reason in Reason if reason in GATE_REASONS)
FLAGS = tuple(flag for flag in Flag if flag in EXPOSURE_FLAGS | SIGN_FLAGS)


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate says of n images.

    Attributes:
        reasons: str (n,), one of REASONS where no network answers; empty where they do.
        flags: bool (n, FLAGS), what it saw.
    """

    reasons: Texts
    flags: NDArray[np.bool_]

    @property
    def rejected(self) -> NDArray[np.bool_]:
        """Where no network answers, bool (n,)."""
        return np.asarray(self.reasons != "")

    @property
    def raised(self) -> list[tuple[Flag, ...]]:
        """The flags of each image."""
        return [tuple(flag for flag, is_raised in zip(FLAGS, row, strict=True) if is_raised) for row in self.flags]

    @classmethod
    def of(cls, verdicts: Sequence["Verdict"]) -> Self:
        """Put together what `judge` says of at least one image."""
        flags = [[flag in verdict.flags for flag in FLAGS] for verdict in verdicts]
        return cls(np.array([str(verdict.reason or "") for verdict in verdicts]), np.array(flags, np.bool_))

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Self:
        """Return the images that `chosen`, bool (n,), marks, or of the numbers that it holds, in their order."""
        return replace(self, reasons=self.reasons[chosen], flags=self.flags[chosen])


def unjudged(images: int) -> Judged:
    """Return that there is no gate: nothing is rejected, nothing is marked."""
    return Judged(np.full(images, "", "<U1"), np.zeros((images, len(FLAGS)), np.bool_))


GATE_FILE, GATE_NETWORK_FILE, GATE_WEIGHTS_FILE = "gate.json", "gate.xml", "gate.bin"
GATE_FILES = (GATE_FILE, GATE_NETWORK_FILE, GATE_WEIGHTS_FILE)
GATE_FORM = 1


class Sign(StrEnum):
    """What the gate can see in a plane, in the order of its scores."""

    NOT_A_RADIOGRAPH = "not_a_radiograph"
    INVERTED = "inverted"
    ROTATED_90 = "rotated_90"
    ROTATED_180 = "rotated_180"
    CROPPED = "cropped"
    OUT_OF_DISTRIBUTION = "out_of_distribution"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a picture must keep before any network sees it.

    Attributes:
        min_side: Of the shorter side, in pixels.
        max_aspect: Longest longer side, as a multiple of the shorter.
        max_colour: Of `ImageFacts.colour`, 0 to 1.
        min_spread: Standard deviation of the plane, share of full range.
        dark: Mean of the plane, share of full range, below which it is underexposed.
        bright: The same, above which it is overexposed.
        max_clipped: Largest share of the plane's pixels that are white, 254 or 255; above, it is overexposed.
    """

    min_side: int
    max_aspect: float
    max_colour: float
    min_spread: float
    dark: float
    bright: float
    max_clipped: float


def gate_fingerprint(folder: Path) -> str:
    """Return the SHA-256 over the digests of GATE_FILES in `folder`. Raises ModelError where one is absent."""
    return files_digest(folder, GATE_FILES, "whole gate")


def network_fingerprint(folder: Path) -> str:
    """Return the SHA-256 over the digests of graph and weights. Raises ModelError where one is absent."""
    return files_digest(folder, (GATE_NETWORK_FILE, GATE_WEIGHTS_FILE), "whole gate")


def read_limits(form: Fields) -> Limits:
    """Read what `limits_form` wrote; raises ModelError where it is not that."""
    names = [field.name for field in fields(Limits)]
    return Limits(form.count("min_side"), *(form.number(name, low=0) for name in names[1:]))


def read_thresholds(form: Fields) -> dict[Sign, float]:
    """Read the member `thresholds`: a number for each of `Sign`; raises ModelError where it is not that."""
    found = form.inner("thresholds", [sign.value for sign in Sign])
    return {sign: found.number(sign.value) for sign in Sign}


def limits_form(limits: Limits) -> dict[str, float]:
    """Return limits as they stand in JSON."""
    return asdict(limits)


def read_form(folder: Path) -> Fields:
    """Read gate.json in `folder`; raises ModelError where it is absent or of another form."""
    return read_fields(folder / GATE_FILE, "gate", GATE_FORM, "a gate")


@dataclass(frozen=True, slots=True)
class GateRecord:
    """What judges in a run, as its manifest keeps it.

    Attributes:
        sha256: Over the gate's files.
        limits: Of pictures, before any network.
        thresholds: A sign is seen where its score is at least this.
    """

    sha256: str
    limits: Limits
    thresholds: Mapping[Sign, float]

    def __post_init__(self) -> None:
        """Refuse what no gate is: a manifest may have been changed. Raises ValueError."""
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(f"sha256 is {self.sha256!r}; expected 64 digits")
        if set(self.thresholds) != set(Sign):
            raise ValueError(f"thresholds are of {', '.join(self.thresholds)}; expected one for each sign")


def read_gate_record(folder: Path) -> GateRecord:
    """Return what a manifest keeps of the gate in `folder`. Raises ModelError where a file of it is absent or wrong."""
    form = read_form(folder)
    return GateRecord(gate_fingerprint(folder), read_limits(form.inner("limits")), read_thresholds(form))


SCORES = "scores"  # output of the network


class Gate:
    """A compiled gate with its limits and thresholds; an answer depends on its plane alone."""

    def __init__(
        self, network: "GateNetwork", limits: Limits, thresholds: Mapping[Sign, float], side: int, sha256: str
    ):
        """Join what `load_gate` read.

        Args:
            network: Compiled.
            limits: Of the picture, before the network.
            thresholds: A sign is seen where its score is at least this.
            side: Of the planes that it takes, in pixels.
            sha256: Over its three files, see `gate_fingerprint`.
        """
        self.limits, self.thresholds, self.plane_side, self.sha256 = limits, dict(thresholds), side, sha256
        self._network = network

    def scores(self, planes: Plane) -> NDArray[np.float64]:
        """Return (n, len(Sign)) in the order of `Sign`, for uint8 planes of shape (n, side, side).

        Of the first five signs a probability; of the last a distance from the known radiographs, which has no upper
        end and is about one for the farthest of them.
        """
        return self._network.scores(planes).astype(np.float64)


class GateNetwork(Network):
    """The gate's network: one output, the scores."""

    def scores(self, planes: Plane) -> Floats:
        """Return float32 (n, len(Sign)) for uint8 (n, side, side)."""
        if not len(planes):
            return np.zeros((0, len(Sign)), np.float32)
        return self._run(planes, SCORES)[0]


def load_gate(folder: Path, threads: int = 0, pinned: bool = True) -> Gate:
    """Load the gate in `folder`: of a model, or as `train_gate` wrote it.

    Args:
        folder: With GATE_FILES.
        threads: As `pinned`, of `cxr.inference.network.Network`.
        pinned: Whether threads stay on their cores.

    Raises:
        ModelError: A file is absent, is not what it should be, or is of another training than the others.
    """
    form = read_form(folder)
    network = form.inner("network").text("sha256", "[0-9a-f]{64}")
    if network != network_fingerprint(folder):
        raise ModelError(f"{form.where} describes another network than the {GATE_NETWORK_FILE} beside it; {ONE_RUN}")
    limits, thresholds, side = read_limits(form.inner("limits")), read_thresholds(form), form.count("image_side", 1)
    compiled = GateNetwork(folder / GATE_NETWORK_FILE, threads, pinned)
    _require_scores(compiled, folder, side)
    return Gate(compiled, limits, thresholds, side, gate_fingerprint(folder))


def _require_scores(network: GateNetwork, folder: Path, side: int) -> None:
    try:
        shape = network.scores(np.zeros((1, side, side), np.uint8)).shape
    except (RuntimeError, MemoryError) as error:
        other = ModelError(f"the network of the gate in {folder} does not take planes of {side} pixels; {ONE_RUN}")
        raise limit_error(error, f"to load the gate in {folder}") or other from error
    if shape != (1, len(Sign)):
        raise ModelError(f"the network of the gate in {folder} gives {shape[1:]} scores, not {len(Sign)}; {ONE_RUN}")


ELONGATED = 2.0  # longer side over shorter: no chest film or detector is as long
CLIPPED = 254  # of 255: JPEG turns many a clipped 255 into 254


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one decoded picture before any network answers.

    Attributes:
        reason: Why no network shall answer; None where they shall.
        detail: The number and the limit behind `reason`, for people.
        flags: What to know before trusting an answer, in the order of `Flag`.
    """

    reason: Reason | None = None
    detail: str = ""
    flags: tuple[Flag, ...] = ()


def judge(pictures: Mapping[Name, tuple[ImageFacts, Plane]], gate: Gate | None) -> dict[Name, Verdict]:
    """Judge decoded pictures by name: limits first, then the gate's network for those that keep them, then flags.

    The order of these rules is written here and nowhere else: screening and `evaluate` both call this function.

    Args:
        pictures: What is known of each file, and its plane, uint8 (side, side) of the side that the gate takes.
        gate: Where its network fails on a picture, that one alone is lost. None: nothing is refused.

    Raises:
        ModelError: The gate's output has another shape than pictures x signs.
    """
    if gate is None:
        return {name: Verdict(flags=_flags(*picture, _flat(picture[1]))) for name, picture in pictures.items()}
    refused = {name: _refused(*picture, gate.limits) for name, picture in pictures.items()}
    left = {name: pictures[name][1] for name, refusal in refused.items() if refusal is None}
    scores = predict_with_fallback(left, partial(_scores, gate))
    return {
        name: _verdict(picture, refused[name] or _seen(scores[name], gate.thresholds), gate.limits)
        for name, picture in pictures.items()
    }


def _scores(gate: Gate, planes: Mapping[Name, Plane]) -> list[NDArray[np.float64]]:
    scores = gate.scores(np.stack(list(planes.values())))
    if scores.shape != (len(planes), len(Sign)):
        raise ModelError(
            f"the gate gave an array of shape {scores.shape} for {len(planes)} pictures and {len(Sign)} signs; take "
            f"the whole model folder from one run"
        )
    return list(scores)


def _seen(scores: NDArray[np.float64] | Failure, thresholds: Mapping[Sign, float]) -> frozenset[Flag] | Failure:
    """Return the signs that a gate's network sees, or why the picture is lost or refused."""
    if isinstance(scores, tuple):
        return scores[0], f"the gate failed: {scores[1]}"
    if not np.isfinite(scores).all():
        return Reason.NOT_FINITE, "the gate's output is not a number, or infinite"
    signs = {sign: float(score) for sign, score in zip(Sign, scores, strict=True) if score >= thresholds[sign]}
    if Sign.NOT_A_RADIOGRAPH in signs:
        return (
            Reason.NOT_A_RADIOGRAPH,
            f"the gate scores it {signs[Sign.NOT_A_RADIOGRAPH]:.3f} as no chest radiograph; rejected from "
            f"{thresholds[Sign.NOT_A_RADIOGRAPH]:g} on",
        )
    return frozenset(Flag(sign.value) for sign in signs)


_SCORED = re.compile(r"the gate scores it (\d\.\d{3}) as no chest radiograph")  # as `_seen` says it


def score_in(detail: str) -> str:
    """Return the score that the detail of a row rejected as no chest radiograph tells; empty of any other."""
    found = _SCORED.match(detail)
    return found[1] if found else ""


def _verdict(picture: tuple[ImageFacts, Plane], found: frozenset[Flag] | Failure, limits: Limits) -> Verdict:
    facts, plane = picture
    exposure = exposure_flags(float(plane.mean()) / 255, float((plane >= CLIPPED).mean()), limits)
    if isinstance(found, tuple):
        return Verdict(*found, _flags(facts, plane, exposure))
    return Verdict(flags=_flags(facts, plane, exposure | found))


def _flags(facts: ImageFacts, plane: Plane, seen: frozenset[Flag]) -> tuple[Flag, ...]:
    raised = {
        Flag.SMALL: min(facts.width, facts.height) < len(plane),
        Flag.ELONGATED: is_elongated(facts.width, facts.height),
        Flag.SYNTHETIC: facts.synthetic,
        Flag.LATERAL: facts.lateral,
    }
    return tuple(flag for flag in Flag if raised.get(flag) or flag in seen)


def _flat(plane: Plane) -> frozenset[Flag]:
    return frozenset({Flag.FLAT} if plane.min() == plane.max() else ())


def is_elongated(width: int, height: int) -> bool:
    """Tell whether sides of that many pixels raise the flag `elongated`."""
    shorter, longer = sorted((width, height))
    return longer > ELONGATED * shorter


def _refused(facts: ImageFacts, plane: Plane, limits: Limits) -> Failure | None:
    """Return the first limit that a picture breaks, with the number and the limit in words; None where it keeps all."""
    by_size = refused_by_size(facts.width, facts.height, limits)
    if by_size:
        return by_size
    spread = float(plane.std()) / 255
    if spread < limits.min_spread:
        return (
            Reason.BLANK,
            f"grey levels have a standard deviation of {spread:.4f} of full scale; expected at least "
            f"{limits.min_spread:g}",
        )
    if facts.colour > limits.max_colour:
        return (
            Reason.COLOUR_PHOTO,
            f"samples have a mean chroma of {facts.colour:.4f} of full scale; expected at most {limits.max_colour:g}",
        )
    return None


def refused_by_size(width: int, height: int, limits: Limits) -> Failure | None:
    """Return which limit sides of that many pixels break, with the number and the limit; None where they break none."""
    shorter, longer = sorted((width, height))
    if shorter < limits.min_side:
        return Reason.TOO_SMALL, f"the shorter side has {shorter} pixels; expected at least {limits.min_side}"
    if longer > limits.max_aspect * shorter:
        return (
            Reason.EXTREME_ASPECT,
            f"{width} x {height}: one side is {longer / shorter:.2f} times the other; expected at most "
            f"{limits.max_aspect:g}",
        )
    return None


def exposure_flags(brightness: float, clipped: float, limits: Limits) -> frozenset[Flag]:
    """Return the flags of a plane that is too bright, too dark, or white over too large a part.

    Args:
        brightness: Its mean, 0 black, 1 white.
        clipped: Share of its pixels from CLIPPED on.
        limits: Of the gate.
    """
    raised = {
        Flag.OVEREXPOSED: brightness > limits.bright or clipped > limits.max_clipped,
        Flag.UNDEREXPOSED: brightness < limits.dark,
    }
    return frozenset(flag for flag, is_raised in raised.items() if is_raised)
