"""Train a network again without each of some hospitals, and ask it about films of the one that it never saw."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors

PARAMS = [Path("params.yaml"), Path("release/params.yaml")]


def main(
    prepared: Annotated[Path, typer.Option(help="Folder written by prepare.")] = Path("work/prepared"),
    split: Annotated[Path, typer.Option(help="Table written by split.")] = Path("work/split.csv"),
    weights: Annotated[Path, typer.Option(help="Folder with files of published weights.")] = Path("weights"),
    output: Annotated[Path, typer.Option(help="Table of the answers.")] = Path("release/leave_hospital_out.csv"),
    params: Annotated[list[Path], typer.Option(help="Parameters; leave_hospital_out names the network.")] = PARAMS,
) -> None:
    """Train once without each hospital; write what the network says of its films and of validation."""
    from cxr.core.manifest import MANIFEST_FILE, network_planes, read_table, write_table
    from cxr.core.params import CommonParams, read_params, section, top_level
    from cxr.core.process import pin_instructions
    from cxr.models import architecture
    from cxr.training.refit_plan import LeaveHospitalOutParams, plan_hospitals

    values = read_params(*params)
    shared, own = top_level(values, CommonParams), section(values, "leave_hospital_out", LeaveHospitalOutParams)
    pin_instructions(shared.runtime.instructions)  # before TensorFlow is loaded
    recipe = section(values, f"train_{own.network}", architecture(own.network).params)

    planes = network_planes(prepared, own.network, recipe.side)
    plan = plan_hospitals(read_table(split), read_table(prepared / MANIFEST_FILE), own.hospitals, shared.classes)

    from cxr.training.leave_hospital_out import leave_hospitals_out

    answers = leave_hospitals_out(plan, own.network, planes, shared, recipe, weights / own.network)

    write_table(output, answers)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
