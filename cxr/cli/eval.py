"""`cxr-eval results.csv labels.csv`: what is a table of answers worth?"""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@app.command(epilog="Exit status: 0 measured, 1 tables or labels cannot be used, 2 usage. Needs the extra 'pipeline'.")
def main(
    tables: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS [RESULTS] LABELS",
            help="Table of cxr-batch, two with --compare; then a CSV file with the columns "
            "path,label[,group][,source], or a folder whose folders are classes.",
            show_default=False,
        ),
    ],
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Compare the networks of two tables on the files that all of them answered."),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write all figures as JSON.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables as Markdown.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of bootstrap and simulated calibration.")] = 0,
) -> None:
    """Measure a table of cxr-batch against labels, with intervals; or compare two tables. Nothing is fitted."""
    if len(tables) != 2 + compare:
        expected = "two tables and labels" if compare else "a table and labels, or two tables with --compare"
        raise typer.BadParameter(f"expected {expected}; got {len(tables)} names")
    with user_errors():
        from cxr.cli.eval_run import measure, show, write

        *results, labels = tables
        report = measure(results, labels, seed)
        write(report, output, markdown)
    show(report)
