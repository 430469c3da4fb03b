"""cxr-model: what a screening model is, whether it is what it says, and how it gets into the package."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cxr.cli.adapt import adapt
from cxr.cli.console import FATAL, below_help, command_line, stderr, stdout, user_errors

if TYPE_CHECKING:
    from cxr.validation.compare import ModelComparison


def comparison_tables(report: "ModelComparison") -> list[Table]:
    """Return the tables of a comparison."""
    return [_figures(report), _costs(report), _conditions(report)]


def remarks(report: "ModelComparison") -> list[str]:
    """Return what has to be said beside the tables."""
    half = report.half_precision
    assert half is not None, "it was asked for"
    may_know = ["the old model does not say what it was trained on; it may have seen test images"]
    return [
        f"{report.images:,} test images; {report.known_to_old:,} more were left out, because the old model was "
        "trained on them",
        *(may_know if report.old_may_know else []),
        f"16-bit weights: a probability changes by at most {half.largest_change:.2g}, {half.decisions_changed:,} "
        f"of {half.images:,} decisions change, {half.speed.ratio.median:.2f} times as fast, "
        f"{half.bytes:,} bytes instead of {half.bytes_float32:,}: {'taken' if half.taken else 'not taken'}",
    ]


def _figures(report: "ModelComparison") -> Table:
    from cxr.evaluation.stats.intervals import FINE_CHANGE, FINE_NUMBER

    table = Table("on the same images", "new", "old", "difference", "95 % interval")
    for name, figure in report.figures.items():
        new, old = map(FINE_NUMBER.number, (figure.new, figure.old))
        gap = figure.difference
        table.add_row(name, new, old, FINE_CHANGE.number(gap.value), FINE_CHANGE.bounds(gap))
    return table


def _costs(report: "ModelComparison") -> Table:
    from cxr.evaluation.stats.intervals import NUMBER, Interval, Notation

    new, old, speed = report.new, report.old, report.speed
    assert speed is not None, "it was asked for"
    table = Table("stated and weighed", "new", "old")
    table.add_row("model", new.model, old.model)
    for name in ("worst_source_recall", "lift_over_frame", "lung_dependence", "gflop"):
        table.add_row(name, *(NUMBER.number(getattr(one, name)) for one in (new, old)))
    table.add_row("failed audits", *(_audits(one.failed_audits) for one in (new, old)))
    table.add_row("bytes", f"{new.bytes:,}", f"{old.bytes:,}")
    table.add_row("milliseconds an image", *(NUMBER.number(one.median) for one in (speed.new, speed.old)))
    ratio = Interval(speed.ratio.median, speed.ratio.low, speed.ratio.high)
    table.add_row("times as fast as the old one", Notation(2).interval(ratio), "")
    return table


def _audits(failed: tuple[str, ...] | None) -> str:
    return "not stated" if failed is None else ", ".join(failed) or "none"


def _conditions(report: "ModelComparison") -> Table:
    table = Table("the new one may ship where", "found", "holds")
    for line in report.conditions:
        table.add_row(line.condition, line.found, "yes" if line.holds else "no")
    table.add_section()
    table.add_row("not worse", "", "yes" if report.not_worse else "no", style="bold")
    return table


WORSE = 3


def compare(
    new: Annotated[str, typer.Argument(metavar="NEW", help="Folder of a model that the run in --data made.")],
    old: Annotated[str, typer.Argument(metavar="OLD", help="Folder of another, or 'packaged'.")] = "packaged",
    data: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Project where NEW was made, with work/prepared and work/split.csv.")
    ] = Path(),
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write everything as JSON.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Measure NEW beside OLD on NEW's test split, and say whether NEW is not worse.

    Exit status: 0 it is not worse, 3 it is worse, 1 they cannot be compared.
    """
    with user_errors():
        worse = not _compared(_folder(new), _folder(old), data, json, seed)
    raise typer.Exit(WORSE if worse else 0)


def _compared(new: Path, old: Path, run: Path, target: Path | None, seed: int) -> bool:
    """Print the comparison, write it where that was asked for, and tell whether the new model is not worse."""
    from cxr.core.files import write_json
    from cxr.inference.model_folder import load_model
    from cxr.screening.tables import check_promise
    from cxr.validation.compare import compare as compare_models

    if target:
        check_promise("--json", target, "json")
    report = compare_models(load_model(new), load_model(old), run, seed)
    if target:
        write_json(target, report)
    for table in comparison_tables(report):
        stdout().print(table)
    for remark in remarks(report):
        stdout().print(remark, highlight=False, markup=False)
    return report.not_worse


def _folder(text: str) -> Path:
    from cxr.inference.model_folder import named_folder

    return named_folder(text)


app = command_line(
    no_args_is_help=True,
    epilog=below_help(
        "cxr-model info",
        "cxr-model verify data/ --model models/screening",
        then="Exit status: 0 done, 1 a claim fails or a model cannot be used, 2 usage, 3 worse. Options of a command: "
        "cxr-model verify --help",
    ),
)

Model = Annotated[Path | None, typer.Option(help="Folder of a screening model; default: the packaged one.")]


@app.callback()
def main() -> None:
    """Describe, verify, compare and package screening models. For research; not a medical device."""


@app.command()
def info(model: Model = None) -> None:
    """Print the description of a model as JSON: classes, params, data, environment, metrics."""
    from cxr.inference.model_folder import describe_model, packaged_folder

    with user_errors():
        typer.echo(json.dumps(describe_model(model or packaged_folder()), indent=2))


@app.command()
def verify(
    data: Annotated[Path, typer.Argument(help="The data that the model was trained on.")],
    model: Model = None,
) -> None:
    """Recompute sha256, test split and test metrics of a model from DATA; exit status 1 where a claim fails."""
    from cxr.cli.console import bars
    from cxr.inference.model_folder import load_model, packaged_folder
    from cxr.validation.reproduce import verify as verify_model

    with user_errors():
        loaded = load_model(model or packaged_folder())
        checks = verify_model(loaded, data, bars)
    for check in checks:
        verdict = "ok  " if check.holds else "FAIL"
        stdout().print(f"{verdict}  {check.claim}: stated {check.stated}, found {check.found}", highlight=False)
    if not all(check.holds for check in checks):
        raise typer.Exit(FATAL)


@app.command()
def package(
    source: Annotated[Path, typer.Argument(help="Folder written by evaluate, such as models/screening.")],
    commit: Annotated[str, typer.Option(help="Commit of this repository that the model was trained by.")],
    card: Annotated[Path, typer.Option(help="Model card to write.")] = Path("MODEL_CARD.md"),
    compared: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Comparison that the model must have passed, such as release/compare.json."),
    ] = None,
) -> None:
    """Make SOURCE the packaged model and write MODEL_CARD.md from its description.

    Exit status: 0 packaged, 3 the comparison says that it is worse, 1 it cannot be packaged.
    """
    from cxr.evaluation.write import package_model
    from cxr.inference.model_folder import packaged_folder

    with user_errors():
        if compared and not _passed(compared, source):
            stderr().print(f"{source} is worse by {compared}; nothing was packaged", markup=False)
            raise typer.Exit(WORSE)
        description = package_model(source, packaged_folder(), card, commit)
    stderr().print(f"packaged {description['name']} and wrote {card}")


def _passed(compared: Path, source: Path) -> bool:
    """Tell whether the comparison finds the model in `source` not worse. Raises ModelError where it is of another."""
    from cxr.core.errors import ModelError
    from cxr.core.files import read_json
    from cxr.inference.model_folder import load_model

    try:
        found = read_json(compared)
        identity, not_worse = str(found["new"]["model"]), bool(found["not_worse"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{compared} is no comparison ({error!r}); make it with: dvc repro release/dvc.yaml"
        ) from error
    if identity != load_model(source).identity:
        raise ModelError(f"{compared} is of {identity}, not of the model in {source}; run: dvc repro release/dvc.yaml")
    return not_worse


app.command()(compare)
app.command()(adapt)


def run() -> None:
    """Run the console script; its imports are lazy, so that a missing extra is a sentence here as well."""
    with user_errors():
        app()
