"""What a gate does to the rows of a run: the part that the manifest keeps and `verify` checks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cxr.fields import Fields
from cxr.files import JsonObject, read_json
from cxr.gate import GATE_FILE, Limits, Sign, gate_fingerprint, limits_form, read_limits, read_thresholds
from cxr.screening.gating import Judge


@dataclass(frozen=True, slots=True)
class Gated:
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


def gated_by(gate: Judge | None) -> Gated | None:
    """Return what judges where the first network has that gate; None without one."""
    return Gated(gate.sha256, gate.limits, gate.thresholds) if gate else None


def parse_gated(form: JsonObject | None, where: str) -> Gated | None:
    """Read back `facts` of a manifest; raises ModelError where they are not that."""
    if form is None:
        return None
    gate = Fields({"gate": form}, where).inner("gate")
    return Gated(gate.text("sha256", "[0-9a-f]{64}"), read_limits(gate.inner("limits")), read_thresholds(gate))


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
