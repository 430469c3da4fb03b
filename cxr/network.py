"""An exported network and the folder that describes it: what training writes, evaluation measures, screening runs."""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.errors import ModelError
from cxr.files import JsonObject, read_json, sha256_of
from cxr.planes import Plane

Floats = NDArray[np.float32]

DESCRIPTION_FILE = "model.json"
NETWORK_FILE = "network.xml"
NETWORK_WEIGHTS_FILE = "network.bin"
REQUIRED_KEYS = ("name", "classes", "image_side", "data", "network")


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a network says of n planes.

    Attributes:
        logits: float32 (n, classes), uncalibrated.
        features: float32 (n, d), the pooled last feature map.
        feature_map: float32 (n, h, w, d), the last feature map.
    """

    logits: Floats
    features: Floats
    feature_map: Floats


class Network:
    """A compiled network; float32 on every processor, so that an answer does not depend on the machine's bfloat16."""

    def __init__(self, xml: Path, threads: int = 0) -> None:
        """Compile `xml`; `threads` 0 lets the runtime choose. Raises ModelError where the file cannot be read."""
        openvino = openvino_module()
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            self._compiled = openvino.Core().compile_model(str(xml), "CPU", options)
        except RuntimeError as error:
            raise ModelError(f"{xml} is not a network that OpenVINO can read; export it again") from error

    def predict(self, planes: Plane) -> Outputs:
        """Run the network once on uint8 planes of shape (n, side, side), 0 black, 255 white."""
        result = self._compiled(planes[..., np.newaxis])
        taken = {name: np.array(result[self._compiled.output(name)]) for name in ("logits", "features", "feature_map")}
        return Outputs(**taken)

    def predict_many(self, planes: Plane, batch: int = 32) -> Outputs:
        """Run `predict` over slices of `batch` planes and join logits and features; feature maps are left empty."""
        parts = [self.predict(np.asarray(planes[start : start + batch])) for start in range(0, len(planes), batch)]
        logits = np.concatenate([part.logits for part in parts])
        features = np.concatenate([part.features for part in parts])
        return Outputs(logits, features, np.empty((0, *parts[0].feature_map.shape[1:]), np.float32))


@dataclass(frozen=True, slots=True)
class ScreeningModel:
    """A network with its description.

    Attributes:
        folder: Where it was loaded from.
        description: The content of model.json.
        network: The compiled network.
    """

    folder: Path
    description: JsonObject
    network: Network

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the network's outputs."""
        return tuple(self.description["classes"])

    @property
    def plane_side(self) -> int:
        """Side of the planes that `network` takes, in pixels."""
        return int(self.description["image_side"])

    @property
    def synthetic(self) -> bool:
        """Whether any drawn phantom was among the training data."""
        return int(self.description["data"]["synthetic_images"]) > 0

    @property
    def identity(self) -> str:
        """Name and the first twelve digits of the network's SHA-256, e.g. `cnn1-0a1b2c3d4e5f`."""
        return f"{self.description['name']}-{self.description['network']['sha256'][:12]}"


def load_model(folder: Path, threads: int = 0) -> ScreeningModel:
    """Load a folder made by a train stage, by `evaluate` or shipped in the package.

    Raises:
        ModelError: A file is absent, or the network's bytes are not those that the description names.
    """
    description = describe_model(folder)
    found = fingerprint(folder)
    if found != description["network"]["sha256"]:
        raise ModelError(
            f"{folder} holds a network with SHA-256 {found[:12]}..., but its {DESCRIPTION_FILE} describes "
            f"{description['network']['sha256'][:12]}...; take the whole folder from one run"
        )
    return ScreeningModel(folder, description, Network(folder / NETWORK_FILE, threads))


def describe_model(folder: Path) -> JsonObject:
    """Read the description alone, without loading the network. Raises ModelError where it is absent or incomplete."""
    expected = "expected a folder written by a train stage or by evaluate, such as models/screening"
    try:
        description = read_json(folder / DESCRIPTION_FILE)
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} is not a model folder ({DESCRIPTION_FILE} cannot be read); {expected}") from error
    missing = [key for key in REQUIRED_KEYS if key not in description]
    if missing:
        raise ModelError(f"{folder / DESCRIPTION_FILE} lacks {', '.join(missing)}; {expected}")
    return description


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 over the digests of graph and weights of the exported network in `folder`."""
    try:
        digests = [sha256_of(folder / name) for name in (NETWORK_FILE, NETWORK_WEIGHTS_FILE)]
    except OSError as error:
        raise ModelError(f"{folder} has no exported network ({error.strerror}: {error.filename})") from error
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def packaged_folder() -> Path:
    """Return the folder of the model that ships in the package."""
    return Path(__file__).parent / "packaged"


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return probabilities of shape (n, classes) that sum to one over the last axis, computed in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def openvino_module() -> Any:
    """Import openvino without its telemetry client: nothing about a user's files leaves the machine."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
