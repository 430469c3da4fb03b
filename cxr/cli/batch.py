"""`cxr-batch FOLDER -o results.csv`: screen every radiograph in a folder."""

import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr import __version__
from cxr.cli.batch_output import STDOUT, check_output, write_output
from cxr.cli.batch_report import print_left_aside, print_summary, shown, warn_synthetic
from cxr.cli.console import stderr, user_errors
from cxr.cli.progress import bars
from cxr.errors import DataError, ModelError

if TYPE_CHECKING:
    from cxr.network import ScreeningModel
    from cxr.screening.discover import Discovery
    from cxr.screening.summary import Summary

SOME_FAILED = 3
INTERRUPTED = 130

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        identity = _load_model(None).identity
    except ModelError:
        identity = "none"
    typer.echo(f"cxr-batch {__version__}\npackaged model: {identity}")
    raise typer.Exit


@app.command(
    epilog="Exit status: 0 all files screened, 3 some failed (see their rows), 1 stopped, 2 usage, 130 Ctrl-C."
)
def main(
    folder: Annotated[
        Path,
        typer.Argument(
            exists=True, file_okay=False, metavar="FOLDER", help="Folder of images, searched with its sub-folders."
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FILE", help="CSV to write; an existing file is replaced; '-' is stdout."
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder made by the stage 'evaluate'. [default: the packaged model]"),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Leave aside matching paths or folder names; may be repeated."),
    ] = None,
    version: Annotated[  # noqa: ARG001  the callback does the work
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print version and model.")
    ] = False,
) -> None:
    """Screen every PNG, JPEG, TIFF, BMP and DICOM radiograph in FOLDER into one CSV row each.

    A file that cannot be read gets a row with status 'error' and the reason. For research; not a medical device.
    """
    # What decoders find odd but readable is no news in a batch; what they cannot read becomes a row.
    warnings.simplefilter("ignore", UserWarning)
    with user_errors():
        try:
            summary = _screen(folder, output, model, exclude or [])
        except KeyboardInterrupt:
            stderr().print("interrupted; nothing was written", markup=False)
            raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(SOME_FAILED if summary.failures else 0)


def _screen(folder: Path, output: str, model_folder: Path | None, exclude: list[str]) -> "Summary":
    from cxr.screening.run import screen
    from cxr.screening.summary import summarise

    console, start = stderr(), time.monotonic()
    check_output(output)
    found = _discover(folder, exclude)
    model = _load_model(model_folder)
    warn_synthetic(console, model)
    rows = list(bars(screen(folder, found.images, model), "screening", len(found.images)))
    write_output(output, rows, model.classes)
    summary = summarise(rows, model.classes)
    seconds = time.monotonic() - start
    print_summary(console, summary, model, seconds, "stdout" if output == STDOUT else output)
    return summary


def _discover(folder: Path, exclude: list[str]) -> "Discovery":
    from cxr.screening.discover import discover

    found = discover(folder, exclude)
    print_left_aside(stderr(), found)
    if found.images:
        return found
    if found.excluded:
        remedy = f"--exclude left aside {found.excluded:,} files or folders; give fewer or narrower patterns"
    elif found.unreadable:
        remedy = "it could not be listed; ask its owner for permission to read it"
    else:
        remedy = "expected names that end in .png, .jpg, .tif, .bmp or .dcm"
    raise DataError(f"{shown(str(folder))} has no image files to screen: {remedy}")


def _load_model(folder: Path | None) -> "ScreeningModel":
    from cxr.network import load_model, packaged_folder

    if folder is not None:
        return load_model(folder)
    try:
        return load_model(packaged_folder())
    except ModelError as error:
        raise ModelError(f"the packaged model cannot be used: {error}; or name another folder with --model") from error
