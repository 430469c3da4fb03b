"""The summary at the end of a run."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cxr.cli.batch_decisions import decision_lines, gate_line
from cxr.screening.address import cleaned
from cxr.screening.escape import printable

if TYPE_CHECKING:
    from cxr.cli.batch_options import Options
    from cxr.screening.tally import Tally
    from cxr.screening.work import ScreeningModel, Work


def print_summary(
    console: Console, tally: "Tally", work: "Work", options: "Options", screened_now: int, seconds: float
) -> None:
    """Print the counts, the networks, the speed, where the results are and what they are not."""
    console.print(_counts(tally))
    for path, reason, detail in tally.examples:
        _print(console, Text.assemble((f"{reason}: ", "red"), path, f" ({detail})"))
    failures = tally.rows - tally.ok
    if failures > len(tally.examples):
        _print(console, f"... and {failures - len(tally.examples):,} more, see the column 'reason'")
    if tally.not_images:
        _print(console, f"{len(tally.not_images):,} other files have no row: neither name nor content is an image's")
    if tally.flags:
        _print(console, "flags    " + ", ".join(f"{name} {count:,}" for name, count in sorted(tally.flags.items())))
    if tally.agreement:
        _print(console, "networks " + ", ".join(f"{name} {count:,}" for name, count in sorted(tally.agreement.items())))
    for line in (gate_line(tally), *decision_lines(tally)):
        _print(console, line)
    for model in work.models:
        _print(console, f"model    {model.identity}{_trained_on(model)}{_decides(model)}")
    _print(console, f"time     {seconds:.1f} s, {screened_now / max(seconds, 1e-9):.1f} files/s")
    _print(console, f"results  {'stdout' if options.to_stdout else printable(cleaned(options.output))}")
    if options.report:
        _print(console, f"page     {printable(str(options.report))}")
    _print(console, "For research; not a medical device.")


def _counts(tally: "Tally") -> Table:
    table = Table("result", *("files", "share", "mean confidence"))
    for column in table.columns[1:]:
        column.justify = "right"
    for number in range(len(tally.schema.heads)):
        _add_answers(table, tally, number)
    table.add_row("screened (ok)", f"{tally.ok:,}", style="bold", end_section=True)
    for reason, count in tally.reasons.most_common():
        table.add_row(reason, f"{count:,}", style="red")
    if tally.rows > tally.ok:
        table.add_row("without an answer", f"{tally.rows - tally.ok:,}", style="bold red")
    return table


def _add_answers(table: Table, tally: "Tally", number: int) -> None:
    head, predictions, confidence = tally.schema.heads[number], tally.predictions[number], tally.confidence[number]
    prefix = f"{head.identity} " if len(tally.schema.heads) > 1 else ""
    answered = max(predictions.total(), 1)
    for name in head.classes:
        count = predictions[name]
        mean = f"{confidence[name] / count:.3f}" if count else ""
        table.add_row(f"{prefix}{name}", f"{count:,}", f"{count / answered:.1%}", mean)
    table.add_section()
    for word in head.applied.words if head.applied else ():
        count = tally.decisions[number][word]
        table.add_row(f"{prefix}{word}", f"{count:,}", f"{count / answered:.1%}")
    table.add_section()


def _trained_on(model: "ScreeningModel") -> str:
    data = model.description.get("data")
    if not data:
        return ""
    drawn = "drawn phantoms among " if int(data["synthetic_images"]) > 0 else ""
    return f" (trained on {drawn}{data['images_per_split']['train']:,} images; data set {data['sha256'][:12]})"


def _decides(model: "ScreeningModel") -> str:
    decisions = model.decisions
    if decisions is None:
        return "; not calibrated: no decisions"
    return f"; decides at {model.operating_point} ({decisions.points[model.operating_point].aim})"


def _print(console: Console, text: str | Text) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
