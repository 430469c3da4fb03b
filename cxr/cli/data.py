"""`cxr-data`: bring in radiographs, draw synthetic ones, fetch ImageNet weights."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cxr.cli.console import stderr, stdout, user_errors
from cxr.cli.progress import bars

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False, no_args_is_help=True, help=__doc__)

Root = Annotated[Path, typer.Option(metavar="FOLDER", help="The project's folder, the one with params.yaml.")]


class Which(StrEnum):
    """Choices of `cxr-data weights`."""

    VGG16 = "vgg16"
    RESNET50 = "resnet50"
    LITE0 = "lite0"
    ALL = "all"


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Downloaded archive (zip, tar, tar.gz) or folder.")],
    root: Root = Path(),
    allow_unreadable: Annotated[
        bool, typer.Option("--allow-unreadable", help="Import although images cannot be read.")
    ] = False,
    no_dvc: Annotated[bool, typer.Option("--no-dvc", help="Leave data.dvc alone; do not run 'dvc add data'.")] = False,
    max_gigabytes: Annotated[float, typer.Option(min=0.001, help="Largest unpacked size of an archive, GB.")] = 20.0,
) -> None:
    """Check a release of class folders in full, then make it the project's data/ and track it with DVC.

    The class folders may lie at any depth, with images/ and masks/ in them or flat. Nothing changes when a check fails.
    """
    from cxr.cli.import_report import remarks, tables
    from cxr.dataset.archive import Limits
    from cxr.dataset.importing import put_in_place, staged
    from cxr.dataset.inspection import require_readable
    from cxr.dataset.project import open_project

    with user_errors(), _terminated_like_ctrl_c():
        project = open_project(root, dvc=not no_dvc)
        _warn_of_leftovers(root)
        with staged(path, project, Limits(total_bytes=int(max_gigabytes * 1e9)), bars) as release:
            if not allow_unreadable:
                require_readable(release.inspected)
            for table in tables(release):
                stdout().print(table)
            for remark in remarks(release):
                stdout().print(remark, highlight=False)
            with stderr().status("writing data/, params.yaml" + ("" if no_dvc else " and data.dvc")):
                put_in_place(release, dvc=not no_dvc)
            stdout().print(
                f"data/ has {release.expected_files} images of the classes; next: dvc repro", highlight=False
            )


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="New folder for the release.")],
    seed: Annotated[int, typer.Option(min=0, help="Other seeds draw other pictures.")] = 7,
    per_class: Annotated[int, typer.Option(min=1, help="Images of each class.")] = 60,
    per_opacity: Annotated[int, typer.Option(min=1, help="Images of the discarded class.")] = 20,
) -> None:
    """Draw a synthetic release: phantoms that look roughly like chest radiographs and show nobody."""
    from cxr.dataset.sample import write_sample

    with user_errors(), stderr().status("drawing"):
        write_sample(folder, seed=seed, per_class=per_class, per_opacity=per_opacity)
    stdout().print(f"{escape(str(folder))} holds a synthetic release", highlight=False)


@app.command()
def weights(
    which: Annotated[Which, typer.Argument(help="Whose weights.")] = Which.ALL,
    root: Root = Path(),
) -> None:
    """Fetch the published ImageNet weights into weights/MODEL/ and check them; right ones are left alone."""
    from cxr.models.fetching import fetch
    from cxr.models.weights import PUBLISHED

    with user_errors():
        for model in PUBLISHED if which is Which.ALL else [which.value]:
            folder = root / "weights" / model
            fetched = fetch(PUBLISHED[model], folder, bars)
            words = "fetched" if fetched else "already there"
            stdout().print(f"{escape(str(folder / PUBLISHED[model].filename))}: {words}", highlight=False)


def _warn_of_leftovers(root: Path) -> None:
    from cxr.dataset.swap import leftovers

    for folder in leftovers(root):
        text = f"[yellow]warning:[/yellow] {escape(str(folder))} is what a killed import left; remove it"
        stderr().print(text, highlight=False, soft_wrap=True)


@contextmanager
def _terminated_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that temporary folders go and data/ is put back."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run() -> None:
    """Run the console script; its imports are lazy, so that a missing extra is a sentence here as well."""
    with user_errors():
        app()
