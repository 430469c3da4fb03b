"""`cxr-folds cnn1 cnn3`: how far do figures move from fold to fold, from seed to seed, from patient to patient?"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cxr.cli.console import stderr, stdout, user_errors
from cxr.core.errors import DataError
from cxr.core.files import JsonObject

if TYPE_CHECKING:
    import pandas as pd


class FoldLines:
    """One line a fold. The time left goes by the slower half of the folds: those that the run cache had say nothing."""

    def __init__(self, folds: int, seeds: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to measure the first fold's time; `clock` gives seconds."""
        self._folds, self._total, self._clock = folds, folds * seeds, clock
        self._last, self._taken = clock(), list[float]()

    def after(self, fold: int, seed: int) -> str:
        """Return the line for a fold, numbered from 0, that is done now."""
        now = self._clock()
        self._taken.append(now - self._last)
        self._last = now
        slower = sorted(self._taken)[len(self._taken) // 2 :]
        left = (self._total - len(self._taken)) * sum(slower) / len(slower)
        return (
            f"seed {seed}, fold {fold + 1} of {self._folds}: {_duration(self._taken[-1])}, "
            f"{len(self._taken)} of {self._total} done, left {_duration(left)}"
        )


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


HEADER = ("figure", "mean", "95 % interval", "spread\nof seeds", "spread\nof folds", "by seed")


def tables(report: JsonObject) -> Iterator[Table]:
    """Give a table for each network and each pair of networks of what `measure_folds` returned."""
    seeds = ", ".join(map(str, report["seeds"]))
    caption = f"{report['folds']} folds, seeds {seeds}; {report['images']:,} images, {report['groups']:,} groups"
    for name, figures in (*report["networks"].items(), *report["differences"].items()):
        yield _table(name, figures, caption)


def _table(name: str, figures: Mapping[str, JsonObject], caption: str) -> Table:
    table = Table(title=name, caption=caption, box=None, pad_edge=False, title_justify="left", header_style="dim")
    for number, column in enumerate(HEADER):
        table.add_column(column, justify="right" if number else "left", no_wrap=column != HEADER[-1])
    for figure, found in figures.items():
        bounds = "-" if found["low"] is None else f"{_short(found['low'])} to {_short(found['high'])}"
        spreads = [_short(found[key]) for key in ("spread_over_seeds", "spread_over_folds")]
        table.add_row(figure, _short(found["mean"]), bounds, *spreads, ", ".join(map(_short, found["out_of_fold"])))
    return table


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


# Where `dvc exp run` puts an experiment before it starts it. What an interruption leaves there, the next one runs too.
STASH = "refs/exps/stash"
LAST_LINES = 8
PATIENCE = 60  # seconds for DVC to end after Ctrl-C; a stage that does not hear it is killed


def git(root: Path, *arguments: str) -> str:
    """Return what git says. Raises DataError where it fails."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(
            f"{root.absolute()} is in no git repository with a commit, or 'git {arguments[0]}' cannot be done there; "
            f"git says: {done.stderr.strip()}"
        )
    return done.stdout


def experiment_ref(root: Path, experiment: str) -> str:
    """Return git's reference of an experiment on the last commit; empty where there is none of that name."""
    head = git(root, "rev-parse", "HEAD").strip()
    found = git(root, "for-each-ref", "--format=%(refname)", f"refs/exps/{head[:2]}/{head[2:]}").splitlines()
    return next((reference for reference in found if reference.endswith(f"/{experiment}")), "")


def dvc(
    root: Path, *arguments: str, shown: bool = False, variables: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run DVC, see `project_python`."""
    return project_python(root, "-m", "dvc", *arguments, shown=shown, variables=variables)


def project_python(
    root: Path, *arguments: str, shown: bool = False, variables: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run this interpreter in `root` and return its exit status and what it said.

    Args:
        root: The project's folder. Its stages' `python` is this interpreter as well.
        arguments: Of the interpreter.
        shown: Whether what it says goes to stderr instead; then nothing is returned of it.
        variables: Added to the environment.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    with nullcontext() if shown else tempfile.TemporaryFile() as said:
        # In a session of its own: the terminal's Ctrl-C reaches this process alone, which passes it on just once.
        with _hearing_ctrl_c():
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=root,
                env=os.environ | {"PATH": path} | dict(variables or {}),
                stdout=said or sys.stderr.fileno(),
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            process.wait()
        except KeyboardInterrupt:
            _end(process)
            raise
        if said is None:
            return process.returncode, ""
        said.seek(0)
        return process.returncode, said.read().decode(errors="replace")


def last_words(said: str) -> str:
    """Return the last lines of what a process said, as one."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return " | ".join(lines[-LAST_LINES:]) or "nothing"


@contextmanager
def _hearing_ctrl_c() -> Iterator[None]:
    """Start processes that end when Ctrl-C is passed on to them.

    A shell has what it starts in the background ignore Ctrl-C, and all that this starts would ignore it too.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Let DVC leave the experiment in order; kill it and its stages at a second Ctrl-C."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(PATIENCE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# What git tracks and an experiment changes; work/ and models/ come back from DVC's cache.
KEPT = ("params.yaml", "dvc.lock", "reports/data.json", "reports/split.json")


@contextmanager
def put_back(root: Path, networks: Sequence[str]) -> Iterator[None]:
    """Let the block change the workspace at `root`; afterwards KEPT have the bytes they had, however the block ends.

    Git is on the branch it was on, with KEPT as committed in its index: a DVC that is killed leaves both changed.
    Outputs of the stages that lead to `networks` become those that dvc.lock names; what the cache lacks is removed,
    because it would be another fold's.

    Raises:
        DataError: `root` is no project; KEPT differ from the last commit: of a killed process, only what is
            committed can be brought back; or an interrupted experiment waits to be run with the next.
    """
    _require_committed(root)
    _require_empty_stash(root)
    before = {name: (root / name).read_bytes() for name in KEPT if (root / name).exists()}
    branch = git(root, "rev-parse", "--symbolic-full-name", "HEAD").strip()  # or HEAD, where it is on none
    terminated = signal.signal(signal.SIGTERM, signal.default_int_handler)  # unwinds the stack as Ctrl-C does
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, terminated)
        for name, content in before.items():
            (root / name).write_bytes(content)
        git(root, "update-ref", "-d", STASH)
        if branch != "HEAD":
            git(root, "symbolic-ref", "HEAD", branch)
        git(root, "reset", "-q", "--", *KEPT)  # of all: without names it would be the whole index
        stages = ("balance", "split", *map(_stage, networks))
        status, said = dvc(root, "checkout", "--force", "--allow-missing", *stages)
    if status:
        raise DataError(
            f"'dvc checkout' could not put work/ and models/ back; run: dvc repro. DVC says: {last_words(said)}"
        )


def train_fold(root: Path, networks: Sequence[str], folds: int, fold: int, seed: int) -> None:
    """Train `networks` on one fold, as an experiment of the pipeline with the name `fold-<folds>-<fold>-seed-...`.

    An experiment of that name on the same commit is replaced. What was trained before with the same data, code and
    params comes from DVC's run cache.

    Raises:
        DataError: DVC fails, with its last words; or the workspace holds another experiment afterwards.
    """
    from cxr.core.params import read_params

    name = f"fold-{folds}-{fold}-seed-{seed}-{'-'.join(networks)}"
    if experiment_ref(root, name):
        # Not `dvc exp run --force`: that would also train again what is in the run cache.
        _require_dvc(root, "exp", "remove", name)
    settings = (f"split.folds={folds}", f"split.fold={fold}", f"seed={seed}")
    options = [word for setting in settings for word in ("--set-param", setting)]
    _require_dvc(root, "exp", "run", "--name", name, *options, *map(_stage, networks))
    values = read_params(root / "params.yaml")
    if (values["split"]["folds"], values["split"]["fold"], values["seed"]) != (folds, fold, seed):
        raise DataError(
            f"after {name} the workspace holds another experiment, of a 'dvc exp run' at the same time; "
            "start again when nothing else runs"
        )


def _stage(network: str) -> str:
    return f"train_{network}"


def _require_committed(root: Path) -> None:
    if not (root / "dvc.yaml").is_file():
        raise DataError(f"{root.absolute()} has no dvc.yaml; run in the project's folder")
    changed = set(git(root, "diff", "--name-only", "HEAD", "--", *KEPT).split())
    changed.update(git(root, "diff", "--name-only", "--cached", "--", *KEPT).split())
    if changed:
        raise DataError(
            f"{', '.join(sorted(changed))} differ from the last commit, and folds are trained in this workspace: "
            "commit them, or put them back, first"
        )


def _require_empty_stash(root: Path) -> None:
    if git(root, "for-each-ref", STASH):
        raise DataError(
            "a 'dvc exp run' that was interrupted left an experiment, and DVC would run it together with a fold; "
            f"remove it with: git update-ref -d {STASH}"
        )


def _require_dvc(root: Path, *arguments: str) -> None:
    status, said = dvc(root, *arguments)
    if status:
        raise DataError(f"'dvc {' '.join(arguments)}' failed; the workspace was put back. DVC says: {last_words(said)}")


app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@app.command(epilog="Exit status: 0 measured, 1 a training or DVC failed, 2 usage. Needs the extra 'pipeline'.")
def main(
    networks: Annotated[
        list[str],
        typer.Argument(metavar="NETWORK...", help="Names of networks that params.yaml has a section of, such as cnn1."),
    ],
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
    numbers = _seeds(seeds)
    with user_errors():
        _require_known(networks)
        from cxr.core.files import write_json
        from cxr.core.manifest import write_table
        from cxr.validation.crossval import measure_folds, pool, with_groups

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

    from cxr.core.manifest import read_images, read_table
    from cxr.inference.model_folder import load_model
    from cxr.validation.crossval import predict_fold

    root, found = Path(), []
    lines = FoldLines(folds, len(seeds))
    with put_back(root, networks):
        for seed in seeds:
            for fold in range(folds):
                train_fold(root, networks, folds, fold, seed)
                table, images = read_table(root / "work/split.csv"), read_images(root / "work/prepared/images.npy")
                for network in networks:
                    found.append(predict_fold(load_model(root / "models" / network), table, images, seed, fold))
                stderr().print(lines.after(fold, seed), highlight=False, soft_wrap=True)
    return pd.concat(found, ignore_index=True)


def _require_known(names: list[str]) -> None:
    from cxr.core.params import read_params
    from cxr.models import networks

    known = networks(read_params(Path("params.yaml")))
    wrong = [name for name in names if name not in known]
    if wrong or len(set(names)) < len(names):
        said = f"no network is called {wrong[0]}" if wrong else "a network is named twice"
        raise typer.BadParameter(f"{said}; expected one or more of {', '.join(known)}", param_hint="NETWORK")


def _seeds(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() for part in parts) or len({int(part) for part in parts}) < len(parts):
        raise typer.BadParameter(f"got '{text}'; expected different whole numbers, such as 7,8", param_hint="--seeds")
    return sorted(map(int, parts))


if __name__ == "__main__":
    app()
