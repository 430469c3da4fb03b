"""A network with random weights, for tests that need another one than the packaged."""

from pathlib import Path

import numpy as np

from cxr.core.files import write_json
from cxr.inference.model_folder import copy_gate, packaged_folder
from cxr.inference.network import DESCRIPTION_FILE, NETWORK_FILE, fingerprint, openvino_module
from tests.decision_forms import decide
from tests.evaluation.cases import CLASSES, description

SIDE = 64
# Amid what the network says of drawn radiographs, so that decisions and prediction sets of them differ.
MINIMUM = {"covid": 0.09, "normal": 0.82, "viral_pneumonia": 0.08}
POINTS = {
    name: {"threshold": threshold, "aim": "drawn films on either side"}
    for name, threshold in (("covid_sens95", 0.09), ("covid_spec95", 0.12))
}


def draw_network(folder: Path) -> Path:
    """Write a network of three convolutions to `folder`, as large as the kernels that differ by shape want."""
    openvino = openvino_module()
    ops = openvino.opset13
    random = np.random.default_rng(3)
    planes = ops.parameter([-1, SIDE, SIDE, 1], np.uint8, name="planes")
    layer = ops.transpose(ops.divide(ops.convert(planes, np.float32), np.float32(255)), np.array([0, 3, 1, 2]))
    for channels, wider in ((1, 24), (24, 40), (40, 56)):
        kernel = random.normal(0, 1 / np.sqrt(9 * channels), (wider, channels, 3, 3)).astype(np.float32)
        layer = ops.relu(ops.convolution(layer, ops.constant(kernel), [2, 2], [1, 1], [1, 1], [1, 1]))
    features = ops.reduce_mean(layer, np.array([2, 3]), keep_dims=False)
    weights = random.normal(0, 1, (56, len(CLASSES))).astype(np.float32)
    logits = ops.matmul(features, ops.constant(weights), False, False)
    outputs = {"logits": logits, "features": features, "feature_map": ops.transpose(layer, np.array([0, 2, 3, 1]))}
    for name, node in outputs.items():
        node.output(0).set_names({name})
    path = folder / NETWORK_FILE
    openvino.save_model(openvino.Model(list(outputs.values()), [planes], "drawn"), str(path), compress_to_fp16=False)
    return path


def drawn_model(folder: Path) -> Path:
    """Write a model to `folder`: that network behind the packaged gate, with decisions."""
    folder.mkdir(parents=True)
    draw_network(folder)
    form = description("drawn") | {"image_side": SIDE, "side": SIDE, "network": {"sha256": fingerprint(folder)}}
    write_json(folder / DESCRIPTION_FILE, form | copy_gate(packaged_folder(), folder))
    return decide(folder, operating_points=POINTS, conformal={"alpha": 0.05, "minimum": MINIMUM})
