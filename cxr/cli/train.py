"""The command line that the train stages share, and the help that explains their parameters."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

from cxr.core.params import Section
from cxr.training.params import TrainParams

SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥"}
KINDS = {int: "whole number", float: "number", bool: "true, false", str: "text"}
SHAPES = {"tuple": "list of text", "dict": "text by name"}


def fields(kind: type[Section], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the fields of a section and of the sections within it, by name as `-S` takes it (`augment.zoom`)."""
    for key, field in sorted(kind.model_fields.items()):
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from fields(field.annotation, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", field


def limits_of(field: FieldInfo) -> str:
    """Return what a value may be: `number ≥ 0, < 1; required`."""
    choices = [value for value in get_args(field.annotation) if isinstance(value, str)]
    if choices:
        return ", ".join(choices)
    bounds = [
        f"{SIGNS[name]} {getattr(item, name)}" for item in field.metadata for name in SIGNS if hasattr(item, name)
    ]
    kind = KINDS.get(field.annotation, "")  # type: ignore[arg-type]
    kind = kind or next(
        (text for shape, text in SHAPES.items() if shape in str(field.annotation)), "whole number or null"
    )
    required = "; required" if field.default is PydanticUndefined else ""
    return " ".join([kind, ", ".join(bounds)]).strip() + required


def params_table(kind: type[Section], values: Mapping[str, Any]) -> Table:
    """Return a table of name, value, what it may be and what it means, one row a field.

    Args:
        kind: The section's class.
        values: The section as read from params.yaml; where it lacks a value, the default stands in brackets.
    """
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("name", no_wrap=True, style="bold cyan")
    table.add_column("value", overflow="fold", max_width=16)
    table.add_column("may be", overflow="fold", max_width=18, style="dim")
    table.add_column("meaning", overflow="fold")
    for key, field in fields(kind):
        # As Text, because rich reads words in brackets as markup.
        cells = (key, _value(key, field, values), limits_of(field), field.description or "")
        table.add_row(*map(Text, cells))
    return table


def _value(key: str, field: FieldInfo, values: Mapping[str, Any]) -> str:
    found: Any = values
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return "" if field.default is PydanticUndefined else f"({_plain(field.default)})"
        found = found[part]
    return _plain(found)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "empty" if value is None else str(value)


PARAMS_FILE = Path("params.yaml")
PARAMS = [PARAMS_FILE]


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
    from cxr.core.errors import ParamsError
    from cxr.core.params import CommonParams, read_params

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


def recipe_kind(name: str) -> type[TrainParams]:
    """Return the class of the section `train_<name>`."""
    from cxr.models import FINE_TUNED, TRANSFER
    from cxr.training.params import FineTunedParams, SmallParams, TransferParams

    kinds = dict.fromkeys(TRANSFER, TransferParams) | dict.fromkeys(FINE_TUNED, FineTunedParams)
    return kinds.get(name, SmallParams)


RECORDED_HELP = "Environments of the recorded trainings; another one here is said. No result depends on it."
RUNS_HELP = "Folder for what TensorBoard shows; without it nothing is recorded. No result depends on it."


def train_stage(name: str, description: str) -> typer.Typer:
    """Return the command of `stages/train_<name>.py`; `description` is shown by --help."""
    app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)

    @app.command(cls=explaining(name), help=description)
    def main(
        images: Annotated[Path, typer.Option(help="Array written by prepare.")] = Path("work/prepared/images.npy"),
        split: Annotated[Path, typer.Option(help="Table written by split.")] = Path("work/split.csv"),
        weights: Annotated[Path, typer.Option(help="Folder of ImageNet weights.")] = Path("weights") / name,
        output: Annotated[Path, typer.Option(help="Folder for the trained network.")] = Path("models") / name,
        params: Annotated[list[Path], typer.Option(help="Parameters.")] = PARAMS,
        cache: Annotated[Path, typer.Option(help="Folder of computed features; safe to delete.")] = Path(".cache"),
        recorded: Annotated[Path, typer.Option(help=RECORDED_HELP)] = Path("reports/environment.json"),
        runs: Annotated[Path | None, typer.Option(help=RUNS_HELP, envvar="CXR_RUNS", show_default=False)] = None,
    ) -> None:
        from cxr.core.manifest import read_images, read_table
        from cxr.core.params import CommonParams, read_params, section, top_level

        values = read_params(*params)
        shared, recipe = top_level(values, CommonParams), section(values, f"train_{name}", recipe_kind(name))

        table, planes = read_table(split), read_images(images)

        from cxr.training.loop import no_callbacks
        from cxr.training.monitor import (
            tensorboard_callbacks,
            warn_of_other_environment,  # loads TensorFlow: after the cheap checks
        )
        from cxr.training.train import train_network, write_trained

        warn_of_other_environment(recorded, name, shared.runtime)
        make_callbacks = tensorboard_callbacks(runs) if runs else no_callbacks
        trained = train_network(name, table, planes, shared, recipe, weights, cache, make_callbacks)

        write_trained(output, trained)

    return app
