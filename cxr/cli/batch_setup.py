"""What a run of `cxr-batch` needs before it starts: inputs and outputs, models, engine, explanations."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from cxr.cli.batch_options import DvcModel, EngineName, Options, naming_of, query_of, single_process_reason
from cxr.core.errors import ModelError, UsageError
from cxr.core.files import guarded, real
from cxr.core.process import available_cores
from cxr.inference.model_folder import ScreeningModel
from cxr.remote.filesystem import Upload
from cxr.screening.candidates import Candidate, Found, Query, common_root
from cxr.screening.discovery import discover
from cxr.screening.engine import Engine, Run
from cxr.screening.explain import LIMIT, SUSPECTED, Explained, choose_rows, parse_words
from cxr.screening.paths import Naming, split_places
from cxr.screening.run import LocalEngine
from cxr.screening.run_manifest import RevisionDiff, RevisionName, diff_revisions
from cxr.screening.schema import Schema
from cxr.screening.storage import Provenance, Root
from cxr.screening.tables import OutputFiles, output_files
from cxr.screening.workers import WorkerPool

LEAST = 128  # files for a process to be worth its start: it brings a tenth of a millisecond for each


def check_engine(options: Options) -> None:
    """Raise UsageError where Ray is asked for and is not installed."""
    if options.engine is EngineName.RAY:
        from cxr.screening.ray_engine import ray_module

        ray_module()


@contextmanager
def worker_pool_of(options: Options, root: Root, candidates: Sequence[Candidate]) -> Iterator[WorkerPool | None]:
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


def engine_of(options: Options, pool: WorkerPool | None) -> Engine:
    """Return the engine of a run."""
    if options.engine is EngineName.LOCAL:
        return LocalEngine(pool)
    from cxr.screening.ray_engine import RayEngine

    return RayEngine(options.address, options.workers)


def reading_threads(options: Options) -> int:
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


def load_models(options: Options, folders: Sequence[Path], *, helped: bool = False) -> list[ScreeningModel]:
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
    from cxr.inference.model_folder import describe_model, load_model, named_folder
    from cxr.inference.network import network_threads

    if folder == named_folder("fast") and not folder.is_dir():
        raise ModelError("this package has no fast model; leave --model out, or name the folder of a network")
    gflop = float(describe_model(folder).get("gflop_per_image", 1))
    threads = options.threads or network_threads(gflop, 1 if helped else available_cores())
    pinned = options.shard is None and not helped  # shards may share a machine
    return load_model(folder, threads, pinned)


def check_folders(options: Options) -> None:
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


def check_words(options: Options, schema: Schema) -> None:
    """Refuse rows that no table of this form can have, before anything is screened. Raises UsageError."""
    if options.explain is not None:
        parse_words(options.explain_rows or SUSPECTED, schema)


def write_explained(options: Options, folder: Path, work: Run, files: OutputFiles) -> Explained:
    """Draw the maps of the rows that were asked for, of the finished table.

    Raises:
        OutputError: The folder cannot be written.
    """
    from cxr.screening.explain import explain
    from cxr.screening.tables import read_table

    words = parse_words(options.explain_rows or SUSPECTED, work.schema)
    limit = options.explain_limit or LIMIT
    records, more = choose_rows(read_table(files.results, work.format, work.schema.columns), words, limit)
    with guarded(folder, kept="the table is whole"):
        return explain(folder, records, more, work, work.models[0])


def _is_below(path: Path, folder: Path) -> bool:
    return real(path).is_relative_to(real(folder))


def output_of(options: Options) -> tuple[OutputFiles | None, Upload | None]:
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
    from cxr.remote.filesystem import scratch_results

    files = output_files(scratch_results(options.output, options.scratch))
    upload = Upload(options.output, files)
    upload.check(overwrite=options.overwrite)
    return files, upload


def own_of(options: Options, files: OutputFiles | None) -> frozenset[str]:
    """Return what the run itself writes, local and at an address. Raises UsageError where two of them are one file."""
    own = files.all if files else frozenset()
    if files and options.to_address:
        from cxr.remote.filesystem import own_addresses

        own |= own_addresses(options.output, files)
    for what, path in options.files_beside.items():
        if str(real(path)) in own:
            raise UsageError(f"{what} would be {path}, which the table or its manifest is; give another name")
        own |= {str(real(path))}
    return own


def inputs_of(options: Options, names: Sequence[str], own: frozenset[str]) -> tuple[Naming, Query, Found]:
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


def changes_of(options: Options, naming: Naming, query: Query, found: Found) -> RevisionDiff | None:
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
