"""What `cxr-batch` does, from its options to its exit status."""

import gc
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cxr.cli.batch_options import (
    DvcModel,
    EngineName,
    FailOn,
    Options,
    check_options,
    listed_names,
    naming_of,
    query_of,
    single_process_reason,
)
from cxr.cli.console import FATAL, OF_THE_SYSTEM, status_of, told_of_the_system
from cxr.cli.reporters import Reporter, reporter_of
from cxr.core.errors import CxrError, DataError, ModelError, UsageError
from cxr.core.files import guarded, real
from cxr.core.process import available_cores, begun, ending, lines_to
from cxr.imaging.formats import unread_by_name
from cxr.inference.model_folder import ScreeningModel
from cxr.inference.network import BATCH
from cxr.screening.candidates import UNREADABLE, Candidate, Found, Query, common_root
from cxr.screening.discovery import Selection, discover, select
from cxr.screening.engine import Engine, Run
from cxr.screening.paths import Naming, cleaned, split_places
from cxr.screening.run import LocalEngine
from cxr.screening.run_manifest import RevisionDiff, RevisionName, RunRequest, Tally, diff_revisions, read_run_result
from cxr.screening.schema import Schema, schema_for
from cxr.screening.storage import Provenance, Root
from cxr.screening.tables import OutputFiles, check_format, chosen_format, locked, output_files
from cxr.screening.workers import WorkerPool

if TYPE_CHECKING:  # what a run does without, where it was not asked for
    from cxr.remote.filesystem import Upload
    from cxr.screening.explain import Explained

SOME_FAILED = 3
ENDINGS = 3  # of names, in a sentence
LEAST = 128  # files for a process to be worth its start: it brings a tenth of a millisecond for each
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
    _check_folders(options)
    _check_beside(options)
    _check_engine(options)
    files, upload = _output_of(options)
    if files and upload:
        reporter.scratch(files.results.parent, upload.address)
    request, found, selection = _discover(options, files)
    reporter.found(found, selection)
    if options.dry_run:
        return _list(request, selection, reporter)
    pool = _worker_pool_of(options, request.naming.root, selection.candidates)
    # Forked first: a process that outlived this one must not hold the lock of the output.
    with pool as helpers, locked(files) if files else nullcontext():
        work = _prepare(options, request, found, selection, reporter, helped=helpers is not None)
        tally = _work(options, _engine_of(options, helpers), work, files, reporter)
        if files and options.report:
            from cxr.screening.gallery import write_gallery

            write_gallery(options.report, work, files, tally)
        if files and options.redcap:
            from cxr.screening.redcap import write_records

            write_records(options.redcap, work, files)
        if files and options.explain:
            reporter.explained(_write_explained(options, options.explain, work, files))
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
    naming, query, found = _inputs_of(options, listed_names(options), _own_of(options, files))
    where = cleaned(options.output) if options.to_address else str(files.results) if files else ""
    if options.shard and where.startswith(f"{naming.root}{'' if str(naming.root).endswith('/') else '/'}"):
        raise DataError(f"{where} lies in {naming.root}, where the other shards would find it; write it somewhere else")
    if not found.candidates:
        raise DataError(_nothing(naming.root, found))
    changes = _changes_of(options, naming, query, found)
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
    models = _load_models(options, [folder for folder, _ in named], helped=helped)
    reporter.loaded(models)
    schema = schema_for(models, options.keywords, any_dicom=options.any_dicom)
    _check_words(options, schema)
    request = replace(request, model_sources=[source for _, source in named])
    threads = _reading_threads(options)
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


def _check_engine(options: Options) -> None:
    """Raise UsageError where Ray is asked for and is not installed."""
    if options.engine is EngineName.RAY:
        from cxr.screening.ray_engine import ray_module

        ray_module()


@contextmanager
def _worker_pool_of(options: Options, root: Root, candidates: Sequence[Candidate]) -> Iterator[WorkerPool | None]:
    """Give the processes that help with a run, if it is to have any; at the end they are dismissed.

    They are forked here: before a network is loaded, which starts threads.
    """
    helpers = _processes(options, root, len(candidates)) - 1
    if helpers < 1:
        yield None
        return
    from PIL import Image

    from cxr.inference.model_folder import packaged_folder
    from cxr.inference.network import openvino_module
    from cxr.screening.workers import load_all

    openvino_module()  # shared, so that each need not load it; and Pillow's decoders
    Image.preinit()
    gc.freeze()
    folders = [model for model in options.models if isinstance(model, Path)] or [packaged_folder()]
    pool = WorkerPool(helpers, candidates, partial(load_all, folders))
    try:
        yield pool
    finally:
        pool.shutdown()


def _engine_of(options: Options, pool: WorkerPool | None) -> Engine:
    """Return the engine of a run."""
    if options.engine is EngineName.LOCAL:
        return LocalEngine(pool)
    from cxr.screening.ray_engine import RayEngine

    return RayEngine(options.address, options.workers)


def _reading_threads(options: Options) -> int:
    """Return how many threads of this process read, 0 for its own choice: of Ray, --workers are processes."""
    return options.workers if options.engine is EngineName.LOCAL else 0


def _processes(options: Options, root: Root, files: int) -> int:
    """Return how many screen side by side."""
    if single_process_reason(options) or options.workers or options.threads or not isinstance(root, Path):
        return 1
    return options.processes or min(available_cores(), files // LEAST)


def model_folders(models: Sequence[Path | DvcModel], repo: str | None) -> list[tuple[Path, Provenance | None]]:
    """Return the folders of networks, those of revisions of `repo` as copies, and which revision each is of.

    Raises:
        ModelError: A revision has no such folder, or its files cannot be had.
        UsageError: DVC is not installed, or there is no such repository or revision.
    """
    return [(model, None) if isinstance(model, Path) else _fetched(model, repo) for model in models]


def _fetched(model: DvcModel, repo: str | None) -> tuple[Path, Provenance]:
    from cxr.remote.dvc import fetch_model, revision_of
    from cxr.remote.filesystem import cache_folder

    if not model.path:
        raise UsageError("--model dvc: names no folder; give one as in dvc:models/screening@v1.0")
    return fetch_model(revision_of(repo, model.rev), model.path, cache_folder() / "models")


def _load_models(options: Options, folders: Sequence[Path], *, helped: bool = False) -> list[ScreeningModel]:
    """Load the networks that were named, or the packaged one, at the operating point that was asked for.

    Args:
        options: Of the run.
        folders: What `model_folders` gave.
        helped: Whether other processes screen beside this one, so that it has one core.

    Raises:
        ModelError: A folder is incomplete or altered.
        UsageError: A network has no such operating point.
    """
    from cxr.inference.model_folder import at_operating_point, packaged_folder

    if folders:
        models = [_load(folder, options, helped=helped) for folder in folders]
    else:
        try:
            models = [_load(packaged_folder(), options, helped=helped)]
        except ModelError as error:
            raise ModelError(
                f"the packaged model cannot be used: {error}; or name another folder with --model"
            ) from error
    return (
        models
        if options.operating_point is None
        else [at_operating_point(model, options.operating_point) for model in models]
    )


def _load(folder: Path, options: Options, *, helped: bool) -> ScreeningModel:
    """Load a network; 0 threads means: as many as its cost beside that of decoding calls for."""
    from cxr.inference.model_folder import describe_model, load_model
    from cxr.inference.network import network_threads

    gflop = float(describe_model(folder).get("gflop_per_image", 1))
    threads = options.threads or network_threads(gflop, 1 if helped else available_cores())
    pinned = options.shard is None and not helped  # shards may share a machine
    return load_model(folder, threads, pinned)


def _check_folders(options: Options) -> None:
    """Refuse folders that cannot be written beside the table, before anything is looked for. Raises UsageError."""
    for given, name in ((options.explain_rows, "--explain-rows"), (options.explain_limit, "--explain-limit")):
        if given is not None and options.explain is None:
            raise UsageError(f"{name} is for --explain DIR, which says where the maps go")
    for option, folder in options.folders.items():
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{option} {folder} is not a folder; give the name of a folder, old or new")
        inside = [one for one in options.inputs if one.is_dir() and _is_below(folder, one)]
        if inside:
            raise UsageError(
                f"{option} {folder} lies in {inside[0]}, where the next run would screen its pictures; "
                "give a folder somewhere else"
            )
    if options.dicom_sr:
        from cxr.screening.structured_report import check_highdicom

        check_highdicom()


def _check_beside(options: Options) -> None:
    """Refuse to replace what is not of an earlier run: a film, a list, somebody's table. Raises UsageError."""
    if options.report and options.report.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--report writes a page, and {options.report} is no name of one: give one that ends in .html")
    for option, path, ours, what in _beside(options):
        if path.is_dir():
            raise UsageError(f"{option} {path} is a folder; give the name of a file")
        if path.exists() and not ours(path):
            raise UsageError(
                f"{option}: {path} exists and is not {what} that cxr-batch wrote, and no file of yours is replaced; "
                "give another name, or move that file away"
            )


def _beside(options: Options) -> Iterator[tuple[str, Path, Callable[[Path], bool], str]]:
    """Yield the files of fixed names beside the table: option, file, what tells an earlier one, what it is."""
    if options.report:
        from cxr.screening.gallery import is_page

        yield "--report", options.report, is_page, "a page"
    if options.redcap:
        from cxr.core.redcap import dictionary_beside
        from cxr.screening.redcap import is_dictionary, is_records

        yield "--redcap", options.redcap, is_records, "a file of records"
        yield "--redcap", dictionary_beside(options.redcap), is_dictionary, "a dictionary"
    if options.explain:
        from cxr.screening.explain import INDEX_FILE, INDEX_PAGE, is_index, is_index_page

        yield "--explain", options.explain / INDEX_FILE, is_index, "an index of maps"
        yield "--explain", options.explain / INDEX_PAGE, is_index_page, "a page of maps"
    if folder := options.copy_to or options.link_to:
        from cxr.screening.sorting import is_list, list_of

        yield "--copy-to" if options.copy_to else "--link-to", list_of(folder, options.shard), is_list, "a list"


def _check_words(options: Options, schema: Schema) -> None:
    """Refuse rows that no table of this form can have, before anything is screened. Raises UsageError."""
    if options.explain is not None:
        from cxr.screening.explain import SUSPECTED, parse_words

        parse_words(options.explain_rows or SUSPECTED, schema)


def _write_explained(options: Options, folder: Path, work: Run, files: OutputFiles) -> "Explained":
    """Draw the maps of the rows that were asked for, of the finished table.

    Raises:
        OutputError: The folder cannot be written.
    """
    from cxr.screening.explain import LIMIT, SUSPECTED, choose_rows, explain, parse_words
    from cxr.screening.tables import read_table

    words = parse_words(options.explain_rows or SUSPECTED, work.schema)
    limit = options.explain_limit or LIMIT
    records, more = choose_rows(read_table(files.results, work.format, work.schema.columns), words, limit)
    with guarded(folder, kept="the table is whole"):
        return explain(folder, records, more, work, work.models[0])


def _is_below(path: Path, folder: Path) -> bool:
    return real(path).is_relative_to(real(folder))


def _output_of(options: Options) -> "tuple[OutputFiles | None, Upload | None]":
    """Return the files that the run writes, and where they are sent afterwards.

    Raises:
        OutputError: They cannot be written, or would replace another table.
        UsageError: The address cannot be written to.
    """
    if options.to_stdout or options.dry_run:
        return None, None
    if not options.to_address:
        return output_files(Path(options.output), partitioned=options.partitions), None
    if options.output.lower().startswith("file://"):
        (path,), _ = split_places([options.output])
        return output_files(path, partitioned=options.partitions), None
    from cxr.remote.filesystem import Upload, scratch_results

    files = output_files(scratch_results(options.output, options.scratch))
    upload = Upload(options.output, files)
    upload.check(overwrite=options.overwrite)
    return files, upload


def _own_of(options: Options, files: OutputFiles | None) -> frozenset[str]:
    """Return what the run itself writes, local and at an address. Raises UsageError where two of them are one file."""
    own = files.all if files else frozenset()
    if files and options.to_address:
        from cxr.remote.filesystem import own_addresses

        own |= own_addresses(options.output, files)
    taken = dict.fromkeys(own, "the table or a file of its run")
    for what, path in options.files_beside.items():
        if other := taken.get(str(real(path))):
            raise UsageError(f"{what} would be {path}, which {other} is too; give another name")
        taken[str(real(path))] = what
    return frozenset(taken)


def _inputs_of(options: Options, names: Sequence[str], own: frozenset[str]) -> tuple[Naming, Query, Found]:
    """Find what is to be screened: how it is named, what was looked for, what is there.

    Args:
        options: The command line.
        names: Those of --files-from.
        own: What the run itself writes.

    Raises:
        UsageError: An input is absent, or inputs do not belong together.
        DataError: An address does not answer.
    """
    listed, addresses = split_places(names)
    if (addresses or options.addresses) and (listed or options.inputs):
        raise UsageError("local paths and addresses cannot be screened in one run; use two")
    root: Root
    if addresses or options.addresses:
        root = _remote(options, addresses)
    else:
        root = options.root.absolute() if options.root else common_root([*options.inputs, *listed])
    naming, query = naming_of(options, root), query_of(options, listed, own)
    return naming, query, discover(query, naming)


def _changes_of(options: Options, naming: Naming, query: Query, found: Found) -> RevisionDiff | None:
    """Compare with the revision of --changed-since; None without.

    Raises:
        UsageError: There is no such revision.
    """
    if options.changed_since is None:
        return None
    from cxr.remote.dvc import at_revision, revision_of
    from cxr.remote.store import FsspecStore

    assert isinstance(naming.root, FsspecStore)
    revision = revision_of(options.repo, options.changed_since)
    before = replace(naming, root=at_revision(naming.root, revision))
    since = RevisionName(revision.rev, revision.commit)
    return diff_revisions(discover(query, before).candidates, found.candidates, since)


def _remote(options: Options, listed: Sequence[str]) -> Root:
    every = [*options.addresses, *listed]
    if any(one.lower().startswith("dvc://") for one in every):
        from cxr.remote.dvc import open_revision, revision_of

        return open_revision(revision_of(options.repo, options.rev), options.addresses, listed)
    from cxr.remote.store import open_store

    return open_store(options.addresses, listed)
