"""Join trained networks in one that says the mean of their logits, and what each of them says."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors

PARAMS = [Path("params.yaml"), Path("release/params.yaml")]


def main(
    networks: Annotated[
        list[Path], typer.Argument(help="Folders of the members, or of several.", metavar="NETWORK...")
    ],
    output: Annotated[Path, typer.Option(help="Folder for the ensemble.")] = Path("release/models/ensemble"),
    params: Annotated[list[Path], typer.Option(help="Parameters: ensemble is read.")] = PARAMS,
) -> None:
    """Average the logits of the members; they must agree in classes, planes and data."""
    from cxr.core.params import read_params, section
    from cxr.inference.ensemble import EnsembleParams, ensemble, member_folders, read_members, write_ensemble
    from cxr.inference.network import ENSEMBLE

    own = section(read_params(*params), ENSEMBLE, EnsembleParams)

    members = read_members(member_folders(networks))

    made = ensemble(members, own.stored)

    write_ensemble(output, made)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
