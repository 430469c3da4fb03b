"""Train a network of the release several times, each by another seed: what they say together a student learns.

Expect: a quarter of an hour of a core for each of them on real radiographs; see docs/recipes.md.
"""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors

PARAMS = [Path("params.yaml"), Path("release/params.yaml")]


def main(
    prepared: Annotated[Path, typer.Option(help="Folder written by prepare.")] = Path("work/prepared"),
    split: Annotated[Path, typer.Option(help="Table written by split.")] = Path("work/split.csv"),
    weights: Annotated[Path, typer.Option(help="Folder with files of published weights.")] = Path("weights"),
    output: Annotated[Path, typer.Option(help="Folder for a folder of each.")] = Path("release/models/teachers"),
    params: Annotated[list[Path], typer.Option(help="Parameters; train_teachers names the network.")] = PARAMS,
) -> None:
    """Train by each seed in turn, and write all networks when the last one is trained."""
    from cxr.core.files import whole_folder
    from cxr.core.manifest import network_planes, read_plane_rule, read_table
    from cxr.core.params import CommonParams, read_params, section, top_level
    from cxr.core.process import pin_instructions
    from cxr.models import architecture

    values = read_params(*params)
    shared = top_level(values, CommonParams)
    pin_instructions(shared.runtime.instructions)  # before TensorFlow is loaded

    from cxr.training.distillation import train_teachers
    from cxr.training.params import TeachersParams
    from cxr.training.train import write_trained

    own = section(values, "train_teachers", TeachersParams)
    recipe = section(values, f"train_{own.network}", architecture(own.network).params)

    table, rule = read_table(split), read_plane_rule(prepared)
    planes = network_planes(prepared, own.network, recipe.side)

    with whole_folder(output) as folder:  # none of other seeds stays beside them
        for trained in train_teachers(table, planes, shared, own, recipe, weights / own.network):
            write_trained(folder / trained.description["name"], trained, rule)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
