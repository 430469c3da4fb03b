"""The options of `cxr-batch`, and what of them can be checked without opening a file of the inputs.

An option is written once: as a field of `Options`, whose type, default and help Typer reads. To add one, add the field
where its line in --help belongs; if it contradicts others, add a line to `check_options`.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import StrEnum
from functools import cached_property, wraps
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from cxr import __version__
from cxr.core.errors import ModelError, UsageError
from cxr.core.process import read_stdin
from cxr.core.redcap import dictionary_beside
from cxr.imaging.isolation import FILE_SECONDS
from cxr.screening.candidates import Query
from cxr.screening.discovery import Shard
from cxr.screening.paths import Naming, PathStyle, cleaned, is_address, split_places
from cxr.screening.storage import Root
from cxr.screening.tables import Dialect, Format, chosen_format

DVC = "dvc:"


@dataclass(frozen=True, slots=True)
class DvcModel:
    """A network's folder at a revision of the repository of --repo."""

    path: str
    rev: str


def named_model(text: str) -> Path | DvcModel:
    """Return what `--model` names: a folder, see `named_folder`, or `dvc:FOLDER@REV`; without a revision it is HEAD."""
    if not text.startswith(DVC):
        from cxr.inference.model_folder import named_folder

        return named_folder(text)
    path, _, rev = text.removeprefix(DVC).partition("@")
    return DvcModel(path.strip("/"), rev or "HEAD")


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


STDOUT = "-"
RAY_SCRATCH = "--engine ray makes a table for an address in a folder that all nodes see; name it with --scratch"


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from cxr.inference.model_folder import load_model, packaged_folder

    try:
        identity = load_model(packaged_folder()).identity
    except ModelError:
        identity = "none"
    typer.echo(f"cxr-batch {__version__}\npackaged model: {identity}")
    raise typer.Exit


def _input(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel="What is screened", **more)


def _rows(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel="What is written", **more)


def _speed(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel="Speed; answers do not depend on it", **more)


def _talk(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel="What is said", **more)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line of `cxr-batch`, in the order of its --help; what follows from several options is a property."""

    places: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Folders, searched with their sub-folders, and files; or addresses of both, such as "
            "s3://bucket/folder or zip://::scans.zip: docs/remote.md.",
            show_default=False,
        ),
    ] = field(default_factory=list)
    files_from: Annotated[
        str | None,
        _input(metavar="FILE", help="Take what FILE lists: paths, a line or a NUL apart, or a table; '-' is stdin."),
    ] = None
    repo: Annotated[
        str | None,
        _input(metavar="URL", help="Repository of dvc:// inputs and dvc: models. [default: the working directory's]"),
    ] = None
    rev: Annotated[
        str | None,
        _input(metavar="REV", help="Branch, tag, commit or experiment of dvc:// inputs. [default: HEAD]"),
    ] = None
    changed_since: Annotated[
        str | None,
        _input(metavar="REV", help="Take only files that are new or changed between REV and --rev, for dvc:// inputs."),
    ] = None
    earlier: Annotated[
        Path | None,
        _input(
            metavar="TABLE", help="Keep rows of unchanged files from the table of --changed-since; the new has all."
        ),
    ] = None
    include: Annotated[
        list[str], _input(metavar="GLOB", help="Take only files whose path or name matches; repeatable.")
    ] = field(default_factory=list)
    exclude: Annotated[
        list[str], _input(metavar="GLOB", help="Leave aside files and folders whose path or name matches; repeatable.")
    ] = field(default_factory=list)
    recursive: Annotated[bool, _input(help="Search sub-folders.")] = True
    shard: Annotated[
        Shard | None,
        _input(parser=_shard, metavar="I/N", help="Take the I-th of N parts; cxr-batch-merge joins their tables."),
    ] = None
    limit: Annotated[int | None, _input(min=1, metavar="N", help="Take the first N files only.")] = None
    any_dicom: Annotated[
        bool,
        _input(
            "--any-dicom",
            help="Screen DICOM of any modality and body part, also what its header calls no radiograph of the chest.",
        ),
    ] = False
    dry_run: Annotated[bool, _input("--dry-run", help="Only list on stdout what would be screened.")] = False
    model: Annotated[
        list[str],
        typer.Option(
            metavar="FOLDER",
            help="Network, as a folder made by the stage 'evaluate', or 'packaged', or dvc:FOLDER@REV, that of any "
            "revision of --repo; repeat it for several in one pass. [default: packaged]",
        ),
    ] = field(default_factory=list)
    operating_point: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Threshold that decides, by the name in the network's decisions.json. [default: the network's own]",
        ),
    ] = None
    output: Annotated[
        str,
        _rows("--output", "-o", metavar="FILE", help="Table to write, or its address; '-' streams it to stdout."),
    ] = ""
    format: Annotated[
        Format | None,
        _rows(metavar="FORM", help="csv, xlsx, jsonl or parquet. [default: as --output ends, else csv]"),
    ] = None
    csv_dialect: Annotated[
        Dialect,
        _rows(
            metavar="FORM",
            help="How CSV is written: plain; excel, for Excel where the decimal point is a comma (semicolons, decimal "
            "commas); or excel-us, where it is a point.",
        ),
    ] = Dialect.PLAIN
    partitions: Annotated[
        bool, _rows("--partitions", help="Write Parquet as a folder of files of 100,000 rows: for millions of them.")
    ] = False
    paths: Annotated[
        PathStyle, _rows(metavar="FORM", help="How files are named in the table: relative, absolute or hashed.")
    ] = PathStyle.RELATIVE
    root: Annotated[
        Path | None,
        _rows(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="What relative paths start from. [default: the folder given, or the deepest that holds all inputs]",
        ),
    ] = None
    scratch: Annotated[
        Path | None,
        _rows(
            metavar="DIR",
            file_okay=False,
            help="Where the table for an address is made, and what was done is kept. "
            "[default: in the user's cache folder]",
        ),
    ] = None
    key: Annotated[Path | None, _rows(metavar="FILE", help="Secret for --paths hashed: at least 16 random bytes.")] = (
        None
    )
    dicom: Annotated[
        list[str],
        _rows(
            metavar="KEYWORD",
            help="Add a column with this DICOM attribute, such as StudyDate; repeatable. Else none is read.",
        ),
    ] = field(default_factory=list)
    overwrite: Annotated[bool, _rows("--overwrite", help="Start over instead of going on from an earlier run.")] = False
    report: Annotated[
        Path | None, _rows(metavar="HTML", help="Also write a page with thumbnails, to look at offline.")
    ] = None
    redcap: Annotated[
        Path | None,
        _rows(
            metavar="CSV", help="Also write the rows as REDCap imports them, and its data dictionary: docs/redcap.md."
        ),
    ] = None
    copy_to: Annotated[
        Path | None,
        _rows(metavar="DIR", help="Also copy the files into folders by decision, below DIR: docs/sorting.md."),
    ] = None
    link_to: Annotated[Path | None, _rows(metavar="DIR", help="The same with links instead of copies.")] = None
    dicom_sr: Annotated[
        Path | None,
        _rows(metavar="DIR", help="Also write a DICOM report for each answered DICOM film: docs/sorting.md."),
    ] = None
    explain: Annotated[
        Path | None,
        _rows(metavar="DIR", help="Also draw maps of where the score of some rows comes from: docs/explain.md."),
    ] = None
    explain_rows: Annotated[
        str | None,
        _rows(
            metavar="WHAT",
            help="Rows for --explain: suspected, refer, ok, or classes, flags and decisions, with commas. "
            "[default: suspected]",
        ),
    ] = None
    explain_limit: Annotated[
        int | None, _rows(min=1, metavar="N", help="Draw the first N of them only. [default: 200]")
    ] = None
    engine: Annotated[
        EngineName, _speed(help="Who screens: this machine, or workers of Ray on one machine or many.")
    ] = EngineName.LOCAL
    address: Annotated[
        str | None,
        _speed(metavar="ADDR", help="Cluster of --engine ray, such as auto. [default: one of its own, here]"),
    ] = None
    processes: Annotated[
        int,
        _speed(
            min=0,
            max=1024,
            metavar="N",
            help="Processes that read and compute side by side; 0: one a core for folders on Linux, where neither "
            "--workers nor --threads is given.",
        ),
    ] = 0
    workers: Annotated[
        int,
        _speed(
            min=0,
            max=4096,
            metavar="N",
            help="Reading threads of one process; 0: one a core, or eight for addresses. Of --engine ray, workers at "
            "most; 0: all cores.",
        ),
    ] = 0
    batch_size: Annotated[
        int, _speed(min=0, max=1024, metavar="N", help="Files taken together; 0: eight for each thread of the network.")
    ] = 0
    threads: Annotated[
        int,
        _speed(
            min=0,
            max=1024,
            metavar="N",
            help="Threads of the network in one process; 0: by its cost beside that of decoding.",
        ),
    ] = 0
    file_timeout: Annotated[
        int,
        _speed(
            min=0,
            max=86400,
            metavar="SECONDS",
            help="What decoding one file may take that is no plain PNG or JPEG, tried twice; 0: as long as it takes.",
        ),
    ] = int(FILE_SECONDS)
    fail_on: Annotated[FailOn, _talk(help="Exit with 3 when any, when all, or never when files have no answer.")] = (
        FailOn.ANY
    )
    quiet: Annotated[bool, _talk("--quiet", "-q", help="Say errors only.")] = False
    verbose: Annotated[bool, _talk("--verbose", "-v", help="Say what was done to each file.")] = False
    log_json: Annotated[bool, _talk("--log-json", help="Say it to programs: one JSON object a line on stderr.")] = False
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print version and packaged model."),
    ] = False

    @cached_property
    def inputs(self) -> list[Path]:
        """The local ones of the places."""
        return split_places(self.places)[0]

    @cached_property
    def addresses(self) -> list[str]:
        """The others."""
        return split_places(self.places)[1]

    @cached_property
    def models(self) -> list[Path | DvcModel]:
        """What --model names; empty for the packaged network."""
        return list(map(named_model, self.model))

    @property
    def files_beside(self) -> dict[str, Path]:
        """The files that are written beside the table, by what names them."""
        named = {
            "--report": self.report,
            "--redcap": self.redcap,
            "the dictionary of --redcap": dictionary_beside(self.redcap) if self.redcap else None,
        }
        return {what: path for what, path in named.items() if path is not None}

    @property
    def folders(self) -> dict[str, Path]:
        """What is written beside the table, by the option that names its folder."""
        named = {
            "--explain": self.explain,
            "--copy-to": self.copy_to,
            "--link-to": self.link_to,
            "--dicom-sr": self.dicom_sr,
        }
        return {option: folder for option, folder in named.items() if folder is not None}

    @property
    def keywords(self) -> tuple[str, ...]:
        """The DICOM attributes, each once."""
        return tuple(dict.fromkeys(self.dicom))

    @property
    def verbosity(self) -> Verbosity:
        """How much is said. Raises BadParameter where the options contradict each other."""
        if self.quiet + self.verbose + self.log_json > 1:
            raise typer.BadParameter("--quiet, --verbose and --log-json exclude each other")
        if self.log_json:
            return Verbosity.JSON
        return Verbosity.VERBOSE if self.verbose else Verbosity.QUIET if self.quiet else Verbosity.NORMAL

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


def takes_options(run: Callable[[Options], None]) -> Callable[..., None]:
    """Give Typer the command for `run`: its parameters are the fields of `Options`, its help is that of `run`."""

    @wraps(run)
    def command(**values: Any) -> None:
        run(Options(**values))

    types = get_type_hints(Options, include_extras=True)
    command.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            Parameter(one.name, Parameter.KEYWORD_ONLY, default=_default(one), annotation=types[one.name])
            for one in fields(Options)
        ]
    )
    return command


def _default(one: Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


def single_process_reason(options: Options) -> str:
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


def check_options(options: Options) -> None:
    """Refuse what contradicts itself. Raises UsageError."""
    wanted = chosen_format(cleaned(options.output), options.format)
    hashed, on_ray = options.paths is PathStyle.HASHED, options.engine is EngineName.RAY
    for wrong, sentence in (
        (
            not options.inputs and not options.addresses and not options.files_from,
            "nothing to screen: give folders or files, or --files-from",
        ),
        ("" in options.places, "a place to screen is empty text, as of a variable that is not set; '.' is this folder"),
        (hashed and not options.key, "--paths hashed needs --key FILE, a file of at least 16 random bytes"),
        (options.key and not hashed, "--key is for --paths hashed"),
        (options.partitions and options.to_address, "--partitions is for a local folder; send its files afterwards"),
        (options.partitions and wanted is not Format.PARQUET, "--partitions is for Parquet: --format parquet"),
        (options.to_stdout and wanted is Format.PARQUET, "Parquet cannot be streamed; give a file with -o"),
        (options.to_stdout and wanted is Format.XLSX, "a workbook cannot be streamed; give a file with -o"),
        (
            options.csv_dialect is not Dialect.PLAIN and wanted is not Format.CSV,
            f"--csv-dialect is for CSV, and the table is {wanted}; leave one of them out",
        ),
        (options.to_stdout and options.report, "--report needs a results file; give one with -o"),
        (options.to_stdout and options.redcap, "--redcap needs a results file; give one with -o"),
        (
            options.redcap and options.redcap.suffix.lower() != ".csv",
            f"--redcap {options.redcap}: REDCap imports CSV; give a name that ends in .csv",
        ),
        (options.to_stdout and options.overwrite, "--overwrite is for results files, not for -o -"),
        *((options.to_stdout, f"{option} needs a results file; give one with -o") for option in options.folders),
        (options.copy_to and options.link_to, "--copy-to and --link-to exclude each other; give one of them"),
        (
            options.link_to and options.addresses,
            "--link-to is for local files; --copy-to fetches those of an address",
        ),
        *(
            (hashed and option in options.folders, f"{option} names files and patients, which --paths hashed hides")
            for option in ("--copy-to", "--link-to", "--dicom-sr")
        ),
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
    """Read --files-from; '-' is stdin.

    Raises:
        UsageError: It cannot be read or names nothing.
        DataError: Its content is no list of names.
    """
    from cxr.screening.discovery import read_names

    if options.files_from is None:
        return []
    try:
        data = read_stdin() if options.files_from == STDOUT else Path(options.files_from).read_bytes()
    except OSError as error:
        raise UsageError(f"--files-from {options.files_from}: {error.strerror}") from error
    shown = "stdin" if options.files_from == STDOUT else options.files_from
    names = list(read_names(data, f"--files-from {shown}", options.root))
    if not names and not options.inputs and not options.addresses:
        raise UsageError(f"--files-from {options.files_from} names no file; expected one path a line")
    return names
