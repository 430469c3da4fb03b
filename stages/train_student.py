"""Train a small network to say what several trained ones say together.

Expect: some eight minutes of a core for the answers of four teachers about real radiographs, half an hour for the
training; see docs/recipes.md.
"""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors

PARAMS = [Path("params.yaml"), Path("release/params.yaml")]


def main(
    teachers: Annotated[Path, typer.Argument(help="Folder with a folder of each trained network.")],
    prepared: Annotated[Path, typer.Option(help="Folder written by prepare.")] = Path("work/prepared"),
    split: Annotated[Path, typer.Option(help="Table written by split.")] = Path("work/split.csv"),
    output: Annotated[Path, typer.Option(help="Folder for the network.")] = Path("release/models/student"),
    params: Annotated[list[Path], typer.Option(help="Parameters: train_student is read.")] = PARAMS,
) -> None:
    """Draw views of the train split, ask the teachers about them, and train the student on their answers."""
    from cxr.core.manifest import network_planes, read_plane_rule, read_table
    from cxr.core.params import CommonParams, read_params, section, top_level
    from cxr.core.process import pin_instructions
    from cxr.models import architecture

    values = read_params(*params)
    shared = top_level(values, CommonParams)
    pin_instructions(shared.runtime.instructions)  # before TensorFlow is loaded

    from cxr.inference.ensemble import member_folders
    from cxr.training.distillation import train_student
    from cxr.training.params import StudentParams
    from cxr.training.train import write_trained

    own = section(values, "train_student", StudentParams)
    recipe = section(values, f"train_{own.network}", architecture(own.network).params)

    table, rule = read_table(split), read_plane_rule(prepared)
    planes = network_planes(prepared, own.network, recipe.side)

    trained = train_student(member_folders([teachers]), table, planes, shared, own, recipe)

    write_trained(output, trained, rule)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
