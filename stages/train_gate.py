"""Train the gate, the small network that says whether a picture is an upright frontal chest radiograph at all."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors

PARAMS = [Path("params.yaml"), Path("release/params.yaml")]


def main(
    images: Annotated[Path, typer.Option(help="Array written by prepare.")] = Path("work/prepared/images.npy"),
    split: Annotated[Path, typer.Option(help="Table written by split.")] = Path("work/split.csv"),
    output: Annotated[Path, typer.Option(help="Folder for the gate.")] = Path("release/models/gate"),
    params: Annotated[list[Path], typer.Option(help="Parameters.")] = PARAMS,
) -> None:
    """Learn from radiographs as they are, turned, inverted and cropped, and from drawn pictures; set the thresholds."""
    from cxr.core.manifest import read_images, read_table
    from cxr.core.params import CommonParams, read_params, section, top_level
    from cxr.core.process import pin_instructions
    from cxr.training.params import GateParams

    values = read_params(*params)
    shared, recipe = top_level(values, CommonParams), section(values, "train_gate", GateParams)
    pin_instructions(shared.runtime.instructions)  # before TensorFlow is loaded

    table, planes = read_table(split), read_images(images)

    from cxr.training.gate import train_gate, write_gate  # loads TensorFlow: after the cheap checks

    trained = train_gate(table, planes, shared, recipe)

    write_gate(output, trained)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
