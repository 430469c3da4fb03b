"""cxr-model: what a screening model is, whether it is what it says, and how it gets into the package."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli import release_commands
from cxr.cli.console import FATAL, stderr, stdout, user_errors

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_show_locals=False)

Model = Annotated[Path | None, typer.Option(help="Folder of a screening model; default: the packaged one.")]


@app.callback()
def main() -> None:
    """Describe, verify, compare, package and release screening models. For research; not a medical device."""


@app.command()
def info(model: Model = None) -> None:
    """Print the description of a model as JSON: classes, params, data, environment, metrics."""
    import json

    from cxr.model_folder import describe_model, packaged_folder

    with user_errors():
        typer.echo(json.dumps(describe_model(model or packaged_folder()), indent=2))


@app.command()
def verify(
    data: Annotated[Path, typer.Argument(help="The release that the model was trained on.")],
    model: Model = None,
) -> None:
    """Recompute sha256, test split and test metrics of a model from DATA; exit status 1 where a claim fails."""
    from cxr.cli.progress import bars
    from cxr.evaluation.verifying import verify as verify_model
    from cxr.model_folder import load_model, packaged_folder

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
    fast: Annotated[bool, typer.Option("--fast", help="Make it the one that 'cxr-batch --model fast' takes.")] = False,
) -> None:
    """Make SOURCE the packaged model and write MODEL_CARD.md from its description."""
    from cxr.cli.batch_models import named_folder
    from cxr.evaluation.packaging import package_model

    with user_errors():
        description = package_model(source, named_folder("fast" if fast else "packaged"), card, commit)
    stderr().print(f"packaged {description['name']} and wrote {card}")


app.command()(release_commands.compare)
app.command()(release_commands.release)


def run() -> None:
    """Run the console script; its imports are lazy, so that a missing extra is a sentence here as well."""
    with user_errors():
        app()
