"""What `cxr-batch` was asked to do, checked as far as can be without opening a file of the inputs."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.cli.batch_alone import alone_because
from cxr.cli.batch_words import EngineName, FailOn, Talk
from cxr.errors import UsageError
from cxr.screening.address import is_address

if TYPE_CHECKING:
    from cxr.cli.batch_models import DvcModel
    from cxr.screening.names import Naming, PathStyle
    from cxr.screening.query import Query
    from cxr.screening.select import Shard
    from cxr.screening.store import Root
    from cxr.screening.tables import Format

STDOUT = "-"
RAY_SCRATCH = "--engine ray makes a table for an address in a folder that all nodes see; name it with --scratch"


@dataclass(frozen=True, slots=True)
class Options:
    """The command line of `cxr-batch`; see its --help."""

    inputs: Sequence[Path]
    addresses: Sequence[str]
    repo: str | None
    rev: str | None
    changed_since: str | None
    earlier: Path | None
    scratch: Path | None
    output: str
    files_from: str | None
    include: Sequence[str]
    exclude: Sequence[str]
    recursive: bool
    root: Path | None
    models: "Sequence[Path | DvcModel]"
    point: str | None
    paths: "PathStyle"
    key: Path | None
    format: "Format | None"
    partitioned: bool
    keywords: Sequence[str]
    shard: "Shard | None"
    limit: int | None
    engine: EngineName
    address: str | None
    processes: int
    workers: int
    batch: int
    threads: int
    overwrite: bool
    fail_on: FailOn
    report: Path | None
    explain: Path | None
    explain_rows: str | None
    explain_limit: int | None
    dry_run: bool
    talk: Talk

    @property
    def to_stdout(self) -> bool:
        """Whether rows are streamed instead of written to a file."""
        return self.output == STDOUT

    @property
    def from_dvc(self) -> bool:
        """Whether the inputs are those of a DVC repository."""
        return any(one.lower().startswith("dvc://") for one in self.addresses)

    @property
    def to_address(self) -> bool:
        """Whether the table goes to an address."""
        return is_address(self.output)


def check_options(options: Options) -> None:
    """Refuse what contradicts itself. Raises UsageError."""
    from cxr.screening.names import PathStyle
    from cxr.screening.tables import Format, format_of

    wanted = options.format or format_of(Path(options.output))
    hashed, on_ray = options.paths is PathStyle.HASHED, options.engine is EngineName.RAY
    for wrong, sentence in (
        (
            not options.inputs and not options.addresses and not options.files_from,
            "nothing to screen: give folders or files, or --files-from",
        ),
        (hashed and not options.key, "--paths hashed needs --key FILE, a file of at least 16 random bytes"),
        (options.key and not hashed, "--key is for --paths hashed"),
        (options.partitioned and options.to_address, "--partitions is for a local folder; send its files afterwards"),
        (options.partitioned and wanted is not Format.PARQUET, "--partitions is for Parquet: --format parquet"),
        (options.to_stdout and options.format is Format.PARQUET, "Parquet cannot be streamed; give a file with -o"),
        (options.to_stdout and options.report, "--report needs a results file; give one with -o"),
        (options.to_stdout and options.overwrite, "--overwrite is for results files, not for -o -"),
        (options.inputs and options.addresses, "local paths and addresses cannot be screened in one run; use two"),
        (options.root and options.addresses, "--root is for local paths; of addresses, names start where all meet"),
        (options.address and not on_ray, "--address is for --engine ray"),
        (on_ray and options.to_stdout, "--engine ray needs a results file; give one with -o"),
        (on_ray and options.threads > 1, "--threads is not for --engine ray, whose workers are a core each"),
        (on_ray and options.talk is Talk.VERBOSE, "--verbose is not for --engine ray: only its workers see each file"),
        (on_ray and options.to_address and not options.scratch, RAY_SCRATCH),
        (options.processes > 1 and alone_because(options), f"--processes is not for {alone_because(options)}"),
        (options.processes > 1 and (options.workers or options.threads), "--workers and --threads are of one process"),
        (options.scratch and not options.to_address, "--scratch is for tables that go to an address with -o"),
        (options.rev and not options.from_dvc, "--rev is for dvc:// inputs; name a model's as in dvc:FOLDER@REV"),
        (options.changed_since and not options.from_dvc, "--changed-since is for dvc:// inputs"),
        (options.earlier and not options.changed_since, "--earlier is for --changed-since REV, whose table it is"),
        (options.earlier and options.to_stdout, "--earlier needs a results file; give one with -o"),
    ):
        if wrong:
            raise UsageError(sentence)
    missing = [path for path in options.inputs if not path.exists() and not path.is_symlink()]
    if missing:
        raise UsageError(f"{missing[0]} does not exist; expected a folder or a file")


def naming_of(options: Options, root: "Root") -> "Naming":
    """Return how files are named in the table. Raises UsageError where the key is unusable."""
    from cxr.screening.names import Naming, read_key

    return Naming(root, options.paths, read_key(options.key) if options.key else b"")


def query_of(options: Options, listed: Sequence[Path], own: frozenset[str]) -> "Query":
    """Return what to look for."""
    from cxr.screening.query import Query

    return Query(options.inputs, listed, options.recursive, options.include, options.exclude, own)


def listed_names(options: Options) -> list[str]:
    """Read --files-from; '-' is stdin. Raises UsageError where it cannot be read or names nothing."""
    from cxr.screening.query import read_names

    if options.files_from is None:
        return []
    try:
        data = sys.stdin.buffer.read() if options.files_from == STDOUT else Path(options.files_from).read_bytes()
    except OSError as error:
        raise UsageError(f"--files-from {options.files_from}: {error.strerror}") from error
    names = list(read_names(data))
    if not names and not options.inputs and not options.addresses:
        raise UsageError(f"--files-from {options.files_from} names no file; expected one path a line")
    return names
