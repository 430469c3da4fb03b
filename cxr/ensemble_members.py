"""The members of an ensemble: read and compared, and described as one network."""

from collections.abc import Sequence
from pathlib import Path

from cxr.errors import ModelError
from cxr.files import JsonObject
from cxr.model_folder import ENSEMBLE, ScreeningModel, load_model


def read_members(models: Path, names: Sequence[str]) -> list[ScreeningModel]:
    """Load the members from their folders in `models`.

    Raises:
        ModelError: A folder is absent or wrong, or they differ in classes, planes or data.
    """
    members = [load_model(models / name) for name in names]
    for what, said in (
        ("classes", [", ".join(one.classes) for one in members]),
        ("side of the planes", [str(one.plane_side) for one in members]),
        ("data", [str(one.description["data"]["sha256"])[:12] for one in members]),
    ):
        if len(set(said)) > 1:
            named = "; ".join(f"{name}: {value}" for name, value in zip(names, said, strict=True))
            raise ModelError(
                f"the members of the ensemble differ in {what} ({named}); train them on one split table: dvc repro"
            )
    return members


def describe(members: Sequence[ScreeningModel], stored: str) -> JsonObject:
    """Return what model.json says: sums of cost, and by member what only a member has."""
    described = {str(one.description["name"]): one.description for one in members}
    first, every = members[0].description, list(described.values())
    started = {one["initialisation"] for one in every}
    params = {key: value for one in every for key, value in one["params"].items()}
    return {
        "name": ENSEMBLE,
        "members": list(described),
        **{key: first[key] for key in ("classes", "image_side")},
        "side": max(one["side"] for one in every),
        "initialisation": started.pop() if len(started) == 1 else "mixed",
        "parameters": sum(one["parameters"] for one in every),
        "gflop_per_image": round(sum(one["gflop_per_image"] for one in every), 4),
        "training": {"epochs": None, "best_epoch": None}
        | {"members": {name: one["training"] for name, one in described.items()}},
        "params": params | {ENSEMBLE: {"members": list(described), "stored": stored}},
        "data": first["data"],
        "environment": first["environment"],
    }
