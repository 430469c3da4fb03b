"""`cxr-eval results.csv labels.csv`: what is a table of answers worth?"""

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
    from cxr.validation.external import ReportBlock

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
        from cxr.validation.external import blocks, compare_tables, evaluate_table, render_markdown
        from cxr.validation.labels import parse_results, read_labels

        *results, labels = tables
        found = [parse_results(path.name, read_table(path)) for path in results]
        known = read_labels(labels, escape)
        report = compare_tables(found[0], found[1], known, seed) if compare else evaluate_table(found[0], known, seed)
        if output:
            write_json(output, report)
        if markdown:
            write_text(markdown, render_markdown(report))
    for block in blocks(report):
        _print(block)


def _print(block: "ReportBlock") -> None:
    stdout().print(f"\n[bold]{without_markup(block.title)}[/bold]", highlight=False)
    for sentence in block.sentences:
        stdout().print(sentence, highlight=False, markup=False)
    if not block.rows:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, name in enumerate(block.header):
        table.add_column(without_markup(name), justify="right" if number else "left", no_wrap=not number)
    for row in block.rows:
        table.add_row(*map(without_markup, row))
    stdout().print(table)
