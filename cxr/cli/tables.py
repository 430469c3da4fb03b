"""`cxr-batch-merge`: join the tables of all shards; `cxr-verify`: is a table what its manifest says?"""

import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.batch_options import named_model
from cxr.cli.console import FATAL, below_help, command_line, stderr, stdout, user_errors
from cxr.core.errors import OutputError, UsageError
from cxr.imaging.isolation import FILE_SECONDS
from cxr.screening.storage import Root
from cxr.screening.tables import Dialect, Format

if TYPE_CHECKING:
    from cxr.screening.run_manifest import RunResult


merge_app = command_line()


@merge_app.command(
    epilog=below_help(
        "cxr-batch-merge 1.csv 2.csv 3.csv -o results.csv",
        "cxr-batch-merge results.csv -o workbook.xlsx",
        then="Exit status: 0 joined, 1 refused or not writable, 2 usage.",
    )
)
def merge_command(
    shards: Annotated[
        list[Path],
        typer.Argument(metavar="TABLE...", help="Tables written with --shard, each one once; or one whole one."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Table to write.")],
    format: Annotated[
        Format | None,
        typer.Option(metavar="FORM", help="csv, xlsx, jsonl or parquet. [default: as --output ends, else csv]"),
    ] = None,
    csv_dialect: Annotated[
        Dialect,
        typer.Option(metavar="FORM", help="How CSV is written: plain, excel or excel-us, as for cxr-batch."),
    ] = Dialect.PLAIN,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing table.")] = False,
) -> None:
    """Join the tables of all shards into the one that a single run would have written; overlap and gaps are refused.

    One whole table, such as a folder of --partitions, is written in another form.
    """
    from cxr.screening.merge import merge
    from cxr.screening.run_manifest import read_run_result
    from cxr.screening.tables import check_format, chosen_format, locked, output_files

    with user_errors():
        files = output_files(output)
        if not overwrite and (files.results.exists() or files.journal.exists()):
            raise OutputError(f"{output} exists already; give another output or --overwrite")
        wanted = chosen_format(str(output), format)
        check_format(wanted)
        if csv_dialect is not Dialect.PLAIN and wanted is not Format.CSV:
            raise UsageError(f"--csv-dialect is for CSV, and the table is {wanted}; leave one of them out")
        with locked(files):
            tally = merge([read_run_result(path) for path in shards], files, wanted, csv_dialect)
    tables = "1 table" if len(shards) == 1 else f"{len(shards):,} tables"
    stderr().print(f"{tally.rows:,} rows of {tables} in {output}", highlight=False, markup=False)


verify_app = command_line()


@verify_app.command(
    epilog=below_help(
        "cxr-verify results.csv",
        "cxr-verify workbook.xlsx --rescore 100 --root films/",
        then="Exit status: 0 everything holds, 1 something differs or cannot be read, 2 usage.",
    )
)
def verify_command(
    results: Annotated[Path, typer.Argument(help="Table written by cxr-batch or cxr-batch-merge.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER",
            help="Network of the table, as cxr-batch takes it; repeatable. [default: the packaged one]",
        ),
    ] = None,
    without_models: Annotated[
        bool, typer.Option("--without-models", help="Do not compare the networks' bytes, where they are not at hand.")
    ] = False,
    rescore: Annotated[int, typer.Option(min=0, metavar="K", help="Screen K random rows again and compare.")] = 0,
    seed: Annotated[int | None, typer.Option(help="Of the draw; a random one is used and said otherwise.")] = None,
    root: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where the files are now: a folder or an address. [default: where they were]"),
    ] = None,
    repo: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Repository of dvc: models. [default: that of the working directory]"),
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Secret of hashed names.")] = None,
    file_timeout: Annotated[
        int,
        typer.Option(
            min=0, max=86400, metavar="SECONDS", help="As the run's own, for --rescore; 0: as long as it takes."
        ),
    ] = int(FILE_SECONDS),
) -> None:
    """Check schema, every row, order, counts, hashes and networks of a table against its manifest; say what differs."""
    from cxr.cli.batch_run import model_folders
    from cxr.inference.model_folder import at_operating_point, load_model, packaged_folder
    from cxr.screening.paths import read_key
    from cxr.screening.run_manifest import read_run_result
    from cxr.screening.verify import rescore as screen_again
    from cxr.screening.verify import verify_models, verify_table

    if rescore and without_models:
        raise typer.BadParameter("--rescore needs the networks; drop --without-models")
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    with user_errors():
        named = list(map(named_model, model or [])) or [packaged_folder()]
        folders = [folder for folder, _ in model_folders(named, repo)]
        table = read_run_result(results)
        checks = verify_table(table)
        networks = None if without_models else verify_models(table, folders)
        checks += [networks] if networks else []
        if rescore and networks and networks.holds:
            stderr().print(f"seed of the draw: {seed}", highlight=False)
            shas = [model.sha256 for model in table.manifest.models]
            by_sha = {loaded.network_sha256: loaded for loaded in map(load_model, folders)}
            models = [
                at_operating_point(loaded, head.applied.operating_point) if head.applied else loaded
                for loaded, head in zip(map(by_sha.__getitem__, shas), table.schema.heads, strict=True)
            ]
            where, secret = _root_of(root, table), read_key(key) if key else b""
            checks.append(screen_again(table, models, where, secret, rescore, seed, file_timeout))
    for check in checks:
        stdout().print(f"{'ok  ' if check.holds else 'FAIL'}  {check.name}", highlight=False, markup=False)
        for finding in check.findings:
            stdout().print(f"      {finding}", highlight=False, markup=False)
    if not all(check.holds for check in checks):
        raise typer.Exit(FATAL)


def _root_of(given: str | None, table: "RunResult") -> Root | None:
    """Return where the files are: as given, or at the address that the manifest names; None: in its local folder."""
    from cxr.screening.paths import is_address, unescape

    request = table.manifest.request
    name = given or unescape(request.root or "")
    if not is_address(name):
        if given and not Path(given).is_dir():
            raise UsageError(f"--root {given} does not exist; expected a folder or an address")
        return Path(given) if given else None
    if name.startswith("dvc://"):
        from cxr.remote.dvc import open_revision, revision_of

        known = request.dvc or {}
        return open_revision(revision_of(str(known["repo"]), str(known["commit"])), [name])
    from cxr.remote.store import open_store

    return open_store([name])
