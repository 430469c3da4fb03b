"""Which operations of a training give other bytes with other instructions, and what the limit costs.

    python benchmarks/instructions.py

Each operation that the networks train with is computed on the same drawn numbers, in a process for each limit of
oneDNN: none, and every class of instructions that this processor has. Printed are the first digits of a SHA-256 of the
result, and milliseconds. Equal digests in a row: there the limit changes nothing. `runtime.instructions: avx2` sets the
limit AVX2 and keeps TensorFlow's own operations, as here; only on a processor with AVX-512 do the first two columns say
what the limit does.
"""

import hashlib
import json
import os
import subprocess
import sys
import time

from timing import table

from cxr.core.process import INSTRUCTIONS, ONEDNN_LIMIT, ONEDNN_OPERATIONS, instructions

NAMES = {"SSE": "SSE41", "AVX512": "AVX512_CORE"}  # what oneDNN calls them
DIGITS = 10
REPEATS = 5


def operations():
    """Return functions without arguments by name, each of the shapes of cnn1 or of VGG16's first layers."""
    import numpy as np

    from cxr.models.layers import keras, tf

    random = np.random.default_rng(7)

    def drawn(*shape):
        return tf.constant(random.standard_normal(shape).astype(np.float32))

    maps, kernel, pointwise = drawn(16, 64, 64, 32), drawn(3, 3, 32, 64), drawn(1, 1, 32, 64)
    back, dense, vectors = drawn(16, 64, 64, 64), drawn(512, 3), drawn(32, 512)
    depthwise, scale = drawn(3, 3, 32, 1), drawn(32)
    planes = tf.constant(random.integers(0, 256, (16, 128, 128, 1)).astype(np.float32))
    nothing = tf.zeros([0])
    normalise = {"scale": scale, "offset": scale, "mean": nothing, "variance": nothing, "is_training": True}
    return {
        "convolution 3x3": lambda: tf.nn.conv2d(maps, kernel, 1, "SAME"),
        "its gradient by the input": lambda: tf.raw_ops.Conv2DBackpropInput(
            input_sizes=maps.shape, filter=kernel, out_backprop=back, strides=[1] * 4, padding="SAME"
        ),
        "its gradient by the kernel": lambda: tf.raw_ops.Conv2DBackpropFilter(
            input=maps, filter_sizes=kernel.shape, out_backprop=back, strides=[1] * 4, padding="SAME"
        ),
        "convolution 1x1": lambda: tf.nn.conv2d(maps, pointwise, 1, "SAME"),
        "depthwise convolution": lambda: tf.nn.depthwise_conv2d(maps, depthwise, [1] * 4, "SAME"),
        "matrix product": lambda: tf.matmul(vectors, dense),
        "batch normalisation": lambda: tf.raw_ops.FusedBatchNormV3(x=maps, **normalise)[0],
        "mean over a map": lambda: tf.reduce_mean(maps, [1, 2]),
        "softmax and logarithm": lambda: tf.nn.log_softmax(vectors),
        "exponential": lambda: tf.exp(vectors),
        "pooling": lambda: tf.nn.max_pool2d(maps, 2, 2, "SAME"),
        "resizing": lambda: tf.image.resize(planes, (48, 48)),
        "he_normal": lambda: keras.initializers.HeNormal(seed=7)((3, 3, 32, 64)),
    }


def measure():
    """Print digest and milliseconds of each operation as JSON."""
    from cxr.core.params import RuntimeParams
    from cxr.training.devices import make_reproducible

    make_reproducible(RuntimeParams(instructions="any"), seed=7)
    found = {}
    for name, compute in operations().items():
        digest = hashlib.sha256(compute().numpy().tobytes()).hexdigest()
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            compute().numpy()
            seconds.append(time.perf_counter() - start)
        found[name] = (digest[:DIGITS], round(1000 * min(seconds), 2))
    print(json.dumps(found))


def main():
    """Measure with each limit, and print a row for each operation."""
    limits = ["", *(one.upper() for one in reversed(INSTRUCTIONS[: INSTRUCTIONS.index(instructions()) + 1]))]
    found = {}
    for limit in limits:
        environment = os.environ | {ONEDNN_OPERATIONS: "0"} | ({ONEDNN_LIMIT: NAMES.get(limit, limit)} if limit else {})
        command = [sys.executable, __file__, "--measure"]
        said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        found[limit or "no limit"] = json.loads(said.splitlines()[-1])
    print(f"This processor: {instructions()}. Digests; milliseconds in brackets.")
    rows = [[name, *(f"{of[name][0]} ({of[name][1]})" for of in found.values())] for name in next(iter(found.values()))]
    print(table(["operation", *found], rows))


if __name__ == "__main__":
    measure() if "--measure" in sys.argv else main()
