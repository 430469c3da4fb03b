"""One runtime in one process, so that none pays for another's threads or memory: run by runtimes.py.

    python runtime_worker.py RUNTIME NETWORK BATCH THREADS PLANES

It says `ready` after the first batch, then answers on stdin `time N` with the seconds for N planes, `answers FILE`
with the logits of all planes, and `peak` with the most bytes it ever held.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Predict = Callable[[Any], Any]  # uint8 (batch, side, side, 1) to float32 logits (batch, classes)


def openvino(network: str, threads: int) -> Predict:
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    from openvino import Core

    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = Core().compile_model(network, "CPU", options)
    return lambda planes: compiled(planes)["logits"]


def onnx_runtime(network: str, threads: int) -> Predict:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    return lambda planes: session.run(["logits"], {"planes": planes})[0]


def litert(network: str, threads: int) -> Predict:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(network, num_threads=threads)
    interpreter.allocate_tensors()
    planes_index = interpreter.get_input_details()[0]["index"]
    # Its outputs have lost their names: of logits, features and feature map the logits are the smallest.
    logits_index = min(interpreter.get_output_details(), key=lambda output: int(np.prod(output["shape"])))["index"]

    def predict(planes: Any) -> Any:
        interpreter.set_tensor(planes_index, planes)
        interpreter.invoke()
        return interpreter.get_tensor(logits_index)

    return predict


def tensorflow(network: str, threads: int) -> Predict:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    model = tf.keras.models.load_model(network, compile=False)
    function = tf.function(lambda planes: model(planes, training=False)["logits"])  # traced for the first batch's shape
    return lambda planes: function(planes).numpy()


RUNTIMES = {"OpenVINO": openvino, "ONNX Runtime": onnx_runtime, "LiteRT": litert, "TensorFlow": tensorflow}


def peak_bytes() -> int:
    """Return the high-water mark of this process's resident memory, which unlike rusage's starts anew at exec."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


def answer(command: str, argument: str, predict: Predict, planes: Any, batch: int) -> object:
    if command == "peak":
        return peak_bytes()
    count = int(argument) if command == "time" else len(planes) // batch * batch
    start = time.perf_counter()
    logits = [np.array(predict(planes[first : first + batch])) for first in range(0, count, batch)]
    seconds = time.perf_counter() - start
    if command == "answers":
        np.save(argument, np.concatenate(logits))
    return seconds


def main(runtime: str, network: str, batch_text: str, threads: str, planes_file: str) -> None:
    batch = int(batch_text)
    predict = RUNTIMES[runtime](network, int(threads))
    planes = np.load(planes_file, mmap_mode="r")[..., np.newaxis]
    predict(planes[:batch])
    print("ready", flush=True)
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        print(answer(command, argument, predict, planes, batch), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
