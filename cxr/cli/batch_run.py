"""What `cxr-batch` does, from its options to its exit status."""

import os
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import PurePosixPath

from cxr.cli import begun
from cxr.cli.batch_options import FailOn, Options, check_options, listed_names
from cxr.cli.batch_setup import (
    changes_of,
    check_engine,
    check_folders,
    check_words,
    engine_of,
    inputs_of,
    load_models,
    model_folders,
    output_of,
    own_of,
    reading_threads,
    worker_pool_of,
    write_explained,
)
from cxr.cli.console import FATAL, OF_THE_SYSTEM, status_of, told_of_the_system
from cxr.cli.reporters import Reporter, reporter_of
from cxr.core.errors import CxrError, DataError
from cxr.core.process import ending, lines_to
from cxr.imaging.formats import unread_by_name
from cxr.inference.network import BATCH
from cxr.screening.candidates import UNREADABLE, Found
from cxr.screening.discovery import Selection, select
from cxr.screening.engine import Engine, Run
from cxr.screening.paths import cleaned
from cxr.screening.run_manifest import RunRequest, Tally, read_run_result
from cxr.screening.schema import schema_for
from cxr.screening.storage import Root
from cxr.screening.tables import OutputFiles, check_format, chosen_format, locked

SOME_FAILED = 3
ENDINGS = 3  # of names, in a sentence
INTERRUPTED = 130


def run(options: Options) -> int:
    """Do what was asked and return the exit status; errors of users are said, all others are bugs."""
    with reporter_of(options.verbosity) as reporter:
        try:
            begun()
            return _run(options, reporter)
        except CxrError as error:
            reporter.failed(str(error))
            return status_of(error)
        except BrokenPipeError:
            reporter.failed("whoever read the rows from stdout has closed it")
            _drop_stdout()
            return FATAL
        except OF_THE_SYSTEM as error:
            if (told := told_of_the_system(error)) is None:
                raise
            reporter.failed(str(told))
            if options.to_stdout:
                _drop_stdout()
            return FATAL
        except KeyboardInterrupt:
            reporter.interrupted(kept=not options.to_stdout and not options.dry_run)
            return INTERRUPTED


def _drop_stdout() -> None:
    """Let Python not complain again when it flushes stdout at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(options: Options, reporter: Reporter) -> int:
    if ending():
        reporter.went_on(ending())
    check_options(options)
    check_folders(options)
    check_engine(options)
    files, upload = output_of(options)
    if files and upload:
        reporter.scratch(files.results.parent, upload.address)
    request, found, selection = _discover(options, files)
    reporter.found(found, selection)
    if options.dry_run:
        return _list(request, selection, reporter)
    pool = worker_pool_of(options, request.naming.root, selection.candidates)
    # Forked first: a process that outlived this one must not hold the lock of the output.
    with pool as helpers, locked(files) if files else nullcontext():
        work = _prepare(options, request, found, selection, reporter, helped=helpers is not None)
        tally = _work(options, engine_of(options, helpers), work, files, reporter)
        if files and options.report:
            from cxr.screening.gallery import write_gallery

            write_gallery(options.report, work, files, tally)
        if files and options.redcap:
            from cxr.screening.redcap import write_records

            write_records(options.redcap, work, files)
        if files and options.explain:
            reporter.explained(write_explained(options, options.explain, work, files))
        if files and (sorted_to := options.copy_to or options.link_to):
            from cxr.screening.sorting import sort_files

            reporter.sorted(sort_files(sorted_to, work, files, link=options.copy_to is None))
        if files and options.dicom_sr:
            from cxr.screening.structured_report import write_reports

            reporter.reported(write_reports(options.dicom_sr, work, files))
        if upload:
            upload.send()
    reporter.finished(tally, work, options)
    if tally.nothing_read(selection, request):
        reporter.failed(_nothing_read(request.naming.root, tally))
        return SOME_FAILED
    return SOME_FAILED if _fails(options.fail_on, tally, found) else 0


def _discover(options: Options, files: OutputFiles | None) -> tuple[RunRequest, Found, Selection]:
    naming, query, found = inputs_of(options, listed_names(options), own_of(options, files))
    where = cleaned(options.output) if options.to_address else str(files.results) if files else ""
    if options.shard and where.startswith(f"{naming.root}{'' if str(naming.root).endswith('/') else '/'}"):
        raise DataError(f"{where} lies in {naming.root}, where the other shards would find it; write it somewhere else")
    if not found.candidates:
        raise DataError(_nothing(naming.root, found))
    changes = changes_of(options, naming, query, found)
    earlier = read_run_result(options.earlier) if options.earlier else None
    unchanged = changes.unchanged if changes and not earlier else frozenset()
    return (
        RunRequest(sys.argv[1:], query, naming, options.shard, options.limit, changes, earlier),
        found,
        select(found.candidates, options.shard, options.limit, unchanged),
    )


def _nothing(root: Root, found: Found) -> str:
    if any(why == UNREADABLE for _, why in found.folders) and str(root).startswith("dvc://"):
        remedy = "what DVC knows of it is neither in its cache nor in its remote; ask its owner for a 'dvc push'"
    elif any(why == UNREADABLE for _, why in found.folders):
        remedy = "a folder could not be listed; ask its owner for permission to read it"
    elif found.excluded:
        remedy = f"--include and --exclude left aside all there is ({found.excluded:,}); give wider or fewer patterns"
    elif found.hidden:
        remedy = f"the names of its files ({found.hidden:,}) begin with a dot: such files are left aside; rename them"
    elif found.folders:
        remedy = (
            f"its folders ({len(found.folders):,}) were not searched; name them or drop --no-recursive or --exclude"
        )
    else:
        remedy = "expected a folder with image files"
    return f"there is nothing to screen below {root}: {remedy}"


def _nothing_read(root: Root, tally: Tally) -> str:
    """Say that no file could be read as an image, and what there is instead."""
    kinds = [f"{count:,} {unread.name} ({unread.remedy})" for unread, count in tally.formats_not_read]
    total = tally.rows + len(tally.not_images)
    others = total - sum(count for _, count in tally.formats_not_read)
    if others:
        ends = Counter(PurePosixPath(cell).suffix.lower() for cell in tally.not_images if not unread_by_name(cell))
        kinds.append(f"{others:,} other file{'' if others == 1 else 's'}{_endings(ends)}")
    return (
        f"nothing was screened: no file below {root} ({total:,} in all) can be read as an image: "
        f"{'; '.join(kinds)}. Expected PNG, JPEG, TIFF, BMP, GIF, WebP or DICOM"
    )


def _endings(ends: Counter[str]) -> str:
    named = ", ".join(f"{count:,} {end}" for end, count in ends.most_common(ENDINGS) if end)
    return f" ({named})" if named else ""


def _list(request: RunRequest, selection: Selection, reporter: Reporter) -> int:
    from cxr.screening.read import may_have_row

    listed = 0
    for candidate in selection.candidates:
        if may_have_row(candidate, request.naming.root):
            sys.stdout.buffer.write(f"{candidate.cell}\n".encode())  # as tables are, whatever the locale says
            listed += 1
    sys.stdout.flush()
    reporter.listed(listed, len(selection.candidates) - listed)
    return 0


def _prepare(
    options: Options, request: RunRequest, found: Found, selection: Selection, reporter: Reporter, *, helped: bool
) -> Run:
    if options.keywords:
        from cxr.imaging.dicom import check_keywords

        check_keywords(options.keywords)
    wanted = chosen_format(cleaned(options.output), options.format)
    check_format(wanted)
    named = model_folders(options.models, options.repo)
    models = load_models(options, [folder for folder, _ in named], helped=helped)
    reporter.loaded(models)
    schema = schema_for(models, options.keywords, any_dicom=options.any_dicom)
    check_words(options, schema)
    request = replace(request, model_sources=[source for _, source in named])
    threads = reading_threads(options)
    batch = options.batch_size or BATCH * models[0].network.threads
    return Run(
        request,
        found,
        selection,
        models,
        schema,
        wanted,
        options.partitions,
        threads,
        batch,
        options.file_timeout,
        options.csv_dialect,
    )


def _work(options: Options, engine: "Engine", work: Run, files: OutputFiles | None, reporter: Reporter) -> Tally:
    if files is None:
        from cxr.screening.run import stream_table

        return stream_table(work, lines_to(sys.stdout.buffer), reporter)
    from cxr.screening.run import run as run_job

    overwrite = options.overwrite and not ending()  # what died had begun anew
    return run_job(work, files, reporter, overwrite=overwrite, engine=engine)


def _fails(fail_on: FailOn, tally: Tally, found: Found) -> bool:
    """Tell whether the exit status is 3; a folder that could not be listed may hold files without an answer."""
    if fail_on is FailOn.NONE:
        return False
    if fail_on is FailOn.ALL:
        return tally.ok == 0
    return tally.ok < tally.rows or any(why == UNREADABLE for _, why in found.folders)
