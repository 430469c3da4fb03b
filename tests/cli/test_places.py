"""Users without a home, places without names that can be written, machines without memory."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.imports import ROOT
from tests.screening.drawings import save

COMMAND = "from cxr.cli.batch import script; script()"
NOBODY = f"""
import os, pwd
def unknown(*_):
    raise KeyError("no such user")
pwd.getpwuid = pwd.getpwnam = unknown
{COMMAND}
"""
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def run(
    *arguments: str | bytes | Path,
    code: str = COMMAND,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run the command with no other environment variables than these."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        check=False,
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT)} | dict(variables or {}),
        preexec_fn=before,
    )


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    save(tmp_path / "scans", "a.png")
    return tmp_path / "scans"


def test_nothing_but_the_files_is_needed_no_home_no_user_no_temporary_folder(scans: Path, tmp_path: Path) -> None:
    ended = run(scans, "-o", tmp_path / "r.csv", "-q", code=NOBODY, variables={"TMPDIR": "/proc/none"})
    assert (ended.returncode, ended.stderr) in ((0, b""), (3, b""))
    assert (tmp_path / "r.csv").read_bytes().count(b"\n") == 2


def test_a_table_for_an_address_needs_a_folder_which_a_user_without_a_home_has_to_name(
    scans: Path, tmp_path: Path
) -> None:
    ended = run(scans, "-o", "memory://bucket/r.csv", "-q", code=NOBODY, cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == (
        b"error: this user has no home folder: name one for what may be deleted with XDG_CACHE_HOME\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["scans"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no names that are not UTF-8")
def test_outputs_may_have_names_that_are_no_text(scans: Path, tmp_path: Path) -> None:
    output = os.fsencode(tmp_path) + b"/r\xff\xc3.csv"
    more = ("--report", output + b".html", "--explain", output + b".maps", "--explain-rows", "ok")
    for _ in range(2):  # the second goes on from the first's journal, and replaces the first's manifest
        ended = run(scans, "-o", output, *more)
        assert ended.returncode in (0, 3), ended.stderr
        assert b"Traceback" not in ended.stderr
    assert rb'"file": "r\\xff\\xc3.csv"' in Path(os.fsdecode(output)).with_suffix(".manifest.json").read_bytes()
    verify = run(output, "--without-models", code="from cxr.cli.tables import verify_app; verify_app()")
    assert verify.returncode == 0, verify.stdout + verify.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no names that are not UTF-8")
def test_the_table_is_the_same_where_the_locale_knows_no_letters_but_ascii(tmp_path: Path) -> None:
    folder = tmp_path / "scané"
    save(folder, "ü.png")
    save(folder, os.fsdecode(b"q\xff.png"))
    tables = []
    for number, variables in enumerate(({"LC_ALL": "C.UTF-8"}, ASCII)):
        output = tmp_path / f"{number}-é.csv"
        ended = run(folder, "-o", output, "-q", variables=variables)
        assert (ended.returncode in (0, 3), ended.stderr) == (True, b"")
        tables.append(output.read_bytes())
        assert run(folder, "--dry-run", variables=variables).stdout == "q\\xff.png\nü.png\n".encode()
        assert run(folder, "-o", "-", "-q", variables=variables).stdout == tables[0]
    assert tables[0] == tables[1]
    assert tables[0].splitlines()[2].startswith("ü.png,".encode())


def test_a_working_folder_that_was_removed_is_named(scans: Path, tmp_path: Path) -> None:
    def removed() -> None:
        (tmp_path / "gone").mkdir()
        os.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()

    ended = run(scans, "-o", "r.csv", before=removed)
    assert (ended.returncode, ended.stderr) == (
        1,
        b"error: the folder that the command was started in is gone; change into one that is there\n",
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_rows_that_stdout_does_not_take_are_said(scans: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", COMMAND, str(scans), "-o", "-", "-q"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"error: the system refuses to go on: No space left on device; free some space")
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is for what Linux counts as address space")
@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.7])
def test_too_little_memory_to_load_the_network_is_said_to_be_that(share: float, scans: Path, tmp_path: Path) -> None:
    # What a run takes is measured first: it differs with the versions of the libraries.
    measured = (
        "import cxr.cli.batch_run, cxr.screening.run, resource, sys\n"
        "size = lambda: int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "from cxr.inference.network import openvino_module; openvino_module(); before = size()\n"
        "from cxr.inference.model_folder import load_model, packaged_folder\n"
        "load_model(packaged_folder(), 1); print(before, size() - before)"
    )
    before, model = map(int, run(code=measured).stdout.split())
    limit = before + int(model * share)

    def limited() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    ended = run(scans, "-o", tmp_path / "r.csv", "-q", "--processes", "1", before=limited)
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.startswith(b"error: too little memory or too few threads are left to "), ended.stderr
    assert not (tmp_path / "r.csv").exists()
