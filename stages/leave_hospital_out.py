"""Train a network again without each of some hospitals, and ask it about films of the one that it never saw."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors

PARAMS = [Path("params.yaml"), Path("release/params.yaml")]


def main(
    images: Annotated[Path, typer.Option(help="Array written by prepare.")] = Path("work/prepared/images.npy"),
    manifest: Annotated[Path, typer.Option(help="Table written by prepare.")] = Path("work/prepared/manifest.csv"),
    split: Annotated[Path, typer.Option(help="Table written by split.")] = Path("work/split.csv"),
    weights: Annotated[Path, typer.Option(help="Folder with files of published weights.")] = Path("weights"),
    output: Annotated[Path, typer.Option(help="Table of the answers.")] = Path("release/leave_hospital_out.csv"),
    params: Annotated[list[Path], typer.Option(help="Parameters; leave_hospital_out names the network.")] = PARAMS,
) -> None:
    """Train once without each hospital; write what the network says of its films and of validation."""
    from cxr.core.manifest import read_images, read_table, write_table
    from cxr.core.params import CommonParams, read_params, section, top_level
    from cxr.models import architecture
    from cxr.training.leave_hospital_out import LeaveHospitalOutParams, leave_hospitals_out, plan_hospitals

    values = read_params(*params)
    shared, own = top_level(values, CommonParams), section(values, "leave_hospital_out", LeaveHospitalOutParams)
    recipe = section(values, f"train_{own.network}", architecture(own.network).params)

    table, everything, planes = read_table(split), read_table(manifest), read_images(images)
    plan = plan_hospitals(table, everything, own.hospitals, shared.classes)

    answers = leave_hospitals_out(plan, own.network, planes, shared, recipe, weights / own.network)

    write_table(output, answers)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
