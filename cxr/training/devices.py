"""Where a training computes and how precisely: the processor or one GPU; what makes it reproducible, or not."""

import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import numpy as np

from cxr.core.errors import ParamsError
from cxr.core.files import read_json
from cxr.core.params import RuntimeParams
from cxr.core.process import ONEDNN_OPERATIONS, instructions, pin_instructions
from cxr.models.layers import keras, tf

Device = TypeVar("Device")


def choose_devices(runtime: RuntimeParams) -> None:
    """Hide from TensorFlow the GPUs that are not asked for; before the first TensorFlow operation of the process.

    Raises:
        ParamsError: As `chosen_gpus`.
    """
    tf.config.set_visible_devices(chosen_gpus(tf.config.list_physical_devices("GPU"), runtime), "GPU")


def chosen_gpus(gpus: Sequence[Device], runtime: RuntimeParams) -> list[Device]:
    """Return the one GPU of those present that the section `runtime` asks for; an empty list means the processor.

    Raises:
        ParamsError: A GPU is needed and there is none: without a word, a night's training would take a week.
    """
    chosen = [] if runtime.devices == "cpu" else list(gpus[:1])
    needs = ("devices", runtime.devices) if runtime.devices == "one_gpu" else ("precision", runtime.precision)
    if not chosen and needs[1] in ("one_gpu", "mixed_float16"):
        why = "runtime.devices is 'cpu'" if gpus else "TensorFlow finds none here"
        remedy = "'automatic' or 'cpu'" if needs[0] == "devices" else "'float32'"
        raise ParamsError(f"params.yaml: runtime.{needs[0]} '{needs[1]}' needs a GPU, but {why}; set it to {remedy}")
    return chosen


def device_in_use() -> str:
    """Return `cpu`, or the kind of the chosen GPU: `1 x NVIDIA H100 80GB HBM3`."""
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return "cpu"
    details = tf.config.experimental.get_device_details(gpus[0])
    return f"1 x {details.get('device_name', 'GPU')}"


@contextmanager
def precision(runtime: RuntimeParams) -> Iterator[None]:
    """Let what is built inside compute as `runtime.precision` says; afterwards the process is as before."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(runtime.precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def in_float32(model: keras.Model, build: Callable[[], keras.Model]) -> keras.Model:
    """Return a model that computes in float32, with the weights of `model`; itself where it does.

    Weights are float32 under every precision, so nothing is lost.

    Args:
        model: Trained under any precision.
        build: As `model` was built.
    """
    if model.get_layer("features").dtype_policy.name == "float32":
        return model
    keras.utils.clear_session(free_memory=False)  # so that the layers' names, which are in the files, count from one
    with precision(RuntimeParams(precision="float32")):
        plain = build()
    plain.set_weights(model.get_weights())
    return plain


def make_reproducible(runtime: RuntimeParams, seed: int) -> None:
    """Seed Python, NumPy and TensorFlow, pin the threads, and forbid operations that depend on thread order.

    To be called before the first TensorFlow operation of the process: afterwards threads cannot be pinned.
    Equal bytes are promised for the same wheels on the same class of processor, no more; `environment` has what counts.

    Raises:
        ParamsError: `runtime` asks for a GPU that is not there.
    """
    pin_instructions(runtime.instructions)  # for whoever has not loaded TensorFlow by a train stage
    choose_devices(runtime)
    tf.config.threading.set_intra_op_parallelism_threads(runtime.intra_op_threads)
    # One operation at a time: with several, their order would vary, and small networks gain nothing.
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(seed)
    if runtime.deterministic:
        tf.config.experimental.enable_op_determinism()


def environment() -> dict[str, str]:
    """Return the versions and the kind of machine that a training runs with; equal on two machines of one class.

    To be called after `make_reproducible`, which chooses the device.
    """
    return {
        # Without the patch level: it chooses no wheel and turns no bit.
        "python": ".".join(platform.python_version_tuple()[:2]),
        "machine": platform.machine(),
        "instructions": instructions() + ("" if os.environ.get(ONEDNN_OPERATIONS) == "0" else " (not limited)"),
        "devices": device_in_use(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "openvino": version("openvino"),
        "numpy": np.__version__,
    }


# In the order in which they are said.
REASONS = {
    "machine": "other processors add in another order",
    "instructions": "other instructions add in another order",
    "devices": "other devices add in another order",
    "python": "other wheels give other weights",
    "tensorflow": "other wheels give other weights",
    "keras": "other wheels give other weights",
    "numpy": "other wheels give other weights",
    "openvino": "other wheels export other bytes",
}


def compare_environments(recorded: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return a sentence for each difference that moves bytes, in the order of REASONS; what one side lacks is passed.

    Args:
        recorded: The environment of an earlier training, as model.json has it.
        here: The environment of the next one.
    """
    return [
        f"trained with {_named(key, recorded[key])}, here {here[key]}: {reason}"
        for key, reason in REASONS.items()
        if key in recorded and key in here and recorded[key] != here[key]
    ]


def warn_of_other_environment(path: Path, name: str, runtime: RuntimeParams) -> None:
    """Say on stderr how this machine differs from the one that trained the recorded network; nothing where it does not.

    Args:
        path: `reports/environment.json`: environments by network. Absent or unreadable, it promises nothing, and
            nothing is said.
        name: The network about to be trained.
        runtime: Chooses the devices.

    Raises:
        ParamsError: As `choose_devices`.
    """
    choose_devices(runtime)
    differences = compare_environments(_recorded(path, name), environment())
    if differences:
        sys.stderr.write(
            f"train_{name}: the weights will differ from the recorded ones: {'; '.join(differences)}. "
            "dvc metrics diff shows what moved\n"
        )


def _recorded(path: Path, name: str) -> Mapping[str, str]:
    try:
        recorded = read_json(path)
    except (OSError, ValueError):
        return {}
    own = recorded.get(name) if isinstance(recorded, dict) else None
    return own if isinstance(own, dict) else {}


def _named(key: str, value: str) -> str:
    return value if key in ("machine", "devices") else f"{key} {value}"
