"""Whatever happens to a kept array, the same bytes come back; and it is named by all it follows from."""

import numpy as np
import pytest

from cxr.training.feature_cache import cached

KEY = "ab" * 32
FEATURES = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)


@pytest.fixture
def asked():
    """Give a function for `compute` that counts its calls."""

    def compute():
        compute.calls += 1
        return FEATURES

    compute.calls = 0
    return compute


def test_what_was_computed_once_is_read_after_that_and_is_a_plain_numpy_file(tmp_path, asked):
    folder = tmp_path / "cache/features"
    first, second = (cached(folder, KEY, asked) for _ in range(2))
    assert asked.calls == 1
    assert first.tobytes() == second.tobytes() == FEATURES.tobytes()
    assert second.dtype == np.float32
    assert [path.name for path in folder.iterdir()] == [f"{KEY}.npy"]
    assert np.array_equal(np.load(folder / f"{KEY}.npy"), FEATURES)


def test_without_a_folder_nothing_is_kept(asked):
    assert [cached(None, KEY, asked).tobytes() for _ in range(2)] == [FEATURES.tobytes()] * 2
    assert asked.calls == 2


@pytest.mark.parametrize(
    "harm",
    [
        lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: content[:-40],
        lambda content: content[:10],
        lambda _: b"",
    ],
    ids=["altered", "altered digest", "truncated", "cut to the header", "emptied"],
)
def test_a_harmed_file_is_said_and_replaced_by_the_same_bytes(tmp_path, asked, capfd, harm):
    cached(tmp_path, KEY, asked)
    path = tmp_path / f"{KEY}.npy"
    whole = path.read_bytes()
    path.write_bytes(harm(whole))
    assert cached(tmp_path, KEY, asked).tobytes() == FEATURES.tobytes()
    assert asked.calls == 2
    assert path.read_bytes() == whole
    assert capfd.readouterr().err == f"{path} was altered or cut short; its features are computed again\n"


def test_a_file_under_another_name_is_not_believed(tmp_path, asked):
    cached(tmp_path, KEY, asked)
    (tmp_path / f"{KEY}.npy").rename(tmp_path / f"{'cd' * 32}.npy")
    cached(tmp_path, "cd" * 32, asked)
    assert asked.calls == 2


def test_where_nothing_can_be_read_or_written_training_goes_on_and_says_so(tmp_path, asked, capfd):
    (tmp_path / f"{KEY}.npy").mkdir()
    assert cached(tmp_path, KEY, asked).tobytes() == FEATURES.tobytes()
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].endswith("cannot be read (Is a directory); its features are computed again")
    assert lines[1].endswith("cannot be written (Is a directory); the next training computes the features again")
    (tmp_path / "file").touch()
    assert cached(tmp_path / "file", KEY, asked).tobytes() == FEATURES.tobytes()
    assert "cannot be written" in capfd.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{KEY}.npy", "file"]


def test_a_full_disk_leaves_nothing_behind_and_training_goes_on(tmp_path, asked, monkeypatch, capfd):
    from pathlib import Path

    def full(path, content):
        with path.open("wb") as file:
            file.write(content[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert cached(tmp_path, KEY, asked).tobytes() == FEATURES.tobytes()
    assert "cannot be written (No space left on device); the next training" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_name_follows_from_weights_planes_side_arithmetic_code_and_environment(tmp_path, shared, monkeypatch):
    from cxr.training import features

    weights, planes = tmp_path / "w.h5", np.zeros((2, 8, 8), np.uint8)
    weights.write_bytes(b"weights")
    runtime = shared.runtime

    def key(name="vgg16", side=32, used=runtime, asked=planes):
        return features.feature_key(features.origin_of(name, side, weights, used), asked)

    keys = [
        key(),
        key(name="resnet50"),
        key(side=48),
        key(used=runtime.model_copy(update={"intra_op_threads": 1})),
        key(asked=planes + np.uint8(1)),
        key(asked=planes.reshape(2, 4, 16)),
    ]
    again = key()
    weights.write_bytes(b"others")
    keys.append(key())
    monkeypatch.setattr(features, "environment", lambda: {"numpy": "other"})
    keys.append(key())
    assert again == keys[0]
    assert len(set(keys)) == len(keys)
