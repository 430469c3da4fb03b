"""The workspace in which folds are trained: `dvc exp run` changes it for each, and at the end it is put back."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cxr.cli.dvc_process import STASH, dvc, experiment_ref, git, last_words
from cxr.errors import DataError
from cxr.params import read_params

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
