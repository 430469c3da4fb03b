"""Put every image into train, validation or test; a patient and a group of duplicates stay together."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors


def main(
    balanced: Annotated[Path, typer.Option(help="Table written by balance.")] = Path("work/balanced.csv"),
    output: Annotated[Path, typer.Option(help="Table with the columns group and split.")] = Path("work/split.csv"),
    params: Annotated[Path, typer.Option(help="Parameters: seed and split are read.")] = Path("params.yaml"),
) -> None:
    """Split by class into train, validation and test, and stop if a picture or a patient would be in two."""
    from cxr.dataset.splitting import SplitParams, split_rows
    from cxr.manifest import read_table, write_table
    from cxr.params import SeedParams, read_params, section, top_level

    values = read_params(params)
    seed, own = top_level(values, SeedParams).seed, section(values, "split", SplitParams)

    table = read_table(balanced)

    split = split_rows(table, own, seed)

    write_table(output, split)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
