"""Folders of networks with random weights, as train stages leave them, for what joins several."""

from pathlib import Path

import numpy as np

from cxr.core.files import write_json
from cxr.inference.network import DESCRIPTION_FILE, NETWORK_FILE, fingerprint, openvino_module
from tests.evaluation.cases import description

SIDE = 16
CLASSES = 3


def export(path: Path, seed: int, cells: int = 4, depth: int = 5, bias: bool = True) -> None:
    """Write a convolution, a pooled map of `cells` x `cells` x `depth`, and one linear layer."""
    openvino = openvino_module()
    ops = openvino.opset13
    random = np.random.default_rng(seed)
    planes = ops.parameter([-1, SIDE, SIDE, 1], np.uint8, name="planes")
    pixels = ops.transpose(ops.divide(ops.convert(planes, np.float32), np.float32(255)), np.array([0, 3, 1, 2]))
    step = SIDE // cells
    kernel = ops.constant(random.normal(0, 1, (depth, 1, step, step)).astype(np.float32))
    convolved = ops.convolution(pixels, kernel, [step, step], [0, 0], [0, 0], [1, 1])
    feature_map = ops.transpose(ops.relu(convolved), np.array([0, 2, 3, 1]))
    features = ops.reduce_mean(feature_map, np.array([1, 2]), keep_dims=False)
    weights = random.normal(0, 1, (depth, CLASSES)).astype(np.float32)
    logits = ops.matmul(features, ops.constant(weights), False, False)
    if bias:
        logits = ops.add(logits, ops.constant(random.normal(0, 1, (1, CLASSES)).astype(np.float32)))
    outputs = {"logits": logits, "features": features, "feature_map": feature_map}
    for name, node in outputs.items():
        node.output(0).set_names({name})
    openvino.save_model(openvino.Model(list(outputs.values()), [planes], "toy"), str(path), compress_to_fp16=False)


def member(
    models: Path, name: str, seed: int, cells: int = 4, depth: int = 5, bias: bool = True, **changes: object
) -> Path:
    """Write the folder of a trained network; `changes` replace parts of its description."""
    folder = models / name
    folder.mkdir(parents=True)
    export(folder / NETWORK_FILE, seed, cells, depth, bias)
    params = {"seed": 7, f"train_{name}": {"epochs": seed}}
    form = description(name) | {"params": params, "network": {"sha256": fingerprint(folder)}} | changes
    write_json(folder / DESCRIPTION_FILE, form)
    return folder
