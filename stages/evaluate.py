"""Measure the four exported networks on the test split, and choose the one that screens folders."""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors


def main(
    images: Annotated[Path, typer.Option(help="Array written by prepare.")] = Path("work/prepared/images.npy"),
    split: Annotated[Path, typer.Option(help="Table written by split.")] = Path("work/split.csv"),
    models: Annotated[Path, typer.Option(help="Folder of the trained networks.")] = Path("models"),
    reports: Annotated[Path, typer.Option(help="Folder for metrics, tables, figures and report.")] = Path("reports"),
    screening: Annotated[Path, typer.Option(help="Folder for the chosen network.")] = Path("models/screening"),
    params: Annotated[Path, typer.Option(help="Parameters: evaluate is read.")] = Path("params.yaml"),
) -> None:
    """Run each exported network once over validation and test; write metrics, report and the screening model."""
    from cxr.evaluation.reading import read_and_evaluate
    from cxr.evaluation.screening_model import EvaluateParams, choose, describe_screening, write_screening
    from cxr.evaluation.writing import write_card, write_reports
    from cxr.manifest import read_images, read_table
    from cxr.models import NAMES
    from cxr.params import read_params, section

    values = read_params(params)
    own = section(values, "evaluate", EvaluateParams)

    table, planes = read_table(split), read_images(images)

    evaluations = [read_and_evaluate(models / name, table, planes) for name in NAMES]
    chosen = choose(evaluations, own)
    description = describe_screening(chosen, values)

    write_reports(reports, evaluations, chosen)
    write_card(reports, description)
    write_screening(screening, chosen, description)


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
