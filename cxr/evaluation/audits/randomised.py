"""The same architecture with its learned weights replaced by chance: what a map must not survive (Adebayo 2018)."""

import tempfile
from pathlib import Path

import numpy as np

from cxr.model_folder import NETWORK_FILE
from cxr.network import Network, openvino_module


def randomised_network(xml: Path, seed: int) -> Network:
    """Return the exported network with each float constant of two or more dimensions drawn anew.

    These are the kernels of convolutions (with what batch normalisation was folded into them) and the head. A constant
    is replaced by normal numbers of its own mean and standard deviation, so that a scalar stays what it is.

    Args:
        xml: An exported network.
        seed: Of the numbers.
    """
    openvino = openvino_module()
    generator = np.random.default_rng(seed)
    model = openvino.Core().read_model(str(xml))
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or not node.get_element_type().is_real() or len(node.shape) < 2:
            continue
        values = np.array(node.data, np.float32)
        drawn = generator.normal(values.mean(), values.std(), values.shape).astype(np.float32)
        node.output(0).replace(openvino.opset13.constant(drawn).output(0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NETWORK_FILE
        openvino.save_model(model, str(path), compress_to_fp16=False)
        return Network(path)
