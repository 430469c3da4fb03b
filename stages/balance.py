"""Choose as many images of each class as the smallest has."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors


def main(
    manifest: Annotated[Path, typer.Option(help="Table written by prepare.")] = Path("work/prepared/manifest.csv"),
    output: Annotated[Path, typer.Option(help="Table of the chosen rows.")] = Path("work/balanced.csv"),
    params: Annotated[Path, typer.Option(help="Parameters: seed and balance are read.")] = Path("params.yaml"),
) -> None:
    """Undersample every class to the same size; one of each group of equal pixels; no row is ever copied."""
    from cxr.core.manifest import read_table, write_table
    from cxr.core.params import SeedParams, read_params, section, top_level
    from cxr.dataset.sampling import BalanceParams, balance_rows

    values = read_params(params)
    seed, own = top_level(values, SeedParams).seed, section(values, "balance", BalanceParams)

    table = read_table(manifest)

    balanced = balance_rows(table, own, seed)

    write_table(output, balanced)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
