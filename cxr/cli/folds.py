"""`cxr-folds cnn1 cnn3`: how far do figures move from fold to fold, from seed to seed, from patient to patient?"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cxr.cli.console import below_help, command_line, sigterm_like_ctrl_c, stderr, stdout, user_errors
from cxr.core.errors import DataError
from cxr.core.files import make_folder, write_text

if TYPE_CHECKING:
    import pandas as pd

    from cxr.validation.crossval import CrossValidation, FoldFigure


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


def tables(report: "CrossValidation") -> Iterator[Table]:
    """Give a table for each network and each pair of networks."""
    seeds = ", ".join(map(str, report.seeds))
    caption = f"{report.folds} folds, seeds {seeds}; {report.images:,} images, {report.groups:,} groups"
    for name, figures in (*report.networks.items(), *report.differences.items()):
        yield _table(name, figures, caption)


def _table(name: str, figures: "Mapping[str, FoldFigure]", caption: str) -> Table:
    from cxr.evaluation.stats.intervals import NUMBER, Interval

    table = Table(title=name, caption=caption, box=None, pad_edge=False, title_justify="left", header_style="dim")
    for number, column in enumerate(HEADER):
        table.add_column(column, justify="right" if number else "left", no_wrap=column != HEADER[-1])
    for figure, found in figures.items():
        mean, seeds, folds = map(NUMBER.number, (found.mean, found.spread_over_seeds, found.spread_over_folds))
        bounds = NUMBER.bounds(Interval(found.mean, found.low, found.high))
        table.add_row(figure, mean, bounds, seeds, folds, ", ".join(map(NUMBER.number, found.out_of_fold)))
    return table


LAST_LINES = 8
FEATURES = ".cache"  # where trainings keep the features of frozen backbones
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


def project_python(folder: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run this interpreter in `folder` and return its exit status and what it said.

    Args:
        folder: Where DVC runs. Its stages' `python` is this interpreter as well.
        arguments: Of the interpreter.
        variables: Added to the environment.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    with tempfile.TemporaryFile() as said:
        # In a session of its own: the terminal's Ctrl-C reaches this process alone, which passes it on just once.
        with _hearing_ctrl_c():
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=folder,
                env=os.environ | {"PATH": path} | dict(variables or {}),
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            process.wait()
        except KeyboardInterrupt:
            _end(process)
            raise
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
    """Let DVC leave its cache in order; kill it and its stages at a second Ctrl-C."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(PATIENCE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# What a training follows from, apart from the data; an uncommitted change of it would be left out of a clone unseen.
FOLLOWED = ("cxr", "stages", "release", "data.dvc", "dvc.lock", "dvc.yaml", "params.yaml")


def pipelines(project: Path) -> dict[str, Path]:
    """Return the folder of the pipeline that trains each network: that of dvc.yaml where release/dvc.yaml does as well.

    The network that train_teachers trains has no stage of its own and is passed over.

    Raises:
        ParamsError: A params.yaml is absent, or has a section of no network.
    """
    from cxr.core.params import read_params
    from cxr.models import networks

    found: dict[str, Path] = {}
    for folder in (Path(), Path("release")):
        values = read_params(project / folder / "params.yaml")
        taught = (values.get("train_teachers") or {}).get("network")
        for network in networks(values):
            if network != taught:
                found.setdefault(network, folder)
    return found


def dvc(folder: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> str:
    """Return what DVC says. Raises DataError, with its last words, where it fails."""
    status, said = project_python(folder, "-m", "dvc", *arguments, variables=variables)
    if status:
        raise DataError(f"'dvc {' '.join(arguments)}' failed; DVC says: {last_words(said)}")
    return said


@dataclass(frozen=True, slots=True)
class Clone:
    """A clone of a project's last commit, to train in: nothing that is done there touches the project's files.

    Attributes:
        project: Where it was cloned from.
        folder: Where it is.
        pipelines: The folder of the pipeline that trains each network, in the clone.
    """

    project: Path
    folder: Path
    pipelines: Mapping[str, Path]

    def fill(self, networks: Sequence[str], cache: str) -> None:
        """Bring in what the stages that lead to `networks` start from and git does not have.

        Args:
            networks: By name.
            cache: Folder of the project's DVC cache.
        """
        links = "reflink,hardlink,symlink,copy"
        write_text(self.folder / ".dvc/config.local", f'[cache]\n    dir = "{cache}"\n    type = "{links}"\n')
        if (self.project / "weights").is_dir():
            shutil.copytree(self.project / "weights", self.folder / "weights", dirs_exist_ok=True)
        make_folder(self.project / FEATURES)
        (self.folder / FEATURES).symlink_to(self.project / FEATURES)
        # What the cache lacks is made again by its stage.
        self._dvc("checkout", "--quiet", "--allow-missing", "--with-deps", *map(self._stage, networks))

    def train_fold(self, networks: Sequence[str], folds: int, fold: int, seed: int) -> None:
        """Train `networks` on one fold, as an experiment of the project named `fold-<folds>-<fold>-seed-...`.

        An experiment of that name on the same commit is replaced. What was trained before with the same data, code
        and params comes from DVC's run cache, which project and clone share.

        Raises:
            DataError: DVC fails.
        """
        name = f"fold-{folds}-{fold}-seed-{seed}-{'-'.join(networks)}"
        settings = (f"split.folds={folds}", f"split.fold={fold}", f"seed={seed}")
        options = [word for setting in settings for word in ("--set-param", setting)]
        self._dvc("exp", "run", "--name", name, *options, *map(self._stage, networks))
        head = git(self.folder, "rev-parse", "HEAD").strip()
        experiments = f"refs/exps/{head[:2]}/{head[2:]}/*"
        git(self.project, "fetch", "--quiet", str(self.folder), f"+{experiments}:{experiments}")

    def model(self, network: str) -> Path:
        """Return the folder of a network that was trained last."""
        return self.folder / self.pipelines[network] / "models" / network

    def _stage(self, network: str) -> str:
        return f"{self.pipelines[network] / 'dvc.yaml'}:train_{network}"

    def _dvc(self, *arguments: str) -> None:
        # With the clone's code; what DVC notes of its files goes with it.
        dvc(
            self.folder,
            *arguments,
            variables={"PYTHONPATH": str(self.folder), "DVC_SITE_CACHE_DIR": str(self.folder / ".dvc/tmp/site")},
        )


@contextmanager
def cloned(project: Path, networks: Sequence[str]) -> Iterator[Clone]:
    """Give a clone to train `networks` in, in the project's `.dvc/tmp`; it is gone afterwards, however the block ends.

    Raises:
        DataError: `project` is none, FOLLOWED differ from the last commit, or DVC fails.
    """
    _require_committed(project)
    cache = dvc(project, "cache", "dir").splitlines()[-1]
    made = tempfile.TemporaryDirectory(prefix="folds-", dir=_temporary(project), ignore_cleanup_errors=True)
    with sigterm_like_ctrl_c(), made as folder:
        git(project, "clone", "--quiet", ".", folder)
        clone = Clone(project, Path(folder), pipelines(project))
        clone.fill(networks, cache)
        yield clone


def _temporary(project: Path) -> Path:
    """Return a folder that git and DVC do not look at, on the disk of DVC's cache, where a link is enough."""
    folder = project / ".dvc/tmp"
    make_folder(folder)
    return folder


def _require_committed(project: Path) -> None:
    if not (project / "dvc.yaml").is_file():
        raise DataError(f"{project} has no dvc.yaml; run in the project's folder")
    changed = git(project, "diff", "--name-only", "HEAD", "--", *FOLLOWED).split()
    if changed:
        raise DataError(
            f"{', '.join(changed)} differ from the last commit, and folds are trained from that alone: commit them, or "
            "put them back, first"
        )


app = command_line()


@app.command(
    epilog=below_help(
        "cxr-folds cnn1 cnn3 --seeds 7 -o folds.json",
        then="Exit status: 0 measured, 1 a training or DVC failed, 2 usage. Needs the extra 'pipeline'.",
    )
)
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

    Run it in the project's folder, with code and params committed: it works in a clone of the last commit, and leaves
    the folder as it is. The same command goes on where an earlier one stopped.
    """
    numbers = _seeds(seeds)
    with user_errors():
        from cxr.core.files import write_json
        from cxr.core.manifest import write_table
        from cxr.screening.tables import check_promise
        from cxr.validation.crossval import measure_folds, pool, with_groups

        for option, path, form in (("--output", output, "json"), ("--predictions", predictions, "csv")):
            if path:
                check_promise(option, path, form)
        _require_known(networks)
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

    from cxr.core.manifest import planes_of_side, read_table
    from cxr.inference.model_folder import load_model
    from cxr.validation.crossval import predict_fold

    found = []
    lines = FoldLines(folds, len(seeds))
    with cloned(Path().absolute(), networks) as clone:
        for seed in seeds:
            for fold in range(folds):
                clone.train_fold(networks, folds, fold, seed)
                table = read_table(clone.folder / "work/split.csv")
                for network in networks:
                    model = load_model(clone.model(network))
                    images = planes_of_side(clone.folder / "work/prepared", model.plane_side)
                    found.append(predict_fold(model, table, images, seed, fold))
                stderr().print(lines.after(fold, seed), highlight=False, soft_wrap=True)
    return pd.concat(found, ignore_index=True)


def _require_known(names: list[str]) -> None:
    known = pipelines(Path())
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
