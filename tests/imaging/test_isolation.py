import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cxr.core.errors import ImageError, Reason
from cxr.imaging import isolation
from cxr.imaging.isolation import DecoderError, isolated
from tests.imaging import faults

CRASHED, MEMORY = Reason.CRASHED, Reason.MEMORY


@pytest.fixture(autouse=True)
def _no_child() -> Iterator[None]:
    isolation._end_idle()
    yield
    isolation._end_idle()


def test_text_and_bytes_come_back() -> None:
    data = bytes(range(256)) * 100_000  # more than a pipe holds
    assert isolated(faults.echoed, data, "ä 1") == ("ä 1", data)


def test_what_is_raised_comes_back_as_text_and_the_child_is_kept() -> None:
    one = isolated(faults.pid, b"")
    with pytest.raises(DecoderError, match=r"^no such marker$"):
        isolated(faults.raising, b"")
    assert isolated(faults.pid, b"") == one


def test_what_decoders_print_is_no_answer_and_is_not_seen(capfd: pytest.CaptureFixture[str]) -> None:
    assert isolated(faults.noisy, b"") == ("done", b"")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("fault", "reason", "detail"),
    [
        (faults.SEGFAULT, CRASHED, "its decoder was ended by SIGSEGV; it may use 4 GiB of memory"),
        (faults.ABORT, CRASHED, "its decoder was ended by SIGABRT; it may use 4 GiB of memory"),
        (faults.EXIT, CRASHED, "its decoder ended without an answer"),
        (faults.HANG, CRASHED, "decoding was not done after 0.5 s"),
        (faults.DEVOUR, MEMORY, "decoding needs more than the 4 GiB of memory that it may use"),
    ],
)
def test_a_child_may_die(fault: int, reason: Reason, detail: str) -> None:
    before = isolated(faults.pid, b"")
    started = time.monotonic()
    with pytest.raises(ImageError) as error:
        isolated(faults.fail, b"", fault, seconds=0.5 if fault == faults.HANG else 60)
    assert (error.value.reason, error.value.detail) == (reason, detail)
    assert time.monotonic() - started < 30
    assert isolated(faults.pid, b"") != before, "a new one is there for the next file"


def test_an_answer_that_cannot_be_one_is_a_crash() -> None:
    with pytest.raises(ImageError) as error:
        isolated(faults.fail, b"", faults.NONSENSE, seconds=2)
    assert error.value.reason is CRASHED


def test_a_crash_that_does_not_come_again_costs_nothing(tmp_path: Path) -> None:
    assert isolated(faults.once, b"", str(tmp_path / "tried")) == ("second try", b"")


def test_threads_do_not_mix_their_answers() -> None:
    def work(number: int) -> str:
        if number % 5:
            return isolated(faults.echoed, bytes(number), str(number))[0]
        with pytest.raises(ImageError):
            isolated(faults.fail, b"", faults.SEGFAULT)
        return str(number)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(20))) == list(map(str, range(20)))
    assert len(isolation._idle) <= 4


def test_a_thread_whose_child_another_took_meanwhile_starts_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class TakenMeanwhile(list[isolation._Child]):
        def __bool__(self) -> bool:
            return True

    monkeypatch.setattr(isolation, "_idle", TakenMeanwhile())
    assert isolated(faults.echoed, b"data", "text") == ("text", b"data")
    isolation._end_idle()


@pytest.mark.parametrize("idle", [True, False])
def test_a_child_that_is_taken_while_all_are_stopped_is_not_waited_for(
    idle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if idle:
        isolated(faults.pid, b"")
    take = isolation._an_idle_one

    def taken() -> isolation._Child | None:
        child = take()
        isolation.stop()  # which does not see it among the busy ones yet
        return child

    monkeypatch.setattr(isolation, "_an_idle_one", taken)
    started = time.monotonic()
    with pytest.raises(ImageError):
        isolated(faults.fail, b"", faults.HANG, seconds=60)
    assert time.monotonic() - started < 30


def test_a_child_is_not_shared_with_what_is_forked() -> None:
    ours = isolated(faults.pid, b"")
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=lambda: queue.put(isolated(faults.pid, b"")))
    process.start()
    process.join(60)
    assert queue.get() != ours
    assert isolated(faults.pid, b"") == ours


@pytest.mark.parametrize("last", ["os._exit(0)", "os.kill(os.getpid(), 9)", "sys.exit(0)"])
def test_a_child_ends_with_its_parent(last: str) -> None:
    program = (
        "import os, sys; from cxr.imaging.isolation import isolated; from tests.imaging import faults;"
        f"print(isolated(faults.pid, b'')[0], flush=True); {last}"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False, env=_with_path())
    _wait_for_end(int(done.stdout))


@pytest.mark.long
def test_a_child_that_hangs_outlives_a_killed_parent_by_seconds_only() -> None:
    program = (
        "import threading, os, time; from cxr.imaging.isolation import isolated; from tests.imaging import faults;"
        "print(isolated(faults.pid, b'')[0], flush=True);"
        "threading.Timer(0.5, os.kill, (os.getpid(), 9)).start(); isolated(faults.fail, b'', faults.HANG, seconds=1)"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False, env=_with_path())
    assert done.returncode == -signal.SIGKILL
    _wait_for_end(int(done.stdout), 1 + isolation._GRACE_SECONDS + 10)


def test_a_child_has_neither_networks_nor_the_terminal() -> None:
    loaded = isolated(faults.modules, b"")[0].split()
    assert not {"openvino", "cxr.inference", "cxr.screening", "ray"} & set(loaded)


def _with_path() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _wait_for_end(pid: int, seconds: float = 10) -> None:
    for _ in range(int(seconds * 20)):
        if not _alive(pid):
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} is still there")


def _alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended, and that nobody has asked for its status, does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
