"""A gate and a lung segmenter that nobody trained: plain figures of the plane, so that a test knows what they say."""

from pathlib import Path

import numpy as np

from cxr.core.files import write_json
from cxr.inference.gate import GATE_FILE, GATE_NETWORK_FILE, Limits, Sign, limits_form, network_fingerprint
from cxr.inference.lungs import LUNGS, LUNGS_FILE, LUNGS_NETWORK_FILE, lung_network_fingerprint
from cxr.inference.network import openvino_module

LIMITS = Limits(min_side=64, max_aspect=2.0, max_colour=0.1, min_spread=0.01, dark=0.1, bright=0.9, max_clipped=0.3)
THRESHOLDS = dict.fromkeys(Sign, 2.0) | {Sign.NOT_A_RADIOGRAPH: 0.75, Sign.OUT_OF_DISTRIBUTION: 0.7}


def toy_gate(folder: Path, side: int, thresholds: dict[Sign, float] | None = None) -> Path:
    """Write a gate whose six scores are all the mean of the plane, 0 to 1; what is bright is foreign."""
    openvino = openvino_module()
    ops = openvino.opset13
    planes = ops.parameter([-1, side, side, 1], np.uint8, name="planes")
    pixels = ops.divide(ops.convert(planes, np.float32), np.float32(255))
    mean = ops.reduce_mean(pixels, np.array([1, 2]), keep_dims=False)
    scores = ops.matmul(mean, ops.constant(np.ones((1, len(Sign)), np.float32)), False, False)
    scores.output(0).set_names({"scores"})
    folder.mkdir(parents=True, exist_ok=True)
    openvino.save_model(openvino.Model([scores], [planes], "gate"), str(folder / GATE_NETWORK_FILE))
    form = {
        "gate": 1,
        "image_side": side,
        "network": {"sha256": network_fingerprint(folder)},
        "limits": limits_form(LIMITS),
        "thresholds": {sign.value: value for sign, value in (thresholds or THRESHOLDS).items()},
    }
    write_json(folder / GATE_FILE, form)
    return folder


def toy_lungs(folder: Path, side: int) -> Path:
    """Write a segmenter that finds lungs wherever a plane is brighter than middle grey."""
    openvino = openvino_module()
    ops = openvino.opset13
    planes = ops.parameter([-1, side, side, 1], np.uint8, name="planes")
    logits = ops.subtract(ops.convert(planes, np.float32), np.float32(127.5))
    logits.output(0).set_names({LUNGS})
    folder.mkdir(parents=True, exist_ok=True)
    openvino.save_model(openvino.Model([logits], [planes], LUNGS), str(folder / LUNGS_NETWORK_FILE))
    form = {LUNGS: 1, "image_side": side, "network": {"sha256": lung_network_fingerprint(folder)}}
    write_json(folder / LUNGS_FILE, form)
    return folder
