"""What a web server answers to who asks for one file, and what is said where nobody answers."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cxr.core.errors import CxrError, DataError, UsageError
from cxr.remote import filesystem
from cxr.remote.store import open_store
from cxr.screening.candidates import Candidate
from tests.cli.batches import column, run

pytest.importorskip("aiohttp", reason="needs the extra 'http'")


class Answers(http.server.BaseHTTPRequestHandler):
    """`/403/404/x.png` is answered 403 to HEAD and 404 to GET; 0: the connection is closed without a word."""

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, place: int) -> None:
        state = int(self.path.split("/")[place])
        if not state:
            self.close_connection = True
            return
        self.send_response(state)
        if 300 <= state < 400:
            self.send_header("Location", self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self._answer(1)

    def do_GET(self) -> None:
        self._answer(2)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the address of a server that answers as it is asked to; who is not answered gives up soon."""
    monkeypatch.setattr(filesystem, "FIRST_RETRY_SECONDS", 0.2)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


REFUSED = "the connection is refused"
UNKNOWN = "its name cannot be resolved"
NOBODY = [
    ("https://localhost:1/a.png", REFUSED),
    ("http://127.0.0.1:1/ward/a", REFUSED),
    ("http://localhost:1/a.png?sig=planted", REFUSED),
    ("https://no-such-host.invalid/a.png", UNKNOWN),
    ("http://no-such-host.invalid:8080/ward/a.dcm", UNKNOWN),
]


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(("address", "why"), NOBODY)
def test_an_address_that_nobody_answers_at_is_said_with_why(
    address: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "FIRST_RETRY_SECONDS", 0.2)
    result = run(address, "-o", tmp_path / "r.csv")
    said = " ".join(result.stderr.split())
    assert result.exit_code == 1
    assert f"{address.partition('?')[0]} has not answered for 0 s: {why};" in said
    assert "does not exist" not in said
    assert "planted" not in said
    assert not (tmp_path / "r.csv").exists()


def test_of_several_addresses_the_one_that_nobody_answers_at_is_named(server: str) -> None:
    files = [f"{server}/200/200/a.png", f"{server}/0/0/b.png"]
    with pytest.raises(DataError, match=rf"^{files[1]} has not answered"):
        open_store(files, seconds=0.2)


@pytest.mark.parametrize(("head", "get"), [(404, 404), (410, 410), (403, 404), (405, 404), (500, 404)])
def test_what_is_not_there_does_not_exist(head: int, get: int, server: str) -> None:
    with pytest.raises(UsageError, match=rf"/{head}/{get}/a\.png does not exist"):
        open_store([f"{server}/{head}/{get}/a.png"])


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (401, "HTTP 401 (Unauthorized)"),
        (403, "HTTP 403 (Forbidden)"),
        (405, "HTTP 405 (Method Not Allowed)"),
        (429, "HTTP 429 (Too Many Requests)"),
        (500, "HTTP 500 (Internal Server Error)"),
        (503, "HTTP 503 (Service Unavailable)"),
        (599, "HTTP 599"),
    ],
)
@pytest.mark.parametrize("head", [404, 405, None])
def test_what_a_server_answers_is_told(head: int | None, state: int, said: str, server: str) -> None:
    address = f"{server}/{head or state}/{state}/a.png"
    with pytest.raises(DataError) as error:
        open_store([address])
    assert str(error.value) == f"{address} cannot be read: the server answered {said}"


def test_addresses_that_lead_to_each_other_are_no_absent_file(server: str) -> None:
    with pytest.raises(DataError, match=r"cannot be read: .* \(TooManyRedirects\)"):
        open_store([f"{server}/302/302/a.png"])


@pytest.mark.parametrize("head", [403, 405, 500, 501])
def test_a_server_that_refuses_head_alone_is_asked_with_get(head: int, server: str) -> None:
    assert str(open_store([f"{server}/{head}/200/a.png"])) == f"{server}/{head}/200"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("http://localhost:1/a.zip", REFUSED),
        ("https://no-such-host.invalid/a.zip", UNKNOWN),
        ("{server}/403/403/a.zip", r"the server answered HTTP 403 \(Forbidden\)"),
        ("{server}/404/404/a.zip", "it is not there"),
    ],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_at_an_address_is_said_to_be_absent_only_where_it_is(
    kind: str, place: str, said: str, server: str
) -> None:
    with pytest.raises(CxrError, match=f"cannot be opened: {said}$"):
        open_store([f"{kind}://::{place.format(server=server)}"])


def test_a_server_that_goes_away_makes_no_file_an_absent_one(server: str) -> None:
    store = open_store([f"{server}/200/200/"], seconds=0.2)
    with (
        pytest.raises(DataError, match="has not answered"),
        store.opened(Candidate("x.png", "../../0/0/x.png"), whole=True),
    ):
        pass
    with (
        pytest.raises(PermissionError, match="Permission denied"),
        store.opened(Candidate("x.png", "../../403/403/x.png"), whole=True),
    ):
        pass


@pytest.mark.usefixtures("model")
def test_the_command_tells_an_absent_file_from_one_that_may_not_be_read(server: str, tmp_path: Path) -> None:
    absent = run(f"{server}/404/404/a.png", "-o", tmp_path / "r.csv")
    assert (absent.exit_code, "does not exist" in absent.stderr) == (2, True)
    closed = run(f"{server}/403/403/a.png", "-o", tmp_path / "r.csv")
    assert (closed.exit_code, "does not exist" in closed.stderr) == (1, False)
    assert "the server answered HTTP 403 (Forbidden)" in " ".join(closed.stderr.split())
    assert run(f"{server}/405/200/a.png", "-o", tmp_path / "r.csv").exit_code == 3
    assert column(tmp_path / "r.csv", "reason") == ["empty_file"]


@pytest.mark.usefixtures("model")
def test_a_file_of_a_list_that_is_absent_or_refused_costs_its_row_alone(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "RETRY_SECONDS", 0.2)
    names = [f"{state}/{state}/a.png" for state in (200, 403, 404, 410, 500)]
    (tmp_path / "list").write_text("".join(f"{server}/{name}?sig=planted\n" for name in names))
    result = run("--files-from", tmp_path / "list", "-o", tmp_path / "r.csv")
    assert result.exit_code == 3
    assert column(tmp_path / "r.csv", "path") == names
    assert column(tmp_path / "r.csv", "reason") == ["empty_file", *["unreadable"] * 4]
    assert "planted" not in (tmp_path / "r.csv").read_text() + result.stderr


def test_a_list_of_which_every_file_is_refused_ends_the_run(server: str) -> None:
    with pytest.raises(DataError, match=r"/403/403/a\.png cannot be read: the server answered HTTP 403"):
        open_store([], [f"{server}/403/403/{name}.png" for name in "ab"])
