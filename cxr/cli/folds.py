"""`cxr-folds cnn1 cnn3`: how far do figures move from fold to fold, from seed to seed, from patient to patient?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.console import stderr, stdout, user_errors

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@app.command(epilog="Exit status: 0 measured, 1 a training or DVC failed, 2 usage. Needs the extra 'pipeline'.")
def main(
    networks: Annotated[list[str], typer.Argument(metavar="NETWORK...", help="cnn1, cnn3, vgg16, resnet50, lite0.")],
    folds: Annotated[int, typer.Option(min=2, max=20, help="Test splits that together hold every image once.")] = 5,
    seeds: Annotated[str, typer.Option(metavar="SEED,...", help="Each gives one cross-validation.")] = "7,8",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write all figures as JSON.")
    ] = None,
    predictions: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all answers as CSV.")] = None,
) -> None:
    """Train networks by repeated grouped k-fold cross-validation, as experiments of the pipeline, and measure them.

    Run it in the project's folder, with nothing else at work there. The same command goes on where an earlier one
    stopped; params.yaml, dvc.lock, work/ and models/ are put back at the end.
    """
    _require_known(networks)
    numbers = _seeds(seeds)
    with user_errors():
        from cxr.cli.fold_table import tables
        from cxr.evaluation.folds.measuring import measure_folds
        from cxr.evaluation.folds.pooling import pool, with_groups
        from cxr.files import write_json
        from cxr.manifest import write_table

        answers = with_groups(_answers(networks, folds, numbers))
        if predictions:
            write_table(predictions, answers)
        report = measure_folds(pool(answers))
        if output:
            write_json(output, report)
        for table in tables(report):
            stdout().print(table)


def _answers(networks: list[str], folds: int, seeds: list[int]) -> "pd.DataFrame":
    """Train and ask fold by fold, with a line for each."""
    import pandas as pd

    from cxr.cli.fold_progress import FoldLines
    from cxr.cli.fold_workspace import put_back, train_fold
    from cxr.evaluation.folds.asking import ask
    from cxr.manifest import read_images, read_table
    from cxr.model_folder import load_model

    root, found = Path(), []
    lines = FoldLines(folds, len(seeds))
    with put_back(root, networks):
        for seed in seeds:
            for fold in range(folds):
                train_fold(root, networks, folds, fold, seed)
                table, images = read_table(root / "work/split.csv"), read_images(root / "work/prepared/images.npy")
                for network in networks:
                    found.append(ask(load_model(root / "models" / network), table, images, seed, fold))
                stderr().print(lines.after(fold, seed), highlight=False, soft_wrap=True)
    return pd.concat(found, ignore_index=True)


def _require_known(networks: list[str]) -> None:
    from cxr.models import NAMES

    wrong = [name for name in networks if name not in NAMES]
    if wrong or len(set(networks)) < len(networks):
        said = f"no network is called {wrong[0]}" if wrong else "a network is named twice"
        raise typer.BadParameter(f"{said}; expected one or more of {', '.join(NAMES)}", param_hint="NETWORK")


def _seeds(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() for part in parts) or len({int(part) for part in parts}) < len(parts):
        raise typer.BadParameter(f"got '{text}'; expected different whole numbers, such as 7,8", param_hint="--seeds")
    return sorted(map(int, parts))


if __name__ == "__main__":
    app()
