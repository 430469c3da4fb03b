"""Where the pictures of a run lie, and where its table goes: local paths, or addresses."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.cli.batch_options import Options, naming_of, query_of
from cxr.errors import UsageError
from cxr.screening.address import split_places
from cxr.screening.changes import Changes, changes_between
from cxr.screening.discover import discover
from cxr.screening.output import OutputFiles, output_files
from cxr.screening.query import Found, common_root

if TYPE_CHECKING:
    from cxr.remote.output import Upload
    from cxr.screening.names import Naming
    from cxr.screening.query import Query
    from cxr.screening.store import Root


def output_of(options: Options) -> tuple[OutputFiles | None, "Upload | None"]:
    """Return the files that the run writes, and where they are sent afterwards.

    Raises:
        OutputError: They cannot be written, or would replace another table.
        UsageError: The address cannot be written to.
    """
    if options.to_stdout or options.dry_run:
        return None, None
    if not options.to_address:
        return output_files(Path(options.output), partitioned=options.partitioned), None
    if options.output.lower().startswith("file://"):
        (path,), _ = split_places([options.output])
        return output_files(path, partitioned=options.partitioned), None
    from cxr.remote.output import Upload, scratch_results

    files = output_files(scratch_results(options.output, options.scratch))
    upload = Upload(options.output, files)
    upload.check(overwrite=options.overwrite)
    return files, upload


def own_of(options: Options, files: OutputFiles | None) -> frozenset[str]:
    """Return what the run itself writes, local and at an address."""
    own = files.all if files else frozenset()
    if files and options.to_address:
        from cxr.remote.output import own_addresses

        own |= own_addresses(options.output, files)
    return own | (frozenset({str(options.report.resolve())}) if options.report else frozenset())


def places_of(options: Options, names: Sequence[str], own: frozenset[str]) -> "tuple[Naming, Query, Found]":
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


def changes_of(options: Options, naming: "Naming", query: "Query", found: Found) -> Changes | None:
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
    since = {"rev": revision.rev, "commit": revision.commit}
    return changes_between(discover(query, before).candidates, found.candidates, since)


def _remote(options: Options, listed: Sequence[str]) -> "Root":
    every = [*options.addresses, *listed]
    if any(one.lower().startswith("dvc://") for one in every):
        from cxr.remote.dvc import open_revision, revision_of

        return open_revision(revision_of(options.repo, options.rev), options.addresses, listed)
    from cxr.remote.opening import open_store

    return open_store(options.addresses, listed)
