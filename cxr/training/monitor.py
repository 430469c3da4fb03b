"""Let TensorBoard show a training, and say where its bytes will differ from those of a recorded one."""

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from cxr.core.errors import OutputError
from cxr.core.files import read_json, remove
from cxr.core.params import RuntimeParams
from cxr.models.backend import keras
from cxr.training.devices import choose_devices, environment
from cxr.training.loop import CallbackFactory, Phase

EVENTS = "**/events.out.tfevents.*"


def tensorboard_callbacks(folder: Path) -> CallbackFactory:
    """Return what records below `<folder>/<network>/<phase>/`; show it by `tensorboard --logdir <folder>`.

    The first phase of a training takes the place of all that an earlier training of the network recorded there.

    Args:
        folder: Made where it is absent.

    Raises:
        OutputError: TensorBoard is not installed, or `folder` is a file.
    """
    if find_spec("tensorboard") is None:
        raise OutputError(
            f"TensorBoard is not installed, so nothing can be recorded in {folder}: pip install '.[tensorboard]', "
            "or train without --runs and CXR_RUNS"
        )
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; --runs and CXR_RUNS expect a folder, which may be absent")

    def make_callbacks(phase: Phase) -> list[keras.callbacks.Callback]:
        own = folder / phase.network
        if phase.first_epoch == 0:
            # Those files and no others: the folder is the user's choice.
            for path in sorted(own.glob(EVENTS)):
                remove(path)
        return [keras.callbacks.TensorBoard(own / phase.name)]

    return make_callbacks


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


def compare(recorded: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
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
    differences = compare(_recorded(path, name), environment())
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
