"""Export a trained network to the screening runtime, and prove that it says what Keras says."""

from pathlib import Path

import numpy as np

from cxr.core.errors import ModelError
from cxr.core.files import copy_file, move, remove, require_room, scratch_folder, whole_file
from cxr.core.image import Plane
from cxr.inference.network import NETWORK_FILE, NETWORK_WEIGHTS_FILE, Network, openvino_module, softmax
from cxr.models.layers import keras, tf

AGREEMENT = 1e-5  # largest difference of a probability
INNER_AGREEMENT = 1e-4  # of logits, features and feature map, as a share of the largest magnitude where above one


def export_network(model: keras.Model, folder: Path) -> None:
    """Write `model` as OpenVINO IR in float32, with the outputs logits, features and feature_map.

    The bytes depend on architecture, weights and the versions of TensorFlow and OpenVINO alone.
    """
    openvino = openvino_module()
    from openvino.tools.ovc import convert_model

    converted = convert_model(_function(model))
    for name in (NETWORK_FILE, NETWORK_WEIGHTS_FILE):
        remove(folder / name)
    require_room(folder / NETWORK_WEIGHTS_FILE, room_for(model))
    with whole_file(folder / NETWORK_FILE) as temporary:
        beside = temporary.with_suffix(".xml")
        openvino.save_model(converted, str(beside), compress_to_fp16=False)
        move(beside.with_suffix(".bin"), folder / NETWORK_WEIGHTS_FILE)
        move(beside, temporary)


def store_half(folder: Path) -> None:
    """Store the weights of the exported network in `folder` as float16: half the bytes; float32 is computed with."""
    openvino = openvino_module()
    with scratch_folder() as temporary:
        graph = openvino.Core().read_model(str(folder / NETWORK_FILE))
        openvino.save_model(graph, str(temporary / NETWORK_FILE), compress_to_fp16=True)
        for name in (NETWORK_WEIGHTS_FILE, NETWORK_FILE):
            with whole_file(folder / name) as whole:
                copy_file(temporary / name, whole)


def room_for(model: keras.Model) -> int:
    """Return more bytes than the weights take in a file, whatever its format."""
    return 4 * int(model.count_params()) + 4096 * len(model.weights) + 65536


def assert_agreement(model: keras.Model, network: Network, planes: Plane) -> float:
    """Compare the exported network with Keras on the same planes.

    Probabilities must agree to AGREEMENT. The three outputs behind them are unbounded sums in float32, whose order
    differs between the two: they must agree to INNER_AGREEMENT.

    Args:
        model: The trained model.
        network: Its export.
        planes: uint8 (n, side, side).

    Returns:
        The largest difference of a probability.

    Raises:
        ModelError: A difference is above what is allowed.
    """
    expected = {name: output.numpy() for name, output in model(planes[..., np.newaxis], training=False).items()}
    found = network.predict(planes)
    worst = float(np.abs(softmax(expected["logits"]) - softmax(found.logits)).max())
    inner = max(_difference(values, getattr(found, name)) for name, values in expected.items())
    if not (worst <= AGREEMENT and inner <= INNER_AGREEMENT):
        raise ModelError(
            f"the exported network differs from Keras by {worst:.2e} in a probability (at most {AGREEMENT:.0e}) "
            f"and by {inner:.2e} in an output behind it (at most {INNER_AGREEMENT:.0e})"
        )
    return worst


def gflop(model: keras.Model) -> float:
    """Return the floating-point operations of one image in units of 1e9, a multiply-add counted as two.

    Counted by TensorFlow's own profiler on the inference graph.
    """
    # The batch must be a number: operations of unknown shape count as none. The weights need not be in the graph: their
    # shapes are, and to copy a hundred megabytes into it takes longer than everything else.
    graph = _function(model, batch=1).get_concrete_function().graph
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    total = profiler.profile(graph=graph, cmd="op", options=options).total_float_ops
    return float(round(total / 1e9, 4))


def _difference(expected: "np.typing.NDArray[np.float32]", found: "np.typing.NDArray[np.float32]") -> float:
    return float(np.abs(expected - found).max() / max(1.0, float(np.abs(expected).max())))


def _function(model: keras.Model, batch: int | None = None) -> "tf.types.experimental.PolymorphicFunction":
    def screen(planes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: tf.identity(output, name) for name, output in model(planes, training=False).items()}

    planes = tf.TensorSpec((batch, *model.input_shape[1:]), tf.uint8, name="planes")
    return tf.function(screen, input_signature=[planes])
