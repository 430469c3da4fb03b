"""The new network with its weights stored as 16-bit numbers: what it would save, and what it would change."""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.decisions import disagreeing
from cxr.files import JsonObject
from cxr.model_folder import NETWORK_FILE, NETWORK_WEIGHTS_FILE, ScreeningModel
from cxr.network import Network, openvino_module, softmax
from cxr.planes import Plane
from cxr.release.speed import time_beside

WORTH = 1.5  # times faster, or it is not worth another set of bytes to test


def half_precision(model: ScreeningModel, planes: Plane) -> JsonObject:
    """Save the network with `compress_to_fp16` and compare it with itself.

    Args:
        model: In float32.
        planes: uint8 (n, side, side), of validation.

    Returns:
        Number of images, largest_change of a probability, decisions_changed (of predicted classes where the model has
        no decisions), `speed` as `time_beside` gives it, bytes of both, and `taken`: no decision changes, and the
        median ratio is at least WORTH.
    """
    with tempfile.TemporaryDirectory() as folder:
        xml = Path(folder) / NETWORK_FILE
        openvino = openvino_module()
        openvino.save_model(
            openvino.Core().read_model(str(model.folder / NETWORK_FILE)), str(xml), compress_to_fp16=True
        )
        half = Network(xml)
        size = sum((Path(folder) / name).stat().st_size for name in (NETWORK_FILE, NETWORK_WEIGHTS_FILE))
        before, after = (_decided(model, network, planes) for network in (model.network, half))
        speed = time_beside(half, model.network, planes)
    changed = sum(one != other for one, other in zip(before[1], after[1], strict=True))
    return {
        "images": len(planes),
        "largest_change": float(f"{np.abs(before[0] - after[0]).max():.3g}"),
        "decisions_changed": changed,
        "speed": speed,
        "bytes": size,
        "bytes_float32": sum((model.folder / name).stat().st_size for name in (NETWORK_FILE, NETWORK_WEIGHTS_FILE)),
        "taken": changed == 0 and speed["ratio"]["median"] >= WORTH,
    }


def _decided(model: ScreeningModel, network: Network, planes: Plane) -> tuple[NDArray[np.float64], list[object]]:
    """Return probabilities, and what is decided by them at the model's own operating point."""
    said = network.screen(planes)
    if model.decisions is None:
        probabilities = softmax(said.logits)
        return probabilities, list(probabilities.argmax(axis=1))
    probabilities = model.decisions.probabilities(said.logits)
    apart = None if said.members is None else disagreeing(said.members)
    return probabilities, list(model.decisions.decide(probabilities, model.operating_point, disagreeing=apart))
