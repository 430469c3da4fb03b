"""End a stage whose DVC is gone: it would go on writing into what the next `dvc repro` makes."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")  # Linux has it, and small systems have no ps; the others have ps
SHELLS = ("sh", "dash", "bash", "ash", "zsh", "ksh", "fish")
EVERY_SECONDS = 0.5
GRACE_SECONDS = 5.0  # to remove temporary files; TensorFlow may be deaf for some steps


def end_with_dvc() -> None:
    """In a stage that DVC runs, watch DVC from a thread, and end this process when DVC is gone; else do nothing.

    DVC puts its stage's name into the environment. A signal that hits DVC alone leaves the stage running under init.
    Between the two may stand a shell, which outlives DVC as well: then the shell's parent is watched.

    SIGTERM is a KeyboardInterrupt from here on, so that temporary files go. Not on Windows, where a process does not
    learn that its parent is gone.
    """
    stage = os.environ.get("DVC_STAGE")
    if stage is None or os.name == "nt" or threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parent = os.getppid()
    shell, dvc = (parent, parent_of(parent)) if name_of(parent) in SHELLS else (None, parent)
    threading.Thread(target=_watch, args=(stage, shell, dvc), daemon=True).start()


def parent_of(process: int) -> int | None:
    """Return the process that started `process`, or init where that one is gone; None where there is none to ask."""
    found = _ask(process, "ppid")
    return int(found) if found else None


def name_of(process: int) -> str:
    """Return the name of the program that `process` runs, without its folder; empty where there is none to ask."""
    return Path(_ask(process, "comm").removeprefix("-")).name  # a login shell has the dash


def _ask(process: int, what: str) -> str:
    if not (PROC / "self/stat").exists():
        import subprocess  # not where it is not needed: every command passes here

        done = subprocess.run(["ps", "-o", f"{what}=", "-p", str(process)], capture_output=True, text=True, check=False)
        return done.stdout.strip()
    try:
        # The name stands in brackets and may hold any character; the state and the parent follow.
        before, _, after = (PROC / f"{process}/stat").read_text(errors="replace").rpartition(")")
    except OSError:
        return ""
    return after.split()[1] if what == "ppid" else before.partition("(")[2]


def _watch(stage: str, shell: int | None, dvc: int | None) -> None:
    while (os.getppid() if shell is None else parent_of(shell)) == dvc:
        time.sleep(EVERY_SECONDS)
    with suppress(OSError):  # whoever read it may be gone as well
        sys.stderr.write(f"{stage}: the dvc that ran this stage is gone, so it ends; run dvc repro again\n")
        sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)
