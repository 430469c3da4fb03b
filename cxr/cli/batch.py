"""`cxr-batch folder/ -o results.csv`: screen every radiograph into one row."""

import gc
import warnings
from typing import Annotated

import typer

from cxr import __version__
from cxr.cli import batch_options as arguments
from cxr.cli import batch_options as speed
from cxr.cli.batch_options import EngineName, FailOn, Options, Verbosity
from cxr.core.errors import ModelError
from cxr.screening.paths import PathStyle, split_places

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from cxr.inference.model_folder import load_model, packaged_folder

    try:
        identity = load_model(packaged_folder()).identity
    except ModelError:
        identity = "none"
    typer.echo(f"cxr-batch {__version__}\npackaged model: {identity}")
    raise typer.Exit


@app.command(
    epilog="Exit status: 0 all files screened; 3 finished, but files have no answer (see their rows, and --fail-on); "
    "1 stopped; 2 usage; 130 Ctrl-C. After 1 and 130 the same command goes on where it stopped."
)
def main(
    inputs: arguments.Inputs = None,
    files_from: arguments.FilesFrom = None,
    repo: arguments.Repo = None,
    rev: arguments.Rev = None,
    changed_since: arguments.ChangedSince = None,
    earlier: arguments.Earlier = None,
    include: arguments.Include = None,
    exclude: arguments.Exclude = None,
    recursive: arguments.Recursive = True,
    shard: arguments.ShardOf = None,
    limit: arguments.Limit = None,
    dry_run: arguments.DryRun = False,
    model: arguments.Models = None,
    operating_point: arguments.OperatingPoint = None,
    output: arguments.Output = "",
    format: arguments.Form = None,
    partitions: arguments.Partitions = False,
    paths: arguments.Paths = PathStyle.RELATIVE,
    root: arguments.RootFolder = None,
    scratch: arguments.Scratch = None,
    key: arguments.Key = None,
    dicom: arguments.Dicom = None,
    overwrite: arguments.Overwrite = False,
    report: arguments.Sheet = None,
    explain: arguments.Explain = None,
    explain_rows: arguments.ExplainRows = None,
    explain_limit: arguments.ExplainLimit = None,
    engine: speed.Engine = EngineName.LOCAL,
    address: speed.Address = None,
    processes: speed.Processes = 0,
    workers: speed.Workers = 0,
    batch_size: speed.BatchSize = 0,
    threads: speed.Threads = 0,
    fail_on: arguments.FailWhen = FailOn.ANY,
    quiet: arguments.Quiet = False,
    verbose: arguments.Verbose = False,
    log_json: arguments.LogJson = False,
    version: Annotated[  # noqa: ARG001  the callback does the work
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print version and packaged model."),
    ] = False,
) -> None:
    """Screen radiographs (PNG, JPEG, TIFF, BMP, WebP, DICOM, told by content) into one row each.

    A file that cannot be screened has a row with the reason. Run the same command again to go on after an
    interruption, or to screen what is new since. For research; not a medical device.
    """
    from cxr.cli.batch_run import run

    if not output and not dry_run:
        raise typer.BadParameter("name the table to write, as in: -o results.csv", param_hint="--output")
    paths_given, addresses = split_places(inputs or [])
    options = Options(
        inputs=paths_given,
        addresses=addresses,
        scratch=scratch,
        repo=repo,
        rev=rev,
        changed_since=changed_since,
        earlier=earlier,
        output=output,
        files_from=files_from,
        include=include or [],
        exclude=exclude or [],
        recursive=recursive,
        root=root,
        models=model or [],
        point=operating_point,
        paths=paths,
        key=key,
        format=format,
        partitioned=partitions,
        keywords=tuple(dict.fromkeys(dicom or [])),
        shard=shard,
        limit=limit,
        engine=engine,
        address=address,
        processes=processes,
        workers=workers,
        batch=batch_size,
        threads=threads,
        overwrite=overwrite,
        fail_on=fail_on,
        report=report,
        explain=explain,
        explain_rows=explain_rows,
        explain_limit=explain_limit,
        dry_run=dry_run,
        verbosity=_verbosity(quiet=quiet, verbose=verbose, log_json=log_json),
    )
    # What decoders find odd but readable is no news in a batch; what they cannot read becomes a row.
    warnings.simplefilter("ignore", UserWarning)
    raise typer.Exit(run(options))


def script() -> None:
    """Run the console script."""
    try:
        app()
    finally:
        gc.freeze()  # the process ends here; looking for garbage among all that was loaded would take 60 ms


def _verbosity(*, quiet: bool, verbose: bool, log_json: bool) -> Verbosity:
    chosen = [
        verbosity
        for wanted, verbosity in ((quiet, Verbosity.QUIET), (verbose, Verbosity.VERBOSE), (log_json, Verbosity.JSON))
        if wanted
    ]
    if len(chosen) > 1:
        raise typer.BadParameter("--quiet, --verbose and --log-json exclude each other")
    return chosen[0] if chosen else Verbosity.NORMAL
