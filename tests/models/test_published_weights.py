"""Published weights are fetched whole or not at all, checked, and asked for with the way to get them."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cxr.core.errors import WeightsError
from cxr.models import PublishedWeights, fetch, require_weights, weights_file
from tests.imports import ROOT
from tests.networks import published

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
    found = [path.read_text() for path in (ROOT / ".venv").glob("lib/*/site-packages/keras/src/applications/*.py")]
    if not found:
        pytest.skip("Keras is not installed in .venv beside the package")
    assert all(any(published(name).md5 in text for text in found) for name in ("vgg16", "resnet50"))


def test_weights_are_fetched_whole_and_then_left_alone(tmp_path: Path, server: str) -> None:
    served = PublishedWeights("w.h5", MD5, f"{server}/w.h5")
    seen = []

    def track(items, _label, total):
        for item in items:
            seen.append(total)
            yield item

    assert fetch(served, tmp_path / "vgg16", track) is True
    assert (tmp_path / "vgg16/w.h5").read_bytes() == CONTENT
    assert seen == [2, 2]
    unreachable = PublishedWeights("w.h5", MD5, "http://127.0.0.1:1/w.h5")
    assert fetch(unreachable, tmp_path / "vgg16") is False


def test_another_content_is_refused_and_nothing_is_kept(tmp_path: Path, server: str) -> None:
    served = PublishedWeights("w.h5", "0" * 32, f"{server}/w.h5")
    with pytest.raises(WeightsError, match=f"gave a file with the md5 {MD5}, expected {'0' * 32}"):
        fetch(served, tmp_path / "vgg16")
    assert list((tmp_path / "vgg16").iterdir()) == []


def test_a_damaged_file_is_replaced(tmp_path: Path, server: str) -> None:
    (tmp_path / "w.h5").write_bytes(b"half")
    assert fetch(PublishedWeights("w.h5", MD5, f"{server}/w.h5"), tmp_path) is True
    assert (tmp_path / "w.h5").read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["/absent.h5", None])
def test_an_address_that_does_not_answer_says_where_to_put_the_file(tmp_path: Path, server: str, path) -> None:
    url = server + path if path else "http://127.0.0.1:1/w.h5"
    with pytest.raises(WeightsError) as caught:
        fetch(PublishedWeights("w.h5", MD5, url), tmp_path / "vgg16")
    assert str(caught.value).startswith(f"{url} could not be fetched (")
    assert str(caught.value).endswith(f"put the file, under the same name, into {tmp_path / 'vgg16'}")
    assert not (tmp_path / "vgg16/w.h5").exists()


@pytest.mark.parametrize(
    ("name", "command"),
    [("resnet50", "cxr-data weights resnet50"), ("lite0", "dvc pull weights/lite0/imagenet.npz")],
)
def test_absent_weights_name_the_file_the_command_and_the_alternative(name, command, tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        require_weights(tmp_path, name, published(name))
    for words in (published(name).filename, str(tmp_path), f"'{command}'", f"train_{name}.weights to 'random'"):
        assert words in str(caught.value)


def test_wrong_weights_tell_both_md5s_and_right_ones_are_returned(tmp_path: Path) -> None:
    path = tmp_path / published("vgg16").filename
    path.write_bytes(CONTENT)
    with pytest.raises(WeightsError, match=f"its md5 is {MD5}, expected {published('vgg16').md5}"):
        require_weights(tmp_path, "vgg16", published("vgg16"))
    assert require_weights(tmp_path, "vgg16", PublishedWeights(path.name, MD5)) == path


def test_a_file_is_looked_for_beside_the_published_one_and_elsewhere_where_its_path_says_so(tmp_path: Path) -> None:
    for path in (tmp_path / "weights/vgg16/mine.h5", tmp_path / "elsewhere.weights.h5"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")
    folder = tmp_path / "weights/vgg16"
    assert weights_file(folder, "vgg16", "mine.h5", published("vgg16")) == folder / "mine.h5"
    assert weights_file(folder, "vgg16", str(tmp_path / "elsewhere.weights.h5"), published("vgg16")).is_file()
    assert weights_file(folder, "vgg16", "random", published("vgg16")) is None
    assert weights_file(folder, "cnn1", "random", None) is None


def test_an_absent_file_says_where_it_is_expected_and_never_begins_at_random(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        weights_file(tmp_path, "vgg16", "mine.h5", published("vgg16"))
    for words in ("train_vgg16.weights in params.yaml is 'mine.h5'", f"{tmp_path / 'mine.h5'}. Put it there"):
        assert words in str(caught.value)
