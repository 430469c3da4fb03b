"""The options of `cxr-batch`: their words, their help, and what can be checked without opening a file of the inputs."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cxr.core.errors import UsageError
from cxr.screening.candidates import Query
from cxr.screening.discovery import Shard
from cxr.screening.paths import Naming, PathStyle, is_address
from cxr.screening.storage import Root
from cxr.screening.tables import Format

# What --model takes for a name; a folder in the working directory that is called so is written as ./fast.
NAMES = {"packaged": "packaged", "fast": "packaged_fast"}
DVC = "dvc:"


@dataclass(frozen=True, slots=True)
class DvcModel:
    """A network's folder at a revision of the repository of --repo."""

    path: str
    rev: str


def named_model(text: str) -> Path | DvcModel:
    """Return what `--model` names: a folder, see `named_folder`, or `dvc:FOLDER@REV`; without a revision it is HEAD."""
    if not text.startswith(DVC):
        return named_folder(text)
    path, _, rev = text.removeprefix(DVC).partition("@")
    return DvcModel(path.strip("/"), rev or "HEAD")


def named_folder(text: str) -> Path:
    """Return the folder that `--model` names: one of NAMES, or a path."""
    from cxr.inference.model_folder import packaged_folder

    return packaged_folder().with_name(NAMES[text]) if text in NAMES else Path(text)


class FailOn(StrEnum):
    """When files without an answer make the exit status 3."""

    NONE = "none"
    ANY = "any"
    ALL = "all"


class EngineName(StrEnum):
    """Who screens."""

    LOCAL = "local"
    RAY = "ray"


class Verbosity(StrEnum):
    """How much is said on stderr, and to whom."""

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"
    JSON = "json"


CAN_FORK = sys.platform == "linux"  # on macOS the system's own libraries do not survive it


def single_process_reason(options: "Options") -> str:
    """Return why one process must do it; empty where several can."""
    for one, name in (
        (options.engine is EngineName.RAY, "--engine ray, whose workers are processes"),
        (options.to_stdout, "-o -, where rows come in order"),
        (options.addresses, "addresses, which are waited for"),
        (options.verbosity is Verbosity.VERBOSE, "--verbose"),
        (not all(isinstance(model, Path) for model in options.models), "networks of a revision"),
        (not CAN_FORK, "this system; Linux alone can"),
    ):
        if one:
            return name
    return ""


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
    models: Sequence[Path | DvcModel]
    point: str | None
    paths: PathStyle
    key: Path | None
    format: Format | None
    partitioned: bool
    keywords: Sequence[str]
    shard: Shard | None
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
    verbosity: Verbosity

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
    from cxr.screening.tables import format_of

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
        (
            on_ray and options.verbosity is Verbosity.VERBOSE,
            "--verbose is not for --engine ray: only its workers see each file",
        ),
        (on_ray and options.to_address and not options.scratch, RAY_SCRATCH),
        (
            options.processes > 1 and single_process_reason(options),
            f"--processes is not for {single_process_reason(options)}",
        ),
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


def naming_of(options: Options, root: Root) -> Naming:
    """Return how files are named in the table. Raises UsageError where the key is unusable."""
    from cxr.screening.paths import read_key

    return Naming(root, options.paths, read_key(options.key) if options.key else b"")


def query_of(options: Options, listed: Sequence[Path], own: frozenset[str]) -> Query:
    """Return what to look for."""
    return Query(options.inputs, listed, options.recursive, options.include, options.exclude, own)


def listed_names(options: Options) -> list[str]:
    """Read --files-from; '-' is stdin. Raises UsageError where it cannot be read or names nothing."""
    from cxr.screening.candidates import read_names

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


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error


def _input(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel="What is screened", **more)


def _rows(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel="What is written", **more)


def _talk(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel="What is said", **more)


Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH...",
        help="Folders, searched with their sub-folders, and files; or addresses of both, such as s3://bucket/folder "
        "or zip://::scans.zip: docs/remote.md.",
        show_default=False,
    ),
]
FilesFrom = Annotated[
    str | None,
    _input(metavar="FILE", help="Take what FILE lists, one path a line or separated by NUL; '-' is stdin."),
]
Repo = Annotated[
    str | None,
    _input(metavar="URL", help="Repository of dvc:// inputs and dvc: models. [default: the working directory's]"),
]
Rev = Annotated[
    str | None,
    _input(metavar="REV", help="Branch, tag, commit or experiment of dvc:// inputs. [default: HEAD]"),
]
ChangedSince = Annotated[
    str | None,
    _input(metavar="REV", help="Take only files that are new or changed between REV and --rev, for dvc:// inputs."),
]
Earlier = Annotated[
    Path | None,
    _input(metavar="TABLE", help="Keep rows of unchanged files from the table of --changed-since; the new has all."),
]
Include = Annotated[
    list[str] | None, _input(metavar="GLOB", help="Take only files whose path or name matches; repeatable.")
]
Exclude = Annotated[
    list[str] | None,
    _input(metavar="GLOB", help="Leave aside files and folders whose path or name matches; repeatable."),
]
Recursive = Annotated[bool, _input(help="Search sub-folders.")]
ShardOf = Annotated[
    Shard | None,
    _input(parser=_shard, metavar="I/N", help="Take the I-th of N parts; cxr-batch-merge joins their tables."),
]
Limit = Annotated[int | None, _input(min=1, metavar="N", help="Take the first N files only.")]
DryRun = Annotated[bool, _input("--dry-run", help="Only list on stdout what would be screened.")]
Models = Annotated[
    list[Any] | None,
    typer.Option(
        parser=named_model,
        metavar="FOLDER",
        help="Network, as a folder made by the stage 'evaluate', or 'packaged' or 'fast', the two that are packaged, "
        "or dvc:FOLDER@REV, that of any revision of --repo; repeat it for several in one pass. [default: packaged]",
    ),
]
OperatingPoint = Annotated[
    str | None,
    typer.Option(
        "--operating-point",
        metavar="NAME",
        help="Threshold that decides, by the name in the network's decisions.json. [default: the network's own]",
    ),
]
Output = Annotated[
    str, _rows("--output", "-o", metavar="FILE", help="Table to write, or its address; '-' streams it to stdout.")
]
Form = Annotated[Format | None, _rows(help="Form of the table. [default: by the suffix of --output, else csv]")]
Partitions = Annotated[
    bool, _rows("--partitions", help="Write Parquet as a folder of files of 100,000 rows: for millions of them.")
]
Paths = Annotated[PathStyle, _rows(help="How files are named in the table.")]
RootFolder = Annotated[
    Path | None,
    _rows(
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="What relative paths start from. [default: the folder given, or the deepest that holds all inputs]",
    ),
]
Scratch = Annotated[
    Path | None,
    _rows(
        metavar="DIR",
        file_okay=False,
        help="Where the table for an address is made, and what was done is kept. [default: in the user's cache folder]",
    ),
]
Key = Annotated[Path | None, _rows(metavar="FILE", help="Secret for --paths hashed: at least 16 random bytes.")]
Dicom = Annotated[
    list[str] | None,
    _rows(
        metavar="KEYWORD",
        help="Add a column with this DICOM attribute, such as StudyDate; repeatable. Else none is read.",
    ),
]
Overwrite = Annotated[bool, _rows("--overwrite", help="Start over instead of going on from an earlier run.")]
Sheet = Annotated[Path | None, _rows(metavar="HTML", help="Also write a page with thumbnails, to look at offline.")]
Explain = Annotated[
    Path | None,
    _rows(metavar="DIR", help="Also draw maps of where the score of some rows comes from: docs/explain.md."),
]
ExplainRows = Annotated[
    str | None,
    _rows(
        metavar="WHAT",
        help="Rows for --explain: suspected, refer, ok, or classes, flags and decisions, with commas. "
        "[default: suspected]",
    ),
]
ExplainLimit = Annotated[int | None, _rows(min=1, metavar="N", help="Draw the first N of them only. [default: 200]")]
FailWhen = Annotated[FailOn, _talk(help="Exit with 3 when any, when all, or never when files have no answer.")]
Quiet = Annotated[bool, _talk("--quiet", "-q", help="Say errors only.")]
Verbose = Annotated[bool, _talk("--verbose", "-v", help="Say what was done to each file.")]
LogJson = Annotated[bool, _talk("--log-json", help="Say it to programs: one JSON object a line on stderr.")]


def _speed(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel="Speed; answers do not depend on it", **more)


Engine = Annotated[EngineName, _speed(help="Who screens: this machine, or workers of Ray on one machine or many.")]
Address = Annotated[
    str | None, _speed(metavar="ADDR", help="Cluster of --engine ray, such as auto. [default: one of its own, here]")
]
Processes = Annotated[
    int,
    _speed(
        min=0,
        max=1024,
        help="Processes that read and compute side by side; 0: one a core for folders on Linux, where neither "
        "--workers nor --threads is given.",
    ),
]
Workers = Annotated[
    int,
    _speed(
        min=0,
        max=4096,
        help="Reading threads of one process; 0: one a core, or eight for addresses. Of --engine ray, workers at "
        "most; 0: all cores.",
    ),
]
BatchSize = Annotated[
    int, _speed(min=0, max=1024, help="Files taken together; 0: eight for each thread of the network.")
]
Threads = Annotated[
    int, _speed(min=0, max=1024, help="Threads of the network in one process; 0: by its cost beside that of decoding.")
]
