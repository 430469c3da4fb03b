"""`cxr-batch folder/ -o results.csv`: screen every radiograph into one row."""

import gc
import warnings

import typer

from cxr.cli.batch_options import Options, takes_options
from cxr.cli.console import below_help, command_line
from cxr.core.process import survive

app = command_line()


@app.command(
    epilog=below_help(
        "cxr-batch films/ -o results.csv",
        "cxr-batch films/ -o workbook.xlsx --report sheet.html",
        "cxr-batch films/ -o excel.csv --csv-dialect excel --copy-to sorted/",
        "cxr-batch s3://bucket/films -o bucket.parquet",
        then="Exit status: 0 all files screened; 3 finished, but files have no answer (see their rows, and --fail-on); "
        "1 stopped; 2 usage; 130 Ctrl-C. After 1 and 130 the same command goes on where it stopped.",
    )
)
@takes_options
def main(options: Options) -> None:
    """Screen radiographs (PNG, JPEG, TIFF, BMP, GIF, WebP, DICOM, told by content) into one row each.

    A file that cannot be screened has a row with the reason. Run the same command again to go on after an
    interruption, or to screen what is new since. For research; not a medical device.
    """
    from cxr.cli.batch_run import run

    if not options.output and not options.dry_run:
        raise typer.BadParameter("name the table to write, as in: -o results.csv", param_hint="--output")
    # What decoders find odd but readable is no news in a batch; what they cannot read becomes a row.
    warnings.simplefilter("ignore", UserWarning)
    raise typer.Exit(run(options))


def script() -> None:
    """Run the console script; a file that crashes it costs its row."""
    survive()
    try:
        app()
    finally:
        gc.freeze()  # the process ends here; looking for garbage among all that was loaded would take 60 ms
