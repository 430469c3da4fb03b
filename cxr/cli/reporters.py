"""What `cxr-batch` says while it works: a console for people, JSON lines for programs, or nothing but errors."""

import json
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from cxr.cli.batch_options import Options, Verbosity
from cxr.cli.console import bar, stderr
from cxr.core.errors import Reason
from cxr.core.redcap import dictionary_beside
from cxr.imaging.headers import HEADER_REASONS
from cxr.inference.decisions import ReferReason
from cxr.inference.gate import GATE_REASONS
from cxr.inference.model_folder import ScreeningModel, learnt_images
from cxr.screening.candidates import Found
from cxr.screening.discovery import Selection
from cxr.screening.engine import ProgressListener, Run
from cxr.screening.paths import cleaned, printable
from cxr.screening.predict import Outcome
from cxr.screening.run_manifest import Tally
from cxr.screening.summary import (
    REFERRED,
    RESEARCH,
    copies_sentence,
    doubtful_sentence,
    drift_sentences,
    others_sentence,
    small_data_sentences,
    training_sentences,
    unread_sentences,
    whose,
)

if TYPE_CHECKING:  # what a run does without, where it was not asked for
    from cxr.screening.explain import Explained
    from cxr.screening.sorting import Sorted
    from cxr.screening.structured_report import Reported


class Reporter(ProgressListener, Protocol):
    """What is said of a run from its command line to its exit status; a `ProgressListener` hears of the screening."""

    def scratch(self, folder: Path, address: str) -> None:
        """Say where the table for an address is made."""

    def found(self, found: Found, selection: Selection) -> None:
        """Say what is to be screened and what was left aside."""

    def listed(self, listed: int, others: int) -> None:
        """Say how many files a dry run listed, and how many are no images."""

    def loaded(self, models: Sequence[ScreeningModel]) -> None:
        """Say which networks answer."""

    def went_on(self, ending: str) -> None:
        """Say how the process has ended that did this run before."""

    def explained(self, explained: "Explained") -> None:
        """Say what became of the maps that were asked for."""

    def sorted(self, sorted_: "Sorted") -> None:
        """Say which files lie in which folder now."""

    def reported(self, reported: "Reported") -> None:
        """Say which films have a DICOM report."""

    def finished(self, tally: Tally, work: Run, options: Options) -> None:
        """Say what came out."""

    def interrupted(self, *, kept: bool) -> None:
        """Say how to go on."""

    def failed(self, sentence: str) -> None:
        """Say why the run stopped."""


@contextmanager
def reporter_of(verbosity: Verbosity) -> Iterator[Reporter]:
    """Give the reporter of a verbosity; what it shows on a terminal is cleared at the end."""
    if verbosity is Verbosity.JSON:
        yield JsonLinesReporter()
        return

    reporter = ConsoleReporter(verbosity)
    try:
        yield reporter
    finally:
        reporter.close()


class ConsoleReporter:
    """A `Reporter` for people; with `Verbosity.QUIET` it says errors only."""

    def __init__(self, verbosity: Verbosity) -> None:
        self._verbosity = verbosity
        self._errors = stderr()
        self._console = stderr(quiet=verbosity is Verbosity.QUIET)
        self._progress: Progress | None = None
        self._start = self._began = self._last = time.monotonic()  # of all, and of the screening alone
        self._kept = 0  # rows from before
        self._beside: list[str | Text] = []  # what was written beside the table: said below its counts

    def close(self) -> None:
        """Clear the bar."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def scratch(self, folder: Path, address: str) -> None:
        """See `Reporter`."""
        self._say(f"the table is made in {printable(str(folder))} and sent to {printable(address)} when it is whole")

    def found(self, found: Found, selection: Selection) -> None:
        """See `Reporter`."""
        for cell, why in found.folders:
            if why == "unreadable":
                self._warn(f"cannot list the folder {cell}")
        for count, noun, what in (
            (len(found.special), "special file", "left aside: pipes, sockets or devices"),
            (found.hidden, "hidden file", "left aside"),
            (found.excluded, "file", "left aside by --include and --exclude"),
            (sum(why == "link" for _, why in found.folders), "folder link", "not followed"),
            (sum(why in ("hidden", "excluded", "not_recursive") for _, why in found.folders), "folder", "not searched"),
            (selection.unchanged, "file", "left aside as unchanged"),
            (selection.other_shards, "file", "left to other shards"),
            (selection.beyond_limit, "file", "left aside by --limit"),
        ):
            if count:
                self._say(f"{_some(count, noun)} {what}")

    def listed(self, listed: int, others: int) -> None:
        """See `Reporter`."""
        self._say(f"{_some(listed, 'file')} would have a row, {_some(others, 'other file')} none: no images")

    def loaded(self, models: Sequence[ScreeningModel]) -> None:
        """See `Reporter`."""
        for model in models:
            if model.synthetic:
                self._warn(
                    f"model {model.identity} was trained on drawn phantoms; its answers mean nothing for patients"
                )
            if "adapted" in model.description:
                self._warn(f"model {model.identity} is adapted: {model.description['adapted']['warning']}")

    def resumed(self, kept: int, retried: int, total: int, others: int) -> None:
        """See `Reporter`."""
        self._kept = kept - others
        self._began = self._last = time.monotonic()
        if kept or retried:
            without = f"; {_some(others, 'other')} had no row" if others else ""
            again = f"; {retried:,} failed before and {'is' if retried == 1 else 'are'} tried again" if retried else ""
            self._say(f"going on: {self._kept:,} of {total - others:,} files were done before{without}{again}")
        if self._verbosity is not Verbosity.QUIET:
            self._progress = bar(self._console)
            self._progress.start()
            self._task = self._progress.add_task("screening", total=total, completed=kept)

    def screened(self, outcomes: Sequence[Outcome]) -> None:
        """See `Reporter`."""
        self.advanced(len(outcomes))
        if self._verbosity is Verbosity.VERBOSE:
            for outcome in outcomes:
                self._say(_line(outcome))

    def advanced(self, number: int) -> None:
        """See `Reporter`."""
        self._last = time.monotonic()
        if self._progress is not None:
            self._progress.advance(self._task, number)

    def crashed(self, ending: str) -> None:
        """See `Reporter`."""
        self._warn(f"a process that helped {ending}; what it had is screened by the others")

    def went_on(self, ending: str) -> None:
        """See `Reporter`."""
        self._warn(f"the process that screened {ending}; another goes on, and decodes each file in one of its own")

    def explained(self, explained: "Explained") -> None:
        """See `Reporter`."""
        self._say(f"{explained.drawn:,} maps drawn")
        for cell in explained.changed:
            self._warn(f"no map of {cell}: the file has changed since it was screened")
        if explained.more:
            self._warn(f"{explained.more:,} more rows have no map; raise --explain-limit to draw them")

    def sorted(self, sorted_: "Sorted") -> None:
        """See `Reporter`."""
        self._beside += _sorted_lines(sorted_)

    def reported(self, reported: "Reported") -> None:
        """See `Reporter`."""
        self._beside += _reported_lines(reported)

    def finished(self, tally: Tally, work: Run, options: Options) -> None:
        """See `Reporter`."""
        self.close()
        self._console.print(_counts(tally))
        for line in (*_summary(tally, work, options, self._times(tally)), *self._beside, RESEARCH):
            self._say(line)

    def _times(self, tally: Tally) -> str:
        """Say how long everything took, and at what rate files were screened, where any was."""
        files, seconds = tally.rows - self._kept, max(self._last - self._began, 1e-9)
        rate = f"; {_some(files, 'file')} screened in {seconds:.1f} s, {files / seconds:.1f} files/s" if files else ""
        return f"{time.monotonic() - self._start:.1f} s{rate}"

    def interrupted(self, *, kept: bool) -> None:
        """See `Reporter`."""
        self.close()
        rest = "what was done is kept: run the same command again to go on" if kept else "nothing was kept"
        _print(self._errors, f"interrupted; {rest}")

    def failed(self, sentence: str) -> None:
        """See `Reporter`."""
        self.close()
        _print(self._errors, Text.assemble(("error: ", "red"), printable(sentence)))

    def _warn(self, sentence: str) -> None:
        self._say(_warning(sentence))

    def _say(self, sentence: str | Text) -> None:
        _print(self._console, sentence)


_NAMED = 3  # files in one sentence


def _sorted_lines(sorted_: "Sorted") -> Iterator[str | Text]:
    """Say which files lie in which folder now."""
    counts = ", ".join(f"{name} {count:,}" for name, count in sorted(sorted_.counts.items()))
    there = f", {sorted_.there:,} of them from before" if sorted_.there else ""
    listed = printable(str(sorted_.listed))
    yield f"sorted   {_some(sorted_.counts.total(), 'file')}{there}: {counts or 'none'}; see {listed}"
    if sorted_.renamed:
        why = "another file here has that name, or it was too long"
        yield f"sorted   {_some(sorted_.renamed, 'name')} with digits behind: {why}"
    for because, count in sorted(sorted_.left.items()):
        yield _warning(f"{_some(count, 'file')} not sorted: {because}")
    if sorted_.older:
        first = ", ".join(sorted_.older[:_NAMED]) + (", ..." if len(sorted_.older) > _NAMED else "")
        more = _some(len(sorted_.older), "more file")
        yield _warning(f"{more} in these folders that this run did not put there: {first}")


def _reported_lines(reported: "Reported") -> Iterator[str]:
    """Say which films have a DICOM report."""
    there = f", {reported.there:,} of them from before" if reported.there else ""
    yield f"reports  {_some(reported.written + reported.there, 'DICOM report')}{there}"
    for because, count in sorted(reported.without.items()):
        each = "" if count == 1 else "each of "  # a reason is said of one film
        yield f"reports  none for {each}{_some(count, 'file')}: {because}"


def _some(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _print(console: Console, text: str | Text) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _line(outcome: Outcome) -> str:
    row = outcome.row
    if row is None:
        return f"{outcome.candidate.cell}: no image"
    if row.reason is not None:
        return f"{row.path}: {row.status}, {row.reason} ({printable(row.detail)})"
    facts, answer = row.facts, row.answers[0]
    assert facts is not None
    assert answer is not None
    done = " ".join(
        (f"{facts.width}x{facts.height}", facts.format, f"{facts.bit_depth}-bit {facts.mode}", *facts.steps)
    )
    decided = f", {answer.decision.word}" if answer.decision else ""
    return f"{row.path}: {answer.prediction} {answer.confidence:.6f}{decided} ({' '.join((done, *row.flags))})"


def _gate_line(tally: Tally) -> Text:
    """Give the line that says what judged pictures before the networks, and how many it rejected for which reason."""
    gate = tally.schema.gate
    if gate is None:
        return Text("gate     none: every picture that can be decoded is answered, radiograph or not")
    total, reasons = _rejected(tally, GATE_REASONS)
    return Text(f"gate     {gate.sha256[:12]} rejected {_some(total, 'file')}{f': {reasons}' if reasons else ''}")


def _header_lines(tally: Tally) -> Iterator[str]:
    """Give the line that says what DICOM headers decided, where they decided anything, or were not asked."""
    total, reasons = _rejected(tally, HEADER_REASONS)
    if total:
        yield f"headers  rejected {_some(total, 'DICOM file')}: {reasons}; --any-dicom screens them all the same"
    if tally.schema.any_dicom:
        yield "headers  --any-dicom: of DICOM, every modality and part of the body is answered"


def _rejected(tally: Tally, reasons: Collection[Reason]) -> tuple[int, str]:
    """Return how many files have one of `reasons`, and how many have each, in words."""
    counts = [(reason, tally.reasons[reason]) for reason in Reason if reason in reasons and tally.reasons[reason]]
    return sum(count for _, count in counts), ", ".join(f"{count:,} {reason}" for reason, count in counts)


def _decision_lines(tally: Tally) -> Iterator[Text]:
    """Give the lines, a network at a time; none for a network without decisions."""
    for number, head in enumerate(tally.schema.heads):
        reasons = tally.refer_reasons[number]
        if reasons:
            why = ", ".join(
                f"{reasons[reason]:,} because {REFERRED[reason]}" for reason in ReferReason if reasons[reason]
            )
            count = reasons.total()
            are = "is" if count == 1 else "are"
            yield Text(f"refer    {whose(tally, head)}{_some(count, 'file')} {are} for a person to decide: {why}")
    yield from map(_warning, small_data_sentences(tally))
    yield from map(_warning, training_sentences(tally))
    for odd, sentence in drift_sentences(tally):
        yield _warning(sentence) if odd else Text(f"drift    {sentence}")


def _warning(sentence: str) -> Text:
    return Text.assemble(("warning: ", "yellow"), sentence)


def _summary(tally: Tally, work: Run, options: Options, times: str) -> Iterator[str | Text]:
    """Give the lines below the counts: failures, networks, speed, where the results are and what they are not."""
    for path, reason, detail in tally.examples:
        yield Text.assemble((f"{reason}: ", "red"), path, f" ({detail})")
    # Of formats that are not read no example is given: below they are told by name and number.
    if more := tally.rows - tally.ok - len(tally.examples) - tally.unread.total():
        yield f"... and {_some(more, 'more file')} without an answer; see the column 'reason'"
    if others := others_sentence(tally):
        yield others
    if not tally.nothing_read(work.selection, work.request):  # else the last line says it
        yield from map(_warning, unread_sentences(tally))
    for what, counts in (("flags   ", tally.flags), ("networks", tally.agreement)):
        if counts:
            yield f"{what} " + ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    yield from _header_lines(tally)
    yield _gate_line(tally)
    if doubtful := doubtful_sentence(tally):
        yield _warning(doubtful + ("" if options.report else "; --report sheet.html shows them"))
    yield from _decision_lines(tally)
    if copies := copies_sentence(tally):
        yield f"copies   {copies}"
    for model in work.models:
        yield f"model    {model.identity}{_trained_on(model)}{_decides(model)}"
    yield f"time     {times}"
    yield f"results  {'stdout' if options.to_stdout else printable(cleaned(options.output))}"
    if options.report:
        yield f"page     {printable(str(options.report))}"
    if options.redcap:
        yield f"redcap   {printable(str(options.redcap))}, {printable(str(dictionary_beside(options.redcap)))}"


def _counts(tally: Tally) -> Table:
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


def _add_answers(table: Table, tally: Tally, number: int) -> None:
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


def _trained_on(model: ScreeningModel) -> str:
    data = model.description.get("data")
    if not data:
        return ""
    drawn = "drawn phantoms among " if int(data["synthetic_images"]) > 0 else ""
    return f" (trained on {drawn}{learnt_images(model.description):,} images; data set {data['sha256'][:12]})"


def _decides(model: ScreeningModel) -> str:
    decisions = model.decisions
    if decisions is None:
        return "; not calibrated: no decisions"
    before = " before it was adapted" if "adapted" in model.description else ""
    return f"; decides at {model.operating_point} ({decisions.points[model.operating_point].aim}{before})"


PROGRESS_SECONDS = 5.0


class JsonLinesReporter:
    """A `Reporter` for programs; the events are listed in docs/results-csv.md."""

    def __init__(self) -> None:
        self._done = self._total = 0
        self._start = self._said = time.monotonic()

    def scratch(self, folder: Path, address: str) -> None:
        """See `Reporter`."""
        self._say("scratch", folder=str(folder), address=address)

    def found(self, found: Found, selection: Selection) -> None:
        """See `Reporter`."""
        self._say("found", files=len(selection.candidates), hidden=found.hidden, excluded=found.excluded)
        for cell, why in found.folders:
            self._say("folder_not_searched", path=cell, because=why)
        for cell in found.special:
            self._say("special_file", path=cell)

    def listed(self, listed: int, others: int) -> None:
        """See `Reporter`."""
        self._say("listed", files=listed, not_an_image=others)

    def loaded(self, models: Sequence[ScreeningModel]) -> None:
        """See `Reporter`."""
        for number, model in enumerate(models):
            self._say(
                "loaded",
                model=model.identity,
                synthetic=model.synthetic,
                adapted_to=model.description["adapted"]["site"] if "adapted" in model.description else None,
                operating_point=model.operating_point or None,
                gate=model.gate.sha256 if model.gate and number == 0 else None,
            )

    def resumed(self, kept: int, retried: int, total: int, others: int) -> None:
        """See `Reporter`."""
        self._done, self._total = kept, total
        self._say("resumed", kept=kept, retried=retried, files=total, not_an_image=others)

    def screened(self, outcomes: Sequence[Outcome]) -> None:
        """See `Reporter`."""
        for outcome in outcomes:
            row = outcome.row
            if row is not None and row.reason is not None:
                self._say("failed_file", path=row.path, status=row.status, reason=row.reason, detail=row.detail)
        self.advanced(len(outcomes))

    def advanced(self, number: int) -> None:
        """See `Reporter`."""
        self._done += number
        if time.monotonic() - self._said > PROGRESS_SECONDS:
            self._said = time.monotonic()
            self._say("progress", done=self._done, files=self._total)

    def crashed(self, ending: str) -> None:
        """See `Reporter`."""
        self._say("lost_process", ending=ending)

    def went_on(self, ending: str) -> None:
        """See `Reporter`."""
        self._say("went_on", ending=ending)

    def explained(self, explained: "Explained") -> None:
        """See `Reporter`."""
        self._say("explained", drawn=explained.drawn, changed=list(explained.changed), beyond_limit=explained.more)

    def sorted(self, sorted_: "Sorted") -> None:
        """See `Reporter`."""
        self._say(
            "sorted",
            list=str(sorted_.listed),
            files=dict(sorted_.counts),
            already_there=sorted_.there,
            renamed=sorted_.renamed,
            not_sorted=dict(sorted_.left),
            older=len(sorted_.older),
        )

    def reported(self, reported: "Reported") -> None:
        """See `Reporter`."""
        self._say("reported", written=reported.written, already_there=reported.there, without=dict(reported.without))

    def finished(self, tally: Tally, work: Run, options: Options) -> None:  # noqa: ARG002
        """See `Reporter`."""
        from cxr.core.records import as_json
        from cxr.screening.run_manifest import drift_records

        self._say(
            "finished",
            output=cleaned(options.output),
            rows=tally.rows,
            statuses=dict(tally.statuses),
            reasons=dict(tally.reasons),
            decisions={
                head.identity: dict(counts)
                for head, counts in zip(tally.schema.heads, tally.decisions, strict=True)
                if head.applied
            },
            refer_reasons={
                head.identity: dict(counts)
                for head, counts in zip(tally.schema.heads, tally.refer_reasons, strict=True)
                if head.applied
            },
            drift=as_json(drift_records(tally)),
            not_an_image=len(tally.not_images),
            copies=tally.copies[0],
            formats_not_read={unread.name: count for unread, count in tally.formats_not_read},
            seconds=round(time.monotonic() - self._start, 3),
        )

    def interrupted(self, *, kept: bool) -> None:
        """See `Reporter`."""
        self._say("interrupted", done=self._done, files=self._total, kept=kept)

    def failed(self, sentence: str) -> None:
        """See `Reporter`."""
        self._say("error", message=sentence)

    def _say(self, event: str, **facts: Any) -> None:
        # ASCII, so that a name that is not UTF-8 cannot break the line.
        sys.stderr.write(json.dumps({"event": event, **facts}) + "\n")
        sys.stderr.flush()
