"""The command line that the train stages of the networks share."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import bars, user_errors

MODELS = Path(__file__).parent.parent / "models"
PARAMS = [Path("params.yaml")]
RECORDED_HELP = "Environments of the recorded trainings; another one here is said. No result depends on it."
RUNS_HELP = "Folder for what TensorBoard shows; without it nothing is recorded. No result depends on it."


def train_stage(name: str, description: str) -> None:
    """Run the command of `stages/train_<name>.py`; `description` is shown by --help."""
    app = _application()
    _add_command(app, name, description)
    with user_errors():
        app()


def train_any(description: str) -> None:
    """Run the command of `stages/train.py`: a subcommand for each network, whose help is its module's docstring."""
    app = _application()
    app.callback(help=description)(lambda: None)
    for name, told in _networks():
        _add_command(app, name, told)
    with user_errors():
        app()


def _application() -> typer.Typer:
    return typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


def _networks() -> Iterator[tuple[str, str]]:
    """Yield name and docstring of each module that gives an ARCHITECTURE; read, for to import it loads TensorFlow."""
    for path in sorted(MODELS.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {ast.unparse(node.targets[0]) for node in tree.body if isinstance(node, ast.Assign)}
        if "ARCHITECTURE" in names:
            yield path.stem, ast.get_docstring(tree) or ""


def _add_command(app: typer.Typer, name: str, description: str) -> None:
    @app.command(name, help=description)
    def main(
        prepared: Annotated[Path, typer.Option(help="Folder written by prepare.")] = Path("work/prepared"),
        split: Annotated[Path, typer.Option(help="Table written by split.")] = Path("work/split.csv"),
        weights: Annotated[Path, typer.Option(help="Folder of files of weights.")] = Path("weights") / name,
        output: Annotated[Path, typer.Option(help="Folder for the trained network.")] = Path("models") / name,
        params: Annotated[list[Path], typer.Option(help="Parameters.")] = PARAMS,
        cache: Annotated[Path, typer.Option(help="Folder of computed features; safe to delete.")] = Path(".cache"),
        recorded: Annotated[Path, typer.Option(help=RECORDED_HELP)] = Path("reports/environment.json"),
        runs: Annotated[Path | None, typer.Option(help=RUNS_HELP, envvar="CXR_RUNS", show_default=False)] = None,
    ) -> None:
        from cxr.core.manifest import network_planes, read_plane_rule, read_table
        from cxr.core.params import CommonParams, read_params, section, top_level
        from cxr.core.process import pin_instructions
        from cxr.models import architecture

        values = read_params(*params)
        shared = top_level(values, CommonParams)
        pin_instructions(shared.runtime.instructions)  # before TensorFlow is loaded
        recipe = section(values, f"train_{name}", architecture(name).params)

        table, rule = read_table(split), read_plane_rule(prepared)
        planes = network_planes(prepared, name, recipe.side)

        from cxr.training.devices import warn_of_other_environment
        from cxr.training.loop import no_callbacks, tensorboard_callbacks
        from cxr.training.train import train_network, write_trained

        warn_of_other_environment(recorded, name, shared.runtime)
        make_callbacks = tensorboard_callbacks(runs) if runs else no_callbacks
        trained = train_network(name, table, planes, shared, recipe, weights, cache, make_callbacks, bars)

        write_trained(output, trained, rule)
