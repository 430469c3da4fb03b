"""`cxr-verify results.csv`: is a table what its manifest says?"""

import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxr.cli.batch_models import model_folders, named_model
from cxr.cli.console import FATAL, stderr, stdout, user_errors
from cxr.errors import UsageError

if TYPE_CHECKING:
    from cxr.screening.described import Described
    from cxr.screening.store import Root

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@app.command(epilog="Exit status: 0 everything holds, 1 something differs or cannot be read, 2 usage.")
def main(
    results: Annotated[Path, typer.Argument(help="Table written by cxr-batch or cxr-batch-merge.")],
    model: Annotated[
        list[Any] | None,
        typer.Option(
            parser=named_model,
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
) -> None:
    """Check schema, every row, order, counts, hashes and networks of a table against its manifest; say what differs."""
    from cxr.model_folder import at_operating_point, load_model, packaged_folder
    from cxr.screening.described import read_described
    from cxr.screening.names import read_key
    from cxr.screening.rescore import rescore as screen_again
    from cxr.screening.verify import verify_models, verify_table

    if rescore and without_models:
        raise typer.BadParameter("--rescore needs the networks; drop --without-models")
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    with user_errors():
        folders, _ = model_folders(model or [packaged_folder()], repo)
        table = read_described(results)
        checks = verify_table(table)
        networks = None if without_models else verify_models(table, folders)
        checks += [networks] if networks else []
        if rescore and networks and networks.holds:
            stderr().print(f"seed of the draw: {seed}", highlight=False)
            shas = [named["sha256"] for named in table.manifest["models"]]
            by_sha = {loaded.network_sha256: loaded for loaded in map(load_model, folders)}
            models = [
                at_operating_point(loaded, head.applied.point) if head.applied else loaded
                for loaded, head in zip(map(by_sha.__getitem__, shas), table.schema.heads, strict=True)
            ]
            checks.append(
                screen_again(table, models, _root_of(root, table), read_key(key) if key else b"", rescore, seed)
            )
    for check in checks:
        stdout().print(f"{'ok  ' if check.holds else 'FAIL'}  {check.name}", highlight=False, markup=False)
        for finding in check.findings:
            stdout().print(f"      {finding}", highlight=False, markup=False)
    if not all(check.holds for check in checks):
        raise typer.Exit(FATAL)


def _root_of(given: str | None, table: "Described") -> "Root | None":
    """Return where the files are: as given, or at the address that the manifest names; None: in its local folder."""
    from cxr.screening.address import is_address
    from cxr.screening.escape import unescape

    request = table.manifest["request"]
    name = given or unescape(request["root"] or "")
    if not is_address(name):
        if given and not Path(given).is_dir():
            raise UsageError(f"--root {given} does not exist; expected a folder or an address")
        return Path(given) if given else None
    if name.startswith("dvc://"):
        from cxr.remote.dvc import open_revision, revision_of

        return open_revision(revision_of(request["dvc"]["repo"], request["dvc"]["commit"]), [name])
    from cxr.remote.opening import open_store

    return open_store([name])
