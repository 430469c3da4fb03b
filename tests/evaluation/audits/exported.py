"""Networks of a few numbers, exported as the train stages do."""

import numpy as np

from cxr.inference.network import openvino_module

SIDE = 16
HEAD = np.array([[2.0, -1.0, 0.5], [-1.0, 2.0, 0.25]], np.float32)
BIAS = np.array([0.5, -0.25, 0.0], np.float32)


def export(path, *, linear=True, transposed=False, bias=True):
    """Two feature maps, left and right half lit, pooled and weighted with HEAD."""
    openvino = openvino_module()
    from openvino import opset13 as ops

    planes = ops.parameter([-1, SIDE, SIDE, 1], np.uint8, name="planes")
    sides = np.zeros((1, SIDE, SIDE, 2), np.float32)
    sides[0, :, : SIDE // 2, 0] = sides[0, :, SIDE // 2 :, 1] = 1 / 255
    feature_map = ops.multiply(ops.convert(planes, np.float32), ops.constant(sides))
    features = ops.reduce_mean(feature_map, [1, 2], keep_dims=False)
    weights = ops.constant(HEAD.T.copy() if transposed else HEAD)
    logits = ops.matmul(features, weights, False, transposed)
    if bias:
        logits = ops.add(logits, ops.constant(BIAS[None]))
    if not linear:
        logits = ops.relu(logits)
    # The identity keeps the results apart, as in the exported networks.
    outputs = {"logits": logits, "features": features, "feature_map": ops.multiply(feature_map, np.float32(1))}
    for name, node in outputs.items():
        node.output(0).set_names({name})
    model = openvino.Model(list(outputs.values()), [planes], "halves")
    openvino.save_model(model, str(path), compress_to_fp16=False)
    return path
