"""An ensemble: trained networks that agree in classes, planes and data, exported as one network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cxr.core.errors import ModelError
from cxr.core.files import JsonObject, copy_file, scratch_folder, whole_file, write_json
from cxr.core.image import Plane
from cxr.core.params import Section
from cxr.inference.model_folder import ScreeningModel, load_model
from cxr.inference.network import (
    DESCRIPTION_FILE,
    ENSEMBLE,
    MEMBERS,
    NETWORK_FILE,
    NETWORK_WEIGHTS_FILE,
    LinearHead,
    Network,
    Outputs,
    Stored,
    fingerprint,
    openvino_module,
    read_linear_head,
)

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Member:
    """A network within the graph; its outputs are OpenVINO's.

    Attributes:
        head: Its last layer.
        logits: (n, classes).
        features: (n, d).
        feature_map: (n, h, w, d).
    """

    head: LinearHead
    logits: Any
    features: Any
    feature_map: Any

    @property
    def size(self) -> Size:
        """Height and width of the feature map."""
        height, width = (self.feature_map.get_partial_shape()[axis].get_length() for axis in (1, 2))
        return int(height), int(width)


def joined(networks: Mapping[str, Path], heads: Sequence[LinearHead], side: int) -> Any:
    """Return the graph, an openvino.Model.

    Its outputs: `logits`, one linear layer over `features`, the members' side by side, with the members' heads divided
    by their number; `feature_map`, the members' side by side, smaller ones enlarged by area; `members`, their
    own logits, float32 (n, members, classes).

    Args:
        networks: The exported networks by name, in order.
        heads: Their last layers.
        side: Of the planes that they take.

    Raises:
        ModelError: A file is no exported network.
    """
    openvino = openvino_module()
    ops = openvino.opset13
    planes = ops.parameter([-1, side, side, 1], np.uint8, name="planes")
    members = [_member(xml, head, planes) for xml, head in zip(networks.values(), heads, strict=True)]
    features = ops.concat([one.features for one in members], axis=1)
    weights = np.concatenate([one.head.weights for one in members]) / np.float32(len(members))
    bias = np.mean([one.head.bias for one in members], axis=0, dtype=np.float32)
    logits = ops.add(ops.matmul(features, ops.constant(weights), False, False), ops.constant(bias))
    own = [ops.unsqueeze(one.logits, ops.constant(np.int64(1))) for one in members]
    outputs = {
        "logits": logits,
        "features": features,
        "feature_map": ops.concat(_of_one_size(members), axis=3),
        MEMBERS: ops.concat(own, axis=1),
    }
    results = [ops.result(node.output(0)) for node in outputs.values()]
    graph = openvino.Model(results, [planes], "ensemble")
    _name(graph, outputs, planes)
    return graph


def _member(xml: Path, head: LinearHead, planes: Any) -> Member:
    try:
        model = openvino_module().Core().read_model(str(xml))
        logits, features, feature_map = (
            model.output(name).get_node().input_value(0) for name in ("logits", "features", "feature_map")
        )
        model.input().replace(planes.output(0))
    except RuntimeError as error:
        raise ModelError(f"{xml} is no network of a train stage ({error}); train it again: dvc repro") from error
    return Member(head, logits, features, feature_map)


def _of_one_size(members: Sequence[Member]) -> list[Any]:
    largest = (max(one.size[0] for one in members), max(one.size[1] for one in members))
    return [_enlarged(_enlarged(one.feature_map, 1, largest[0]), 2, largest[1]) for one in members]


def _enlarged(feature_map: Any, axis: int, length: int) -> Any:
    """Lay the map over a finer grid by area, so that the mean over it, which is the features, stays what it is.

    Each row is repeated, and where the grids' lines do not meet, each new row is the mean of those that it covers. All
    constants are whole numbers: `randomised_network` takes others for weights.
    """
    ops = openvino_module().opset13
    own = feature_map.get_partial_shape()[axis].get_length()
    if own == length:
        return feature_map
    covered = own // gcd(own, length)
    rows = ops.constant(np.arange(length * covered, dtype=np.int64) * own // (length * covered))
    repeated = ops.gather(feature_map, rows, ops.constant(np.int64(axis)))
    if covered == 1:
        return repeated.output(0)
    shape = [0, *(feature_map.get_partial_shape()[place].get_length() for place in (1, 2, 3))]  # 0: as many images
    shape[axis : axis + 1] = [length, covered]
    grouped = ops.reshape(repeated, ops.constant(np.array(shape, np.int64)), True)
    return ops.reduce_mean(grouped, ops.constant(np.int64(axis + 1)), False).output(0)


def _name(graph: Any, outputs: Mapping[str, Any], planes: Any) -> None:
    """Name everything by its place: names that the runtime makes up, and those of the members, would not be unique."""
    for place, node in enumerate(graph.get_ordered_ops()):
        node.set_friendly_name(f"{place:04d}_{node.get_type_name()}")
        for output in node.outputs():
            output.get_tensor().set_names(set())
    planes.set_friendly_name("planes")
    planes.output(0).get_tensor().set_names({"planes"})
    for name, node in outputs.items():
        node.output(0).get_tensor().set_names({name})


def member_folders(folders: Sequence[Path]) -> list[Path]:
    """Return the folders of networks: each as given or, where it holds several, those in it, teacher_9 before _10.

    Raises:
        ModelError: A folder has no network.
    """
    found: list[Path] = []
    for folder in folders:
        within = sorted(folder.glob(f"*/{DESCRIPTION_FILE}"), key=lambda path: (len(path.parent.name), path))
        own = [folder] if (folder / DESCRIPTION_FILE).is_file() else [path.parent for path in within]
        if not own:
            raise ModelError(f"{folder} holds no trained network; train it first: dvc repro release/dvc.yaml")
        found += own
    return found


def read_members(folders: Sequence[Path]) -> list[ScreeningModel]:
    """Load the members from their folders.

    Raises:
        ModelError: A folder is absent or wrong, there are not two different networks, or they differ in classes,
            planes or data.
    """
    members = [load_model(folder) for folder in folders]
    names = [str(one.description["name"]) for one in members]
    if len(set(names)) < max(2, len(names)):
        raise ModelError(f"an ensemble needs at least two networks, each once; got {', '.join(names)}")
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
        **{key: first[key] for key in ("classes", "image_side", "plane")},
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


AGREEMENT = 1e-5  # of a logit, as a share of the largest magnitude where above one
PROBES = 16


class EnsembleParams(Section):
    """The section `ensemble` of params.yaml."""

    stored: Stored = Field("float32", description="How weights are stored; whatever it is, float32 is computed with.")


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Networks joined in one graph.

    Attributes:
        graph: An openvino.Model, see `cxr.inference.ensemble.joined`.
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
    heads = [read_linear_head(xml, one.features, one.logits) for xml, one in zip(networks.values(), said, strict=True)]
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
    with scratch_folder() as temporary:
        xml = temporary / NETWORK_FILE
        openvino_module().save_model(made.graph, str(xml), compress_to_fp16=False)
        assert_mean(Network(xml), made)
        if made.stored == "float16":
            openvino_module().save_model(made.graph, str(xml), compress_to_fp16=True)
        for name in (NETWORK_WEIGHTS_FILE, NETWORK_FILE):
            with whole_file(folder / name) as whole:
                copy_file(temporary / name, whole)
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
