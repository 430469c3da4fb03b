"""Load the networks that `cxr-batch` was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.cli.batch_options import Options
from cxr.errors import ModelError, UsageError

if TYPE_CHECKING:
    from cxr.files import JsonObject
    from cxr.model_folder import ScreeningModel

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
    from cxr.model_folder import packaged_folder

    return packaged_folder().with_name(NAMES[text]) if text in NAMES else Path(text)


def model_folders(models: Sequence[Path | DvcModel], repo: str | None) -> "tuple[list[Path], list[JsonObject | None]]":
    """Return the folders of networks, those of revisions of `repo` as copies, and which revision each is of.

    Raises:
        ModelError: A revision has no such folder, or its files cannot be had.
        UsageError: DVC is not installed, or there is no such repository or revision.
    """
    folders: list[Path] = []
    sources: list[JsonObject | None] = []
    for model in models:
        if isinstance(model, Path):
            folders.append(model)
            sources.append(None)
            continue
        from cxr.remote.dvc import fetch_model, revision_of
        from cxr.remote.output import cache_folder

        if not model.path:
            raise UsageError("--model dvc: names no folder; give one as in dvc:models/screening@v1.0")
        folder, source = fetch_model(revision_of(repo, model.rev), model.path, cache_folder() / "models")
        folders.append(folder)
        sources.append(source)
    return folders, sources


def load_models(options: Options, folders: Sequence[Path], *, helped: bool = False) -> "list[ScreeningModel]":
    """Load the networks that were named, or the packaged one, at the operating point that was asked for.

    Args:
        options: Of the run.
        folders: What `model_folders` gave.
        helped: Whether other processes screen beside this one, so that it has one core.

    Raises:
        ModelError: A folder is incomplete or altered.
        UsageError: A network has no such operating point.
    """
    from cxr.model_folder import at_operating_point, packaged_folder

    if folders:
        models = [_load(folder, options, helped=helped) for folder in folders]
    else:
        try:
            models = [_load(packaged_folder(), options, helped=helped)]
        except ModelError as error:
            raise ModelError(
                f"the packaged model cannot be used: {error}; or name another folder with --model"
            ) from error
    return models if options.point is None else [at_operating_point(model, options.point) for model in models]


def _load(folder: Path, options: Options, *, helped: bool) -> "ScreeningModel":
    """Load a network; 0 threads means: as many as its cost beside that of decoding calls for."""
    from cxr.model_folder import describe_model, load_model, packaged_folder
    from cxr.processor import available_cores
    from cxr.screening.shares import network_threads

    if folder == packaged_folder().with_name(NAMES["fast"]) and not folder.is_dir():
        raise ModelError("this package has no fast model; leave --model out, or name the folder of a network")
    gflop = float(describe_model(folder).get("gflop_per_image", 1))
    threads = options.threads or network_threads(gflop, 1 if helped else available_cores())
    pinned = options.shard is None and not helped  # shards may share a machine
    return load_model(folder, threads, pinned)
