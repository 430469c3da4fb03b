"""Each call to the file system fails in turn: the table or a sentence, never a traceback; the next run ends right."""

import errno
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.dataset.releases import make_project, release_files, write_tree, write_zip
from tests.faults import NEVER, NO_FAULT, Ended, Fault, Server, server

BATCH, DATA, PREPARE = "cxr.cli.batch:script", "cxr.cli.data:run", "tests.faults.stages:prepare"
# Not compared: what has times in it, or is for the next run alone.
ASIDE = (".manifest.json", ".journal", ".lock", ".locked")


@dataclass
class Place:
    """Files to screen, and a command's output folder, on a server's file system that fails when told to."""

    server: Server
    folder: Path

    @property
    def scans(self) -> Path:
        return self.folder / "scans"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def screen(self, fault: Fault = NO_FAULT, *more: object, below: Path | None = None) -> Ended:
        arguments = [self.scans, "-o", self.out / "r.csv", "-q", "--processes", 1, *more]
        return self.server.run(BATCH, arguments, below or self.out, fault)

    def written(self) -> dict[str, bytes]:
        files = (path for path in self.out.rglob("*") if path.is_file() and not path.name.endswith(ASIDE))
        return {path.relative_to(self.out).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("faults")
    noise = np.random.default_rng(0)
    (folder / "scans").mkdir()
    for number in range(4):
        Image.fromarray(noise.integers(0, 256, (64, 64), np.uint8)).save(folder / f"scans/{number}.png")
    (folder / "scans/empty.png").write_bytes(b"")
    write_tree(folder / "source", release_files())
    write_zip(folder / "archive.zip", release_files())
    (folder / "logs").mkdir()
    with server(folder / "logs") as one:
        yield Place(one, folder)


@pytest.fixture
def place(files: Place) -> Place:
    shutil.rmtree(files.out, ignore_errors=True)
    files.out.mkdir()
    return files


@pytest.fixture(scope="module")
def table(files: Place) -> bytes:
    shutil.rmtree(files.out, ignore_errors=True)
    files.out.mkdir()
    assert files.screen().status == 3
    return (files.out / "r.csv").read_bytes()


def whole(place: Place, table: bytes) -> bool:
    return place.written() == {"r.csv": table}


@pytest.mark.parametrize(
    "fault",
    [
        Fault("chmod", errno.EPERM, -1),  # CIFS
        Fault("fsync", errno.EINVAL, -1),  # FUSE
        Fault("fsync", errno.EOPNOTSUPP, -1),
        Fault("flock", errno.ENOLCK, -1),  # NFS without its lock daemon
        Fault("flock", errno.EOPNOTSUPP, -1),
        Fault("unlink", errno.EPERM, -1),
        Fault("rename", errno.EBUSY, 2),  # a scanner that looks at the new file for a moment
    ],
    ids=str,
)
def test_what_only_polishes_may_fail(place: Place, table: bytes, fault: Fault) -> None:
    assert place.screen(fault).status == 3
    assert whole(place, table)


@pytest.mark.parametrize(
    ("fault", "where", "remedy"),
    [
        (Fault("write", errno.ENOSPC, 2), "write", "No space left on device; what was done so far is kept: free some"),
        (Fault("write", errno.EDQUOT, 3), "write", "Disk quota exceeded; this user's share of the disk is used up"),
        (Fault("write", errno.EFBIG, 3), "write", "File too large; larger files are not allowed here: raise 'ulimit"),
        (Fault("fsync", errno.EIO, 1), "write", "Input/output error; see to the disk or to the connection to it"),
        (Fault("open", errno.EROFS, 2), "lock", "Read-only file system; the disk is read-only: give a place on an"),
        (Fault("open", errno.ENAMETOOLONG, 3), "write", "File name too long; give a shorter name"),
        (Fault("read", errno.ESTALE, 2), "read", "Stale file handle; the network share has lost it: mount the share"),
        (Fault("close", errno.ENOSPC, -7), "write", "No space left on device; free some space"),  # NFS says it late
    ],
    ids=str,
)
def test_what_is_refused_is_a_sentence_with_its_remedy_and_the_next_run_ends_right(
    place: Place, table: bytes, fault: Fault, where: str, remedy: str
) -> None:
    (place.out / "r.csv").write_text("path,status\nolder.png,ok\n")
    ended = place.screen(fault, "--overwrite")
    assert ended.status == 1, ended
    assert ended.stderr.startswith(f"error: cannot {where} {place.out}/"), ended
    assert remedy in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert place.written() == {"r.csv": b"path,status\nolder.png,ok\n"}
    assert place.screen(NO_FAULT, "--overwrite").status == 3
    assert whole(place, table)


def test_a_table_that_excel_holds_is_not_a_full_disk(place: Place, table: bytes) -> None:
    (place.out / "r.csv").write_text("path;status\n")
    refused = place.screen(Fault("rename", errno.EBUSY, -2), "--overwrite")
    assert refused.stderr == (
        f"error: cannot replace {place.out}/r.csv: Device or resource busy; another program may hold it, as Excel does "
        "with an open table and a virus scanner with a new file: close it there, then run the same command again\n"
    )
    assert place.written() == {"r.csv": b"path;status\n"}
    assert place.screen().status == 3, "the journal goes on"
    assert whole(place, table)


def test_of_a_share_that_loses_an_input_only_that_files_row_has_an_error(place: Place, table: bytes) -> None:
    ended = place.screen(Fault("read", errno.ESTALE, -1), below=place.scans / "2.png")
    assert ended.status == 3
    rows, expected = ((text.decode().splitlines()) for text in ((place.out / "r.csv").read_bytes(), table))
    assert [one for one in rows if one not in expected] == [rows[3]]
    assert rows[3].startswith("2.png,error,unreadable,")
    assert "Stale file handle" in rows[3]
    assert place.screen().status == 3
    assert whole(place, table)


@pytest.mark.parametrize("nth", [1, -4])
def test_too_few_threads_to_load_the_network_are_said_to_be_that(place: Place, table: bytes, nth: int) -> None:
    ended = place.screen(Fault("thread", errno.EAGAIN, nth))
    assert ended.status == 1
    assert ended.stderr.startswith("error: too little memory or too few threads are left to "), ended
    assert "'ulimit -u'" in ended.stderr
    assert place.screen().status == 3
    assert whole(place, table)


def test_where_no_process_can_be_started_the_others_do_its_share(place: Place, table: bytes) -> None:
    ended = place.server.run(
        BATCH, [place.scans, "-o", place.out / "r.csv", "--processes", 3], place.out, Fault("fork", errno.EAGAIN, 2)
    )
    assert ended.status == 3
    assert "a process that helped could not be started: Resource temporarily unavailable" in ended.stderr
    assert whole(place, table)


def nothing(place: Place) -> None:
    place.out.mkdir()


def half_a_journal(place: Place) -> None:
    place.out.mkdir()
    assert place.screen(Fault("write", errno.ENOSPC, 3)).status == 1
    with (place.out / "r.csv.journal").open("ab") as journal:
        journal.write(b"torn")


def project(place: Place) -> None:
    make_project(place.out)


def release(place: Place) -> None:
    make_project(place.out)
    ended = place.server.run(DATA, ["import", place.folder / "source", "--root", place.out, "--no-dvc"], place.out)
    assert ended.status == 0


@dataclass(frozen=True)
class Command:
    """What is run, in a folder that `before` makes; files and folders are named below the place."""

    name: str
    arguments: tuple[str, ...]
    before: Callable[[Place], None] = nothing

    def run(self, place: Place, fault: Fault = NO_FAULT) -> Ended:
        return place.server.run(self.name, [one.format(place.folder) for one in self.arguments], place.out, fault)

    def afresh(self, place: Place) -> None:
        shutil.rmtree(place.out, ignore_errors=True)
        self.before(place)


PICTURES = ("--report", "{}/out/r.html", "--explain", "{}/out/m", "--explain-rows", "ok")
SCREEN = ("{}/scans", "-q", "--processes")
IMPORT = ("--root", "{}/out", "--no-dvc")
COMMANDS = {
    "a table": Command(BATCH, (*SCREEN, "1", "-o", "{}/out/r.csv")),
    "two processes": Command(BATCH, (*SCREEN, "2", "-o", "{}/out/r.jsonl")),
    "resume": Command(BATCH, (*SCREEN, "1", "-o", "{}/out/r.csv"), half_a_journal),
    "page and maps": Command(BATCH, (*SCREEN, "1", "-o", "{}/out/r.csv", *PICTURES)),
    "parts": Command(BATCH, (*SCREEN, "1", "-o", "{}/out/r.parquet", "--partitions", "--overwrite")),
    "a folder": Command(DATA, ("import", "{}/source", *IMPORT), project),
    "an archive": Command(DATA, ("import", "{}/archive.zip", *IMPORT), project),
    "prepare": Command(PREPARE, ("{}/out",), release),
}
FAULTS = {
    "open": (errno.EACCES,),
    "write": (errno.ENOSPC,),
    "fsync": (errno.EIO, errno.EINVAL),
    "chmod": (errno.EPERM,),
    "rename": (errno.EBUSY,),
    "flock": (errno.ENOLCK,),
    "ftruncate": (errno.EIO,),
    "mkdir": (errno.EACCES,),
    "unlink": (errno.EPERM,),
    "link": (errno.EPERM,),
    "utime": (errno.EPERM,),
    "close": (errno.ENOSPC,),
    "read": (errno.ESTALE,),
}
EVERY_LATER = ("rename",)  # one alone is waited for


def faults_of(command: Command, place: Place, call: str) -> Iterator[Fault]:
    """Give one fault for each time that a run makes the call."""
    command.afresh(place)
    calls = command.run(place, Fault(call, errno.EIO, NEVER)).calls
    sign = -1 if call in EVERY_LATER else 1
    return (Fault(call, number, sign * nth) for number in FAULTS[call] for nth in range(1, calls + 1))


def complaint(command: Command, place: Place, fault: Fault, expected: dict[str, bytes], well: int) -> str:
    """Return what is wrong with a run that meets a fault and with the next one; empty where all is as it should be."""
    command.afresh(place)
    met = command.run(place, fault)
    said = [line for line in met.stderr.splitlines() if not line.startswith("warning:")]
    if "Traceback" in met.stderr or not (
        met.status in (0, 3) or (met.status == 1 and len(said) == 1 and said[0].startswith("error: "))
    ):
        return f"{fault}: {met}"
    again = command.run(place)
    kept = place.written()
    if again.status != well or any(kept.get(name) != data for name, data in expected.items()):
        return f"{fault}: {met.stderr} then {again} with {sorted(kept)}"
    return ""


@pytest.mark.long
@pytest.mark.parametrize("call", FAULTS)
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_each_call_fails_in_turn(command: Command, call: str, files: Place, record_property) -> None:
    command.afresh(files)
    well, expected = command.run(files).status, files.written()
    assert well in (0, 3)
    tried = list(faults_of(command, files, call))
    complaints = [text for fault in tried if (text := complaint(command, files, fault, expected, well))]
    record_property("places", len(tried))
    assert complaints == []
