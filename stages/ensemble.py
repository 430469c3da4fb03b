"""Join trained networks in one that says the mean of their logits, and what each of them says."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors


def main(
    models: Annotated[Path, typer.Option(help="Folder of the trained networks.")] = Path("models"),
    output: Annotated[Path, typer.Option(help="Folder for the ensemble.")] = Path("models/ensemble"),
    params: Annotated[Path, typer.Option(help="Parameters: ensemble is read.")] = Path("params.yaml"),
) -> None:
    """Average the logits of the members; they must agree in classes, planes and data."""
    from cxr.core.params import read_params, section
    from cxr.inference.ensemble import EnsembleParams, ensemble, read_members, write_ensemble
    from cxr.inference.network import ENSEMBLE

    own = section(read_params(params), ENSEMBLE, EnsembleParams)

    members = read_members(models, own.members)

    made = ensemble(members, own.stored)

    write_ensemble(output, made)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
