"""`cxr-model compare` and `cxr-model release`, as `cxr.cli.model` names them."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.console import stderr, stdout, user_errors

if TYPE_CHECKING:
    from cxr.cli.release_plan import Release

WORSE = 3


def compare(
    new: Annotated[str, typer.Argument(metavar="NEW", help="Folder of a model that the run in --data made.")],
    old: Annotated[str, typer.Argument(metavar="OLD", help="Folder of another, or 'packaged' or 'fast'.")] = "packaged",
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


def release(
    data: Annotated[Path, typer.Argument(help="Radiographs, as cxr-data import takes them.")],
    keep: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Work there, keep it, and go on there after an interruption.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the steps.")] = False,
) -> None:
    """Train on DATA in a clone of this project, compare with the packaged models and package what is not worse.

    Run it in the project's folder, with everything committed. The params of a release are in release.yaml. A fast
    model that is worse than the packaged one leaves that in its place.
    Exit status: 0 packaged, 3 the new model is worse and nothing was packaged, 1 a step failed.
    """
    with user_errors():
        from cxr.cli.release_plan import SCREENING, plan

        clone = keep or Path(tempfile.gettempdir()) / "cxr-release"
        planned = plan(Path(), data, clone if keep or dry_run else Path(tempfile.mkdtemp(prefix="cxr-release-")))
        if dry_run:
            for number, step in enumerate(planned.steps, 1):
                stdout().print(f"{number}. {step}", highlight=False, markup=False)
            raise typer.Exit
        from cxr.cli.release import package, train

        finished = False
        try:
            experiment = train(planned)
            fit = _fit(planned)
            if SCREENING not in fit:
                stderr().print("the new model is worse; nothing was packaged", highlight=False)
                raise typer.Exit(WORSE)
            package(planned, experiment, fit)
            finished = True
        finally:
            if finished and not keep:
                shutil.rmtree(planned.clone, ignore_errors=True)
            elif not keep:
                stderr().print(f"what was done is in {planned.clone}; go on with --keep {planned.clone}", markup=False)
    stderr().print(
        f"packaged {' and '.join(fit)} of {experiment}; look at them with git diff, and commit them", markup=False
    )


def _fit(release: "Release") -> list[str]:
    """Return those of a release's models that are not worse than what they would replace; each is compared."""
    from cxr.cli.release_plan import PACKAGED

    fit = []
    for made, (name, _) in PACKAGED.items():
        old = release.root / "cxr" / name
        stdout().print(f"{made} beside cxr/{name}", highlight=False)
        if not old.is_dir() or _compared(release.clone / made, old, release.clone, None, 0):
            fit.append(made)
        else:
            stderr().print(f"{made} is worse than cxr/{name}, which stays", highlight=False)
    return fit


def _compared(new: Path, old: Path, run: Path, target: Path | None, seed: int) -> bool:
    """Print the comparison, write it where that was asked for, and tell whether the new model is not worse."""
    from cxr.cli.release_table import comparison_tables, remarks
    from cxr.files import write_json
    from cxr.model_folder import load_model
    from cxr.release.comparing import compare as compare_models

    report = compare_models(load_model(new), load_model(old), run, seed)
    if target:
        write_json(target, report)
    for table in comparison_tables(report):
        stdout().print(table)
    for remark in remarks(report):
        stdout().print(remark, highlight=False, markup=False)
    return bool(report["not_worse"])


def _folder(text: str) -> Path:
    from cxr.cli.batch_models import named_folder

    return named_folder(text)
