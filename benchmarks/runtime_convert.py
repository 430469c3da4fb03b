"""Write one seeded, untrained Keras network for each runtime, with Keras's own answers: run by runtimes.py.

Each file has a fixed batch, as screening has. The head is scaled so that the logits have a standard deviation of two
over the radiographs: an untrained network would say the same of each, and a difference would mean nothing.
"""

import sys
from pathlib import Path

import numpy as np
from networks import build
from numpy.typing import NDArray

from cxr.inference.network import openvino_module
from cxr.models.layers import keras, tf

CLASSES = 3
SEED = 7


def spread_head(model: keras.Model, planes: NDArray[np.uint8]) -> None:
    """Scale and shift the last layer so that each logit has mean 0 and standard deviation 2 over `planes`."""
    logits = model.predict(planes, batch_size=32, verbose=0)["logits"]
    kernel, bias = model.get_layer("logits").get_weights()
    scale = 2 / logits.std(axis=0)
    model.get_layer("logits").set_weights([kernel * scale, (bias - logits.mean(axis=0)) * scale])


def write(model: keras.Model, batch: int, stem: Path) -> None:
    """Write `stem` with each suffix; ONNX only where tf2onnx is installed."""

    def screen(planes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: tf.identity(output, name) for name, output in model(planes, training=False).items()}

    signature = [tf.TensorSpec((batch, *model.input_shape[1:]), tf.uint8, name="planes")]
    function = tf.function(screen, input_signature=signature)
    openvino = openvino_module()
    from openvino.tools.ovc import convert_model

    openvino.save_model(convert_model(function), str(stem) + ".xml", compress_to_fp16=False)
    # With `model` in the place of `function` the converter leaves the weights behind, and the answers are not numbers.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], function)
    Path(f"{stem}.tflite").write_bytes(converter.convert())
    model.save(f"{stem}.keras")
    try:
        import tf2onnx
    except ImportError:
        return
    tf2onnx.convert.from_function(function, input_signature=signature, opset=18, output_path=f"{stem}.onnx")


def main(name: str, planes_file: str, folder: str, *batches: str) -> None:
    keras.utils.set_random_seed(SEED)
    planes = np.load(planes_file)[..., np.newaxis]
    model = build(name, planes.shape[1], CLASSES)
    spread_head(model, planes)
    np.save(Path(folder) / f"{name}.npy", model.predict(planes, batch_size=32, verbose=0)["logits"])
    for batch in batches:
        write(model, int(batch), Path(folder) / f"{name}-{batch}")


if __name__ == "__main__":
    main(*sys.argv[1:])
