"""An ensemble: trained networks that agree in classes, planes and data, exported as one network."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from cxr.ensemble_graph import joined
from cxr.ensemble_members import describe
from cxr.errors import ModelError
from cxr.files import JsonObject, whole_file, write_json
from cxr.head import read_head
from cxr.model_folder import (
    DESCRIPTION_FILE,
    ENSEMBLE,
    NETWORK_FILE,
    NETWORK_WEIGHTS_FILE,
    ScreeningModel,
    fingerprint,
)
from cxr.network import Network, Outputs, openvino_module
from cxr.params import Section
from cxr.planes import Plane

AGREEMENT = 1e-5  # of a logit, as a share of the largest magnitude where above one
PROBES = 16

Stored = Literal["float32", "float16"]


class EnsembleParams(Section):
    """The section `ensemble` of params.yaml."""

    members: tuple[str, ...] = Field(min_length=2, description="Networks whose logits are averaged, in this order.")
    stored: Stored = Field("float32", description="How weights are stored; whatever it is, float32 is computed with.")

    @field_validator("members")
    @classmethod
    def _each_once(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        if len({*members, ENSEMBLE}) != len(members) + 1:
            raise ValueError("expected each network once, and not the ensemble itself")
        return members


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Networks joined in one graph.

    Attributes:
        graph: An openvino.Model, see `cxr.ensemble_graph.joined`.
        description: What model.json says, but for the exported network.
        probe: uint8 (n, side, side), planes to compare on.
        expected: float32 (n, members, classes), what the members say of them.
        stored: How its weights are written.
    """

    graph: Any
    description: JsonObject
    probe: Plane
    expected: NDArray[np.float32]
    stored: Stored = "float32"


def ensemble(members: Sequence[ScreeningModel], stored: Stored = "float32") -> Ensemble:
    """Join the members in one graph. Raises ModelError where one does not end in one linear layer, or maps differ."""
    networks = {str(one.description["name"]): one.folder / NETWORK_FILE for one in members}
    probe = probes(members[0].plane_side)
    said: list[Outputs] = [one.network.predict(probe) for one in members]
    heads = [read_head(xml, one.features, one.logits) for xml, one in zip(networks.values(), said, strict=True)]
    graph = joined(networks, heads, members[0].plane_side)
    return Ensemble(graph, describe(members, stored), probe, np.stack([one.logits for one in said], axis=1), stored)


def probes(side: int) -> Plane:
    """Draw planes that differ in brightness, contrast and grain: uint8 (PROBES, side, side), the same every time."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (PROBES, 8, 8))
    smooth = coarse[:, np.arange(side) * 8 // side][:, :, np.arange(side) * 8 // side]
    grain = generator.normal(0, 1, (PROBES, side, side)) * np.linspace(0, 60, PROBES)[:, None, None]
    return np.clip(smooth + grain, 0, 255).astype(np.uint8)


def write_ensemble(folder: Path, made: Ensemble) -> None:
    """Prove that the graph says the mean of its members, then write network and description.

    The proof is of the float32 weights. What is fitted and measured later is what is written: rounded to float16, a
    logit moves by about a thousandth of the largest, and the file has half the bytes.

    Raises:
        ModelError: It says something else.
    """
    with tempfile.TemporaryDirectory() as temporary:
        xml = Path(temporary) / NETWORK_FILE
        openvino_module().save_model(made.graph, str(xml), compress_to_fp16=False)
        assert_mean(Network(xml), made)
        if made.stored == "float16":
            openvino_module().save_model(made.graph, str(xml), compress_to_fp16=True)
        folder.mkdir(parents=True, exist_ok=True)
        for name in (NETWORK_WEIGHTS_FILE, NETWORK_FILE):
            with whole_file(folder / name) as whole:
                shutil.copyfile(Path(temporary) / name, whole)
    write_json(folder / DESCRIPTION_FILE, made.description | {"network": {"sha256": fingerprint(folder)}})


def assert_mean(network: Network, made: Ensemble) -> float:
    """Compare the graph with its members on the probe, and return the largest difference of a logit.

    Raises:
        ModelError: A logit differs from the mean of the members', or a member's from its own, by more than AGREEMENT.
    """
    found = network.screen(made.probe)
    assert found.members is not None, "the graph was joined with that output"
    mean = made.expected.mean(axis=1, dtype=np.float64)
    worst = float(max(np.abs(found.logits - mean).max(), np.abs(found.members - made.expected).max()))
    if not worst <= AGREEMENT * max(1.0, float(np.abs(made.expected).max())):
        raise ModelError(
            f"the ensemble's graph differs from the mean of its members' logits by {worst:.2e} (at most "
            f"{AGREEMENT:.0e} of the largest); export the members again: dvc repro"
        )
    return worst
