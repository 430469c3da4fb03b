"""Read what `cxr-eval` was given, and give out what was found."""

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape as without_markup
from rich.table import Table

from cxr.cli.console import stdout
from cxr.evaluation.external.blocks import blocks, render_markdown
from cxr.evaluation.external.comparing import compare_tables
from cxr.evaluation.external.labels import read_labels
from cxr.evaluation.external.measuring import evaluate_table
from cxr.evaluation.external.screened import Screened, parse_screened
from cxr.files import JsonObject, write_json, write_text
from cxr.screening.escape import escape
from cxr.screening.tables import read_table


def measure(results: Sequence[Path], labels: Path, seed: int) -> JsonObject:
    """Measure one table, or compare two.

    Raises:
        DataError: A file cannot be read, or does not fit the others.
        UsageError: A table is Parquet and its extra is not installed.
    """
    tables = [_read(path) for path in results]
    known = read_labels(labels, escape)
    if len(tables) == 1:
        return evaluate_table(tables[0], known, seed)
    first, second = tables
    return compare_tables(first, second, known, seed)


def write(report: JsonObject, output: Path | None, markdown: Path | None) -> None:
    """Write the report's files that were asked for."""
    if output:
        write_json(output, report)
    if markdown:
        write_text(markdown, render_markdown(report))


def show(report: JsonObject) -> None:
    """Print the report's tables."""
    console = stdout()
    for block in blocks(report):
        console.print(f"\n[bold]{_plain(block.title)}[/bold]", highlight=False)
        for sentence in block.sentences:
            console.print(sentence, highlight=False, markup=False)
        if block.rows:
            console.print(_table(block.header, block.rows))


def _read(path: Path) -> Screened:
    return parse_screened(path.name, read_table(path))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, name in enumerate(header):
        table.add_column(_plain(name), justify="right" if number else "left", no_wrap=not number)
    for row in rows:
        table.add_row(*map(_plain, row))
    return table


def _plain(text: str) -> str:
    return without_markup(text)
