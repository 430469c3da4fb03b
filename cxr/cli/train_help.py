"""--help of a train stage: after the options, every parameter that it reads."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from typer.core import TyperCommand

if TYPE_CHECKING:
    from cxr.training.params import TrainParams

PARAMS_FILE = Path("params.yaml")


def explaining(name: str) -> type[TyperCommand]:
    """Return the kind of command whose --help explains the parameters of the network `name` as well."""

    class Explaining(TyperCommand):
        def format_help(self, *args: Any, **kwargs: Any) -> None:
            super().format_help(*args, **kwargs)
            print_params(name, PARAMS_FILE)

    return Explaining


def print_params(name: str, path: Path) -> None:
    """Print what the section `train_<name>` and the shared values may hold, beside what they are in the file `path`.

    The file may be absent or wrong, for help is what its reader needs then: its fault is printed in place of values.
    """
    from cxr.cli.params_help import params_table  # pydantic: not for a run's own sake
    from cxr.errors import ParamsError
    from cxr.params import CommonParams, read_params

    console = Console(highlight=False)
    values, fault = {}, ""
    try:
        values = read_params(path)
    except ParamsError as error:
        fault = str(error)
    section = values.get(f"train_{name}")
    for title, kind, found in (
        (
            f"Parameters: section train_{name} of {path}",
            recipe_kind(name),
            section if isinstance(section, dict) else {},
        ),
        (f"Parameters: shared with other stages, top level of {path}", CommonParams, values),
    ):
        console.print(title, style="bold")
        console.print(params_table(kind, found))
        console.print()
    if fault:
        console.print(fault, style="yellow", markup=False)
    console.print(
        f"In brackets: the default, where {path} has no value. One change for one run: "
        f"dvc exp run -S train_{name}.learning_rate=0.0005",
        markup=False,
    )


def recipe_kind(name: str) -> "type[TrainParams]":
    """Return the class of the section `train_<name>`."""
    from cxr.models import FINE_TUNED, TRANSFER
    from cxr.training.params import FineTunedParams, SmallParams, TransferParams

    kinds = dict.fromkeys(TRANSFER, TransferParams) | dict.fromkeys(FINE_TUNED, FineTunedParams)
    return kinds.get(name, SmallParams)
