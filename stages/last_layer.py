"""Fit the last layer of a trained network anew, with films of hospitals that the layers before it did not learn from.

Expect: half a minute to a minute, most of it for computing features; see docs/recipes.md.
"""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors

PARAMS = [Path("params.yaml"), Path("release/params.yaml")]


def main(
    trained: Annotated[Path, typer.Argument(help="Folder of the trained network.", metavar="NETWORK")],
    prepared: Annotated[Path, typer.Option(help="Folder written by prepare.")] = Path("work/prepared"),
    split: Annotated[Path, typer.Option(help="Table written by split.")] = Path("work/split.csv"),
    output: Annotated[Path, typer.Option(help="Folder for the network.")] = Path("release/models/last_layer"),
    answers: Annotated[Path, typer.Option(help="Answers without each hospital.")] = Path("release/last_layer.csv"),
    params: Annotated[list[Path], typer.Option(help="Parameters: last_layer is read.")] = PARAMS,
) -> None:
    """Fit the last layer, ask it about each hospital without it, and write what decisions can be fitted on."""
    from cxr.core.manifest import MANIFEST_FILE, planes_of_side, read_plane_rule, read_table, write_table
    from cxr.core.params import CommonParams, read_params, section, top_level
    from cxr.core.process import pin_instructions

    values = read_params(*params)
    shared = top_level(values, CommonParams)
    pin_instructions(shared.runtime.instructions)  # before TensorFlow is loaded

    from cxr.core.files import read_json
    from cxr.inference.network import CALIBRATION_FILE, DESCRIPTION_FILE
    from cxr.models import architecture
    from cxr.training.last_layer import LastLayerParams, fit_anew
    from cxr.training.train import write_trained

    own = section(values, "last_layer", LastLayerParams)
    recipe = section(values, f"train_{own.network}", architecture(own.network).params)
    described = read_json(trained / DESCRIPTION_FILE)
    recipe = recipe.model_copy(update={"side": described["side"]})  # a student's is its own

    table, manifest, rule = read_table(split), read_table(prepared / MANIFEST_FILE), read_plane_rule(prepared)
    planes = planes_of_side(prepared, described["image_side"])

    fitted = fit_anew(trained, table, manifest, planes, shared, own, recipe)

    write_trained(output, fitted.trained, rule, own.stored)
    write_table(output / CALIBRATION_FILE, fitted.calibration)
    write_table(answers, fitted.answers)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
