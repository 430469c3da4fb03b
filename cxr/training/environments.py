"""Say, before a training starts, why its weights will not be the recorded ones."""

import sys
from collections.abc import Mapping
from pathlib import Path

from cxr.files import read_json
from cxr.params import RuntimeParams
from cxr.training.devices import choose_devices
from cxr.training.reproducible import environment

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
