"""What `cxr-batch` says to people when it has run."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from cxr.network import ScreeningModel
    from cxr.screening.discover import Discovery
    from cxr.screening.summary import Summary


def print_left_aside(console: Console, found: "Discovery") -> None:
    """Say what in the folder is not screened, and which folders could not be listed."""
    for clause in found.unreadable:
        _print(console, Text.assemble(("warning: ", "yellow"), f"cannot list {shown(clause)}"))
    for count, what in (
        (found.others, "other files left aside"),
        (found.hidden, "hidden files or folders left aside"),
        (found.excluded, "files or folders left aside by --exclude"),
        (found.linked_folders, "links to folders not followed"),
    ):
        if count:
            _print(console, f"{count:,} {what}")


def warn_synthetic(console: Console, model: "ScreeningModel") -> None:
    """Warn of a model that has learnt from drawings."""
    if model.synthetic:
        text = f"model {model.identity} was trained on drawn phantoms; its answers mean nothing for patients"
        _print(console, Text.assemble(("warning: ", "bold yellow"), (text, "yellow")))


def print_summary(console: Console, summary: "Summary", model: "ScreeningModel", seconds: float, output: str) -> None:
    """Print the counts, the model, the speed, where the results are and what they are not."""
    console.print(_counts(summary))
    for row in summary.examples:
        _print(console, Text.assemble((f"{row.reason}: ", "red"), shown(row.path), f" ({shown(row.detail)})"))
    if summary.failures > len(summary.examples):
        _print(console, f"... and {summary.failures - len(summary.examples):,} more, see the column 'reason'")
    files = summary.screened + summary.failures
    _print(console, f"model    {model.identity}{_trained_on(model)}")
    _print(console, f"time     {seconds:.1f} s, {files / max(seconds, 1e-9):.1f} files/s")
    _print(console, f"results  {shown(output)}")
    _print(console, "For research; not a medical device.")


def _counts(summary: "Summary") -> Table:
    table = Table("result", *("files", "share", "mean probability"))
    for column in table.columns[1:]:
        column.justify = "right"
    for item in summary.predicted:
        mean = f"{item.mean_probability:.3f}" if item.count else ""
        table.add_row(item.name, f"{item.count:,}", f"{item.share:.1%}", mean)
    table.add_row("screened (ok)", f"{summary.screened:,}", style="bold", end_section=True)
    for reason, count in summary.failed.items():
        table.add_row(str(reason), f"{count:,}", style="red")
    if summary.failures:
        table.add_row("failed (error)", f"{summary.failures:,}", style="bold red")
    return table


def _trained_on(model: "ScreeningModel") -> str:
    data = model.description.get("data")
    if not data:
        return ""
    drawn = "drawn phantoms among " if model.synthetic else ""
    return f" (trained on {drawn}{data['images_per_split']['train']:,} images; data set {data['sha256'][:12]})"


def shown(text: str) -> str:
    """Make a path safe for a terminal: no control characters, no lone surrogates."""
    from cxr.screening.results import escape_path

    return escape_path(text)


def _print(console: Console, text: str | Text) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
