"""Measure a new screening model beside the packaged one, on what the new one was not trained on."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors

PARAMS = [Path("params.yaml")]


def main(
    new: Annotated[Path, typer.Option(help="Folder written by evaluate.")] = Path("release/models/screening"),
    old: Annotated[Path, typer.Option(help="Folder of the model to compare with.")] = Path("cxr/packaged"),
    project: Annotated[Path, typer.Option(help="Project with work/prepared and work/split.csv.")] = Path(),
    output: Annotated[Path, typer.Option(help="File for differences and verdict.")] = Path("release/compare.json"),
    params: Annotated[list[Path], typer.Option(help="Parameters: seed is read.")] = PARAMS,
) -> None:
    """Compare two models on the new one's test images, with paired intervals, and say whether the new is not worse."""
    from cxr.core.files import write_json
    from cxr.core.params import SeedParams, read_params, top_level
    from cxr.inference.model_folder import load_model
    from cxr.validation.compare import compare

    shared = top_level(read_params(*params), SeedParams)

    models = load_model(new), load_model(old)

    report = compare(*models, project, shared.seed, timed=False)

    write_json(output, report)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
