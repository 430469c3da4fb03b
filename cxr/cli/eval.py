"""`cxr-eval results.csv labels.csv`: what is a table of answers worth?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape as without_markup
from rich.table import Table

from cxr.cli.console import below_help, command_line, stderr, stdout, user_errors
from cxr.core.errors import DataError, UsageError
from cxr.core.files import real, write_json, write_text
from cxr.core.redcap import dictionary_beside
from cxr.screening.paths import unescape
from cxr.screening.tables import OutputFiles, check_promise, read_numbered

if TYPE_CHECKING:
    from cxr.inference.decisions import DecisionRecord
    from cxr.validation.external import TableEvaluation
    from cxr.validation.paired import TableComparison
    from cxr.validation.report import ReportBlock
    from cxr.validation.results import ResultsTable

app = command_line()

EPILOG = below_help(
    "cxr-eval results.csv labels.csv",
    "cxr-eval results.csv labels.xlsx --by site --prevalence 2%,10%",
    "cxr-eval results.csv labels.csv --figures figures --tidy figures.csv",
    "cxr-eval results.csv labels.csv --positive 'PCR+' --negative 'PCR-'",
    "cxr-eval --compare a.csv b.csv labels.csv",
    then="Exit status: 0 measured, 1 tables or labels cannot be used, 2 usage. Needs the extra 'eval'.",
)
LABELS, MEASURED, WRITTEN = "Labels", "What is measured", "What is written"


@app.command(epilog=EPILOG)
def main(
    tables: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS [RESULTS] LABELS",
            help="Table of cxr-batch, two with --compare; then a CSV file or an Excel workbook with a column of files "
            "and one of labels, or a folder whose folders are classes.",
            show_default=False,
        ),
    ],
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Compare the networks of two tables on the files that all of them answered."),
    ] = False,
    path_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column of the files' names; by default path, file, filename, file_name or image.",
            rich_help_panel=LABELS,
        ),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Column of the labels; by default label, class or diagnosis.", rich_help_panel=LABELS
        ),
    ] = None,
    patient_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column that is equal for files of one patient; by default patient, patient_id or group.",
            rich_help_panel=LABELS,
        ),
    ] = None,
    sheet: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Sheet of a workbook; by default the first with such columns.", rich_help_panel=LABELS
        ),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV file or workbook with the columns label,means: a class, positive, negative or leave_out.",
            rich_help_panel=LABELS,
        ),
    ] = None,
    positive: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL",
            help="A label that means the class that is looked for; may be repeated.",
            rich_help_panel=LABELS,
        ),
    ] = None,
    negative: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL", help="A label that means anything else; may be repeated.", rich_help_panel=LABELS
        ),
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL", help="A label whose files are not measured; may be repeated.", rich_help_panel=LABELS
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="Class that is looked for; by default that of the table's decisions.",
            rich_help_panel=MEASURED,
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Measure each group of a column too, such as site, or age=18,65; may be repeated.",
            rich_help_panel=MEASURED,
        ),
    ] = None,
    prevalence: Annotated[
        str | None,
        typer.Option(
            metavar="P[,P...]",
            help="Predictive values where the class has these shares, such as 2%,10%.",
            rich_help_panel=MEASURED,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of bootstrap and simulated calibration.", rich_help_panel=MEASURED)
    ] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write all figures as JSON.", rich_help_panel=WRITTEN),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what is printed as Markdown.", rich_help_panel=WRITTEN)
    ] = None,
    tidy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write CSV, a row a figure.", rich_help_panel=WRITTEN)
    ] = None,
    redcap: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write CSV, a record a figure, as REDCap imports it, and its data dictionary.",
            rich_help_panel=WRITTEN,
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Draw the curves, each as SVG and PNG.", rich_help_panel=WRITTEN),
    ] = None,
) -> None:
    """Measure a table of cxr-batch against labels, with intervals; or compare two tables. Nothing is fitted."""
    if len(tables) != 2 + compare:
        expected = "two tables and labels" if compare else "a table and labels, or two tables with --compare"
        raise typer.BadParameter(f"expected {expected}; got {len(tables)} names")
    outputs = _Outputs(output, markdown, tidy, redcap, figures)
    with user_errors(extra="eval"):
        from cxr.validation.external import Question, evaluate_table
        from cxr.validation.grouping import parse_by, parse_prevalences
        from cxr.validation.labels import Columns, read_labels, read_meanings
        from cxr.validation.paired import compare_tables

        if compare and (by or prevalence is not None or tidy or redcap or figures):
            raise UsageError("--by, --prevalence, --tidy, --redcap and --figures are for one table, not for --compare")
        outputs.check([*tables, *([mapping] if mapping else [])])
        question = Question(
            means=read_meanings(mapping, positive or (), negative or (), leave_out or ()),
            target=target,
            by=tuple(map(parse_by, by or ())),
            prevalences=parse_prevalences(prevalence) if prevalence is not None else (),
            seed=seed,
        )
        with stderr().status("reading the tables"):
            found = list(map(_read_results, tables[:-1]))
            known = read_labels(tables[-1], unescape, Columns(path_column, label_column, patient_column, sheet))
        with stderr().status("measuring, with intervals: some seconds for a thousand files"):
            report = (
                compare_tables(found[0], found[1], known, question)
                if compare
                else evaluate_table(found[0], known, question)
            )
        outputs.write(report)


def _read_results(path: Path) -> "ResultsTable":
    """Read a table of cxr-batch, its decisions against its manifest where that lies beside it."""
    from cxr.screening.schema import status_of
    from cxr.validation.results import parse_results

    numbers, rows = [], []
    for number, cells in read_numbered(path):
        numbers.append(number)
        rows.append(cells)
    return parse_results(path.name, rows, unescape, numbers=numbers, status_of=status_of, applied=_applied(path))


def _applied(path: Path) -> "dict[str, DecisionRecord]":
    """Return what decided by the network's identity; nothing without a manifest of this version, as of older tables."""
    from cxr.screening.run_manifest import read_run_result

    try:
        models = read_run_result(path).manifest.models
    except DataError:
        return {}
    return {model.model: model.decisions for model in models if model.decisions}


@dataclass(frozen=True, slots=True)
class _Outputs:
    """Where what is found goes, beside the console."""

    json: Path | None
    markdown: Path | None
    tidy: Path | None
    redcap: Path | None
    figures: Path | None

    def check(self, inputs: Sequence[Path]) -> None:
        """Refuse to write over what is read, two things into one file, or under a name of another form.

        Raises:
            UsageError: It would do so.
        """
        taken = {real(path): f"{path} is read" for path in inputs}
        for beside in map(OutputFiles, inputs):
            taken |= {
                real(path): f"it tells how {beside.results} was made" for path in (beside.manifest, beside.journal)
            }
        for option, path in self._files():
            if why := taken.get(real(path)):
                raise UsageError(f"{option} would be {path}, but {why}; give another name")
            taken[real(path)] = f"{option} is written there"
            check_promise(option, path, {"--output": "json", "--markdown": "md"}.get(option, "csv"))
        for folder in (path for path in inputs if path.is_dir()):
            if self.figures and real(self.figures).is_relative_to(real(folder)):
                raise UsageError(
                    f"--figures {self.figures} lies in {folder}, whose pictures are taken for labelled films; give a "
                    "folder somewhere else"
                )

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Yield each file that is to be written, with the option that names it."""
        named = {"--output": self.json, "--markdown": self.markdown, "--tidy": self.tidy, "--redcap": self.redcap}
        yield from ((option, path) for option, path in named.items() if path)
        if self.redcap:
            yield "the dictionary of --redcap", dictionary_beside(self.redcap)

    def write(self, report: "TableEvaluation | TableComparison") -> None:
        """Write the files, then print."""
        from cxr.validation.external import TableEvaluation
        from cxr.validation.report import blocks, render_markdown, tidy_table, write_redcap_figures

        if self.json:
            write_json(self.json, report)
        if self.markdown:
            write_text(self.markdown, render_markdown(report))
        if isinstance(report, TableEvaluation):
            if self.tidy:
                write_text(self.tidy, tidy_table(report))
            if self.redcap:
                write_redcap_figures(self.redcap, report)
            if self.figures:
                from cxr.validation.plots import draw_figures

                with stderr().status("drawing the figures"):
                    draw_figures(report, self.figures)
        for block in blocks(report):
            _print(block)


_WIDEST = 1000  # characters: figures stay on their lines, also where the terminal is narrow


def _print(block: "ReportBlock") -> None:
    stdout().print(f"\n[bold]{without_markup(block.title)}[/bold]", highlight=False)
    for sentence in block.sentences:
        stdout().print(sentence, highlight=False, markup=False)
    if not block.rows:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, name in enumerate(block.header):
        table.add_column(without_markup(name), justify="right" if number else "left", no_wrap=True)
    for row in block.rows:
        table.add_row(*map(without_markup, row))
    console = stdout()
    console.width = _WIDEST
    console.print(table)
