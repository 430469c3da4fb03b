"""What the files of a gate say: its signs, its limits, its thresholds, its fingerprint."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path

from cxr.errors import ModelError
from cxr.fields import Fields
from cxr.files import JsonObject, read_json, sha256_of

GATE_FILE, GATE_NETWORK_FILE, GATE_WEIGHTS_FILE = "gate.json", "gate.xml", "gate.bin"
GATE_FILES = (GATE_FILE, GATE_NETWORK_FILE, GATE_WEIGHTS_FILE)
GATE_FORM = 1
ONE_RUN = "take the whole folder from one run"


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
    return _digest(folder, GATE_FILES)


def network_fingerprint(folder: Path) -> str:
    """Return the SHA-256 over the digests of graph and weights. Raises ModelError where one is absent."""
    return _digest(folder, (GATE_NETWORK_FILE, GATE_WEIGHTS_FILE))


def read_limits(form: Fields) -> Limits:
    """Read what `limits_form` wrote; raises ModelError where it is not that."""
    names = [field.name for field in fields(Limits)]
    return Limits(form.count("min_side"), *(form.number(name, low=0) for name in names[1:]))


def read_thresholds(form: Fields) -> dict[Sign, float]:
    """Read the member `thresholds`: a number for each of `Sign`; raises ModelError where it is not that."""
    found = form.inner("thresholds", [sign.value for sign in Sign])
    return {sign: found.number(sign.value) for sign in Sign}


def limits_form(limits: Limits) -> JsonObject:
    """Return limits as they stand in JSON."""
    return asdict(limits)


def read_form(folder: Path) -> Fields:
    """Read gate.json in `folder`; raises ModelError where it is absent or of another form."""
    path = folder / GATE_FILE
    try:
        form = read_json(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); {ONE_RUN}, or run: dvc repro train_gate") from error
    if not isinstance(form, dict) or form.get("gate") != GATE_FORM:
        raise ModelError(f"{path} does not describe a gate of form {GATE_FORM}; run: dvc repro train_gate")
    return Fields(form, str(path))


def _digest(folder: Path, names: Iterable[str]) -> str:
    try:
        digests = [sha256_of(folder / name) for name in names]
    except OSError as error:
        raise ModelError(f"{folder} has no whole gate ({error.strerror}: {error.filename}); {ONE_RUN}") from error
    return hashlib.sha256("".join(digests).encode()).hexdigest()
