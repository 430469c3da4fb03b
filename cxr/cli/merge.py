"""`cxr-batch-merge shard1.csv shard2.csv -o results.csv`: join the tables of all shards."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import stderr, user_errors
from cxr.errors import OutputError
from cxr.screening.tables import Format

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@app.command(epilog="Exit status: 0 joined, 1 refused or not writable, 2 usage.")
def main(
    shards: Annotated[
        list[Path],
        typer.Argument(metavar="TABLE...", help="Tables written with --shard, each one once; or one whole one."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Table to write.")],
    format: Annotated[
        Format | None, typer.Option(help="Form of the table. [default: by the suffix of --output, else csv]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing table.")] = False,
) -> None:
    """Join the tables of all shards into the one that a single run would have written; overlap and gaps are refused.

    One whole table, such as a folder of --partitions, is written in another form.
    """
    from cxr.screening.described import read_described
    from cxr.screening.merge import merge
    from cxr.screening.output import locked, output_files
    from cxr.screening.tables import check_format, format_of

    with user_errors():
        files = output_files(output)
        if not overwrite and (files.results.exists() or files.journal.exists()):
            raise OutputError(f"{output} exists already; give another output or --overwrite")
        wanted = format or format_of(output)
        check_format(wanted)
        with locked(files):
            tally = merge([read_described(path) for path in shards], files, wanted)
    stderr().print(f"{tally.rows:,} rows of {len(shards)} tables in {output}", highlight=False, markup=False)
