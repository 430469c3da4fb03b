"""Train cnn1 again without each source of one class, and ask it about the images of that source."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors

PARAMS = [Path("params.yaml"), Path("release/params.yaml")]


def main(
    images: Annotated[Path, typer.Option(help="Array written by prepare.")] = Path("work/prepared/images.npy"),
    split: Annotated[Path, typer.Option(help="Table written by split.")] = Path("work/split.csv"),
    output: Annotated[Path, typer.Option(help="Table of the answers.")] = Path("release/leave_source_out.csv"),
    params: Annotated[list[Path], typer.Option(help="Parameters; the recipe is that of train_cnn1.")] = PARAMS,
) -> None:
    """Refit cnn1 once with everything and once without each source of the target class; write what it answers."""
    from cxr.core.manifest import read_images, read_table, write_table
    from cxr.core.params import CommonParams, read_params, section, top_level
    from cxr.core.process import pin_instructions
    from cxr.models import SmallParams
    from cxr.training.refit_plan import LeaveSourceOutParams, plan_refits

    values = read_params(*params)
    shared, recipe = top_level(values, CommonParams), section(values, "train_cnn1", SmallParams)
    pin_instructions(shared.runtime.instructions)  # before TensorFlow is loaded
    own = section(values, "leave_source_out", LeaveSourceOutParams)

    table, planes = read_table(split), read_images(images)
    plan = plan_refits(table, own.target, shared.classes)

    from cxr.training.leave_source_out import leave_source_out  # loads TensorFlow: after the cheap checks

    answers = leave_source_out(plan, planes, shared, own.shortened(recipe))

    write_table(output, answers)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
