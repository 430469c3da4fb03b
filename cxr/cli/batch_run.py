"""What `cxr-batch` does, from its options to its exit status."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path

from cxr.cli.batch_explain import check_explain, check_words, write_explained
from cxr.cli.batch_models import load_models
from cxr.cli.batch_options import FailOn, Options, check_options, listed_files, naming_of, query_of
from cxr.cli.batch_voice import Voice, voice_of
from cxr.cli.console import status_of
from cxr.errors import CxrError, DataError
from cxr.screening.applied import applied_of
from cxr.screening.discover import discover
from cxr.screening.gated import gated_by
from cxr.screening.output import OutputFiles, locked, output_files
from cxr.screening.query import UNREADABLE, Found
from cxr.screening.run_manifest import Asked
from cxr.screening.schema import schema_of
from cxr.screening.select import Selection, select
from cxr.screening.tables import Format, check_format, format_of
from cxr.screening.tally import Tally
from cxr.screening.work import Work

SOME_FAILED = 3
INTERRUPTED = 130


def run(options: Options) -> int:
    """Do what was asked and return the exit status; errors of users are said, all others are bugs."""
    with voice_of(options.talk) as voice:
        try:
            return _run(options, voice)
        except CxrError as error:
            voice.failed(str(error))
            return status_of(error)
        except BrokenPipeError:
            voice.failed("whoever read the rows from stdout has closed it")
            # Python would complain again when it flushes stdout at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except KeyboardInterrupt:
            voice.interrupted(kept=not options.to_stdout and not options.dry_run)
            return INTERRUPTED


def _run(options: Options, voice: Voice) -> int:
    check_options(options)
    check_explain(options)
    files = None if options.to_stdout or options.dry_run else output_files(Path(options.output))
    asked, found, selection = _discover(options, files)
    voice.found(found, selection)
    if options.dry_run:
        return _list(asked, selection, voice)
    with locked(files) if files else nullcontext():
        work = _prepare(options, asked, found, selection, voice)
        tally = _work(options, work, files, voice)
        if files and options.report:
            from cxr.cli.batch_sheet import write_report

            write_report(options.report, work, files, tally)
        if files and options.explain:
            voice.explained(write_explained(options, options.explain, work, files))
    voice.finished(tally, work, options)
    return SOME_FAILED if _fails(options.fail_on, tally, found) else 0


def _discover(options: Options, files: OutputFiles | None) -> tuple[Asked, Found, Selection]:
    listed = listed_files(options)
    own = files.all if files else frozenset()
    own |= {str(options.report.resolve())} if options.report else frozenset()
    naming, query = naming_of(options, listed), query_of(options, listed, own)
    if options.shard and files and files.results.is_relative_to(naming.root):
        raise DataError(
            f"{files.results} lies in {naming.root}, where the other shards would find it; write it somewhere else"
        )
    found = discover(query, naming)
    if not found.candidates:
        raise DataError(_nothing(naming.root, found))
    return (
        Asked(sys.argv[1:], query, naming, options.shard, options.limit),
        found,
        select(found.candidates, options.shard, options.limit),
    )


def _nothing(root: Path, found: Found) -> str:
    if any(why == UNREADABLE for _, why in found.folders):
        remedy = "a folder could not be listed; ask its owner for permission to read it"
    elif found.excluded:
        remedy = f"--include and --exclude left aside {found.excluded:,} files; give wider or fewer patterns"
    elif found.folders:
        remedy = f"{len(found.folders):,} folders were not searched; name them, or drop --no-recursive or --exclude"
    else:
        remedy = "expected a folder with image files"
    return f"there is nothing to screen below {root}: {remedy}"


def _list(asked: Asked, selection: Selection, voice: Voice) -> int:
    from cxr.screening.reading import may_have_row

    listed = 0
    for candidate in selection.candidates:
        if may_have_row(candidate, asked.naming.root):
            sys.stdout.write(f"{candidate.cell}\n")
            listed += 1
    sys.stdout.flush()
    voice.listed(listed, len(selection.candidates) - listed)
    return 0


def _prepare(options: Options, asked: Asked, found: Found, selection: Selection, voice: Voice) -> Work:
    from cxr.screening.attributes import check_keywords

    check_keywords(options.keywords)
    wanted = options.format or (Format.CSV if options.to_stdout else format_of(Path(options.output)))
    check_format(wanted)
    models = load_models(options)
    heads = [(str(model.description["name"]), model.identity, model.classes) for model in models]
    voice.loaded(models)
    schema = schema_of(heads, options.keywords, list(map(applied_of, models)), gated_by(models[0].gate))
    check_words(options, schema)
    return Work(asked, found, selection, models, schema, wanted, tuple(options.keywords), options.workers)


def _work(options: Options, work: Work, files: OutputFiles | None, voice: Voice) -> Tally:
    if files is None:
        from cxr.screening.streaming import stream

        return stream(work, sys.stdout.buffer, voice)
    from cxr.screening.job import run as run_job

    return run_job(work, files, voice, overwrite=options.overwrite)


def _fails(fail_on: FailOn, tally: Tally, found: Found) -> bool:
    """Tell whether the exit status is 3; a folder that could not be listed may hold files without an answer."""
    if fail_on is FailOn.NONE:
        return False
    if fail_on is FailOn.ALL:
        return tally.ok == 0
    return tally.ok < tally.rows or any(why == UNREADABLE for _, why in found.folders)
