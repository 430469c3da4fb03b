"""The command line that the four train stages share."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer


def train_stage(name: str, description: str) -> Callable[..., None]:
    """Return the main function of `stages/train_<name>.py`; `description` is shown by --help."""

    def main(
        images: Annotated[Path, typer.Option(help="Array written by prepare.")] = Path("work/prepared/images.npy"),
        split: Annotated[Path, typer.Option(help="Table written by split.")] = Path("work/split.csv"),
        weights: Annotated[Path, typer.Option(help="Folder of ImageNet weights.")] = Path("weights") / name,
        output: Annotated[Path, typer.Option(help="Folder for the trained network.")] = Path("models") / name,
        params: Annotated[Path, typer.Option(help="Parameters.")] = Path("params.yaml"),
    ) -> None:
        from cxr.manifest import read_images, read_table
        from cxr.models import TRANSFER
        from cxr.params import CommonParams, read_params, section, top_level
        from cxr.training.params import TrainParams, TransferParams

        values = read_params(params)
        kind = TransferParams if name in TRANSFER else TrainParams
        shared, recipe = top_level(values, CommonParams), section(values, f"train_{name}", kind)

        table, planes = read_table(split), read_images(images)

        from cxr.training.train import train_network, write_trained  # loads TensorFlow: after the cheap checks

        trained = train_network(name, table, planes, shared, recipe, weights)

        write_trained(output, trained)

    main.__doc__ = description
    return main
