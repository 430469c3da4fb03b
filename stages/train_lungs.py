"""Train the lung segmenter, a small network that says where the lungs of a chest radiograph are."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors

PARAMS = [Path("params.yaml"), Path("release/params.yaml")]


def main(
    prepared: Annotated[Path, typer.Option(help="Folder written by prepare.")] = Path("work/prepared"),
    split: Annotated[Path, typer.Option(help="Table written by split.")] = Path("work/split.csv"),
    output: Annotated[Path, typer.Option(help="Folder for the segmenter.")] = Path("release/models/lungs"),
    params: Annotated[list[Path], typer.Option(help="Parameters.")] = PARAMS,
) -> None:
    """Learn from the lung masks of the release, or take the packaged segmenter where it has none."""
    from cxr.core.files import make_folder
    from cxr.core.manifest import IMAGES_FILE, MANIFEST_FILE, MASKS_FILE, read_images, read_table
    from cxr.core.params import CommonParams, read_params, section, top_level
    from cxr.core.process import pin_instructions
    from cxr.inference.model_folder import copy_lungs, packaged_folder
    from cxr.training.params import LungParams

    values = read_params(*params)
    shared, recipe = top_level(values, CommonParams), section(values, "train_lungs", LungParams)
    pin_instructions(shared.runtime.instructions)  # before TensorFlow is loaded

    table, manifest = read_table(split), read_table(prepared / MANIFEST_FILE)
    planes, masks = (read_images(prepared / name) for name in (IMAGES_FILE, MASKS_FILE))

    if not len(masks):
        typer.echo(f"no image has a lung mask: {output} is the packaged segmenter")
        make_folder(output)
        copy_lungs(packaged_folder(), output)
        return

    from cxr.training.lungs import train_lungs, write_lungs  # loads TensorFlow: after the cheap checks

    trained = train_lungs(table, manifest, planes, masks, shared, recipe)

    write_lungs(output, trained)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
