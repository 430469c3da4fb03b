"""Run git and DVC in a project's folder, and pass Ctrl-C on to DVC once."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from cxr.errors import DataError

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
