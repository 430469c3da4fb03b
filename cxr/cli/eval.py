"""`cxr-eval results.csv labels.csv`: what is a table of answers worth?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape as without_markup
from rich.table import Table

from cxr.cli.console import stdout, user_errors
from cxr.core.files import write_json, write_text
from cxr.screening.paths import escape
from cxr.screening.tables import read_table

if TYPE_CHECKING:
    from cxr.validation.external import TableComparison, TableEvaluation
    from cxr.validation.labels import ResultsTable


def measure(results: Sequence[Path], labels: Path, seed: int) -> "TableEvaluation | TableComparison":
    """Measure one table, or compare two.

    Raises:
        DataError: A file cannot be read, or does not fit the others.
        UsageError: A table is Parquet and its extra is not installed.
    """
    from cxr.validation.external import compare_tables, evaluate_table
    from cxr.validation.labels import read_labels

    tables = [_read(path) for path in results]
    known = read_labels(labels, escape)
    if len(tables) == 1:
        return evaluate_table(tables[0], known, seed)
    first, second = tables
    return compare_tables(first, second, known, seed)


def write(report: "TableEvaluation | TableComparison", output: Path | None, markdown: Path | None) -> None:
    """Write the report's files that were asked for."""
    from cxr.validation.external import render_markdown

    if output:
        write_json(output, report)
    if markdown:
        write_text(markdown, render_markdown(report))


def show(report: "TableEvaluation | TableComparison") -> None:
    """Print the report's tables."""
    from cxr.validation.external import blocks

    console = stdout()
    for block in blocks(report):
        console.print(f"\n[bold]{_plain(block.title)}[/bold]", highlight=False)
        for sentence in block.sentences:
            console.print(sentence, highlight=False, markup=False)
        if block.rows:
            console.print(_table(block.header, block.rows))


def _read(path: Path) -> "ResultsTable":
    from cxr.validation.labels import parse_results

    return parse_results(path.name, read_table(path))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, name in enumerate(header):
        table.add_column(_plain(name), justify="right" if number else "left", no_wrap=not number)
    for row in rows:
        table.add_row(*map(_plain, row))
    return table


def _plain(text: str) -> str:
    return without_markup(text)


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
        *results, labels = tables
        report = measure(results, labels, seed)
        write(report, output, markdown)
    show(report)
