"""Load the networks that `cxr-batch` was asked for."""

from pathlib import Path
from typing import TYPE_CHECKING

from cxr.cli.batch_options import Options
from cxr.errors import ModelError

if TYPE_CHECKING:
    from cxr.model_folder import ScreeningModel

# What --model takes for a name; a folder in the working directory that is called so is written as ./fast.
NAMES = {"packaged": "packaged", "fast": "packaged_fast"}


def named_folder(text: str) -> Path:
    """Return the folder that `--model` names: one of NAMES, or a path."""
    from cxr.model_folder import packaged_folder

    return packaged_folder().with_name(NAMES[text]) if text in NAMES else Path(text)


def load_models(options: Options) -> "list[ScreeningModel]":
    """Load the networks that were named, or the packaged one, at the operating point that was asked for.

    Raises:
        ModelError: A folder is incomplete or altered.
        UsageError: A network has no such operating point.
    """
    from cxr.model_folder import at_operating_point, packaged_folder

    if options.models:
        models = [_load(folder, options) for folder in options.models]
    else:
        try:
            models = [_load(packaged_folder(), options)]
        except ModelError as error:
            raise ModelError(
                f"the packaged model cannot be used: {error}; or name another folder with --model"
            ) from error
    return models if options.point is None else [at_operating_point(model, options.point) for model in models]


def _load(folder: Path, options: Options) -> "ScreeningModel":
    """Load a network; 0 threads means: as many as its cost beside that of decoding calls for."""
    from cxr.model_folder import describe_model, load_model, packaged_folder
    from cxr.screening.engine import default_workers
    from cxr.screening.shares import network_threads

    if folder == packaged_folder().with_name(NAMES["fast"]) and not folder.is_dir():
        raise ModelError("this package has no fast model; leave --model out, or name the folder of a network")
    gflop = float(describe_model(folder).get("gflop_per_image", 1))
    return load_model(folder, options.threads or network_threads(gflop, default_workers()), options.batch)
