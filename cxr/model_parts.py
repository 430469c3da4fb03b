"""What a model folder holds beside its network: decisions and gate, each checked against the folder's description."""

import shutil
from pathlib import Path

from cxr.decisions import DECISIONS_FILE, Decisions, read_decisions
from cxr.errors import ModelError
from cxr.files import JsonObject, sha256_of
from cxr.gate import GATE_FILES, Gate, gate_fingerprint, load_gate

ONE_RUN = "take the whole folder from one run"


def load_decisions(folder: Path, description: JsonObject) -> Decisions | None:
    """Read the decisions that the description in `folder` names; None where it names none.

    Raises:
        ModelError: They are absent, are others than the description names, or were fitted for another network.
    """
    path, named = folder / DECISIONS_FILE, description.get("decisions")
    if named is None:
        _refuse_unnamed([path])
        return None
    decisions = read_decisions(path)
    found, expected = sha256_of(path), named["sha256"]
    if found != expected:
        raise ModelError(
            f"{path} has SHA-256 {found[:12]}..., the description beside it names {expected[:12]}...; {ONE_RUN}"
        )
    if (decisions.network, list(decisions.classes)) != (description["network"]["sha256"], description["classes"]):
        raise ModelError(
            f"{path} was fitted for the network {decisions.network[:12]}... with the classes "
            f"{', '.join(decisions.classes)}, which is not the one in {folder}; {ONE_RUN}"
        )
    return decisions


def load_model_gate(folder: Path, description: JsonObject, threads: int = 0, pinned: bool = True) -> Gate | None:
    """Load the gate that the description in `folder` names; None where it names none.

    Raises:
        ModelError: Its files are absent, are others than the description names, are there without being named, or
            take other planes than the network.
    """
    named = description.get("gate")
    if named is None:
        _refuse_unnamed([folder / name for name in GATE_FILES])
        return None
    gate = load_gate(folder, threads, pinned)
    if gate.sha256 != named["sha256"]:
        raise ModelError(
            f"{folder} holds a gate with SHA-256 {gate.sha256[:12]}..., its description names "
            f"{named['sha256'][:12]}...; {ONE_RUN}"
        )
    if gate.plane_side != description["image_side"]:
        raise ModelError(
            f"the gate in {folder} takes planes of {gate.plane_side} pixels, its network takes "
            f"{description['image_side']}; {ONE_RUN}"
        )
    return gate


def copy_gate(source: Path, folder: Path) -> JsonObject:
    """Copy the gate in `source` into a model folder and return the key of the description that names it."""
    for name in GATE_FILES:
        shutil.copyfile(source / name, folder / name)
    return {"gate": {"sha256": gate_fingerprint(folder)}}


def _refuse_unnamed(paths: list[Path]) -> None:
    there = [path for path in paths if path.exists()]
    if there:
        raise ModelError(f"{there[0]} is there, but the description beside it does not name it; {ONE_RUN}")
