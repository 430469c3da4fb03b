"""The command line of `cxr-batch`, an argument or option each."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cxr.cli.batch_models import named_model
from cxr.cli.batch_words import FailOn
from cxr.errors import UsageError
from cxr.screening.names import PathStyle
from cxr.screening.select import Shard
from cxr.screening.tables import Format


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
Root = Annotated[
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
