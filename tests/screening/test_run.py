import math
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from cxr.errors import ModelError, Reason
from cxr.images import Plane, read_plane
from cxr.screening.reading import Reading, read_ahead
from cxr.screening.results import Row, Status
from cxr.screening.run import BATCH, screen
from tests.screening.drawings import save
from tests.screening.fakes import SIDE, FakeModel, FakeNetwork, Logits, by_brightness


def different_pictures(folder: Path, number: int) -> list[str]:
    names = [f"{index:04}.png" for index in range(number)]
    for index, name in enumerate(names):
        save(folder, name, (index % 256, (index * 7) % 256, (index * 31) % 256))
    return names


def hostile_files(folder: Path) -> dict[str, Reason]:
    """Files that give no picture, with names that sort before, among and after `different_pictures`."""
    good = save(folder, "whole.tmp").read_bytes()
    (folder / "whole.tmp").unlink()
    (folder / "0000-empty.png").write_bytes(b"")
    (folder / "0003-text.png").write_text("not a picture")
    (folder / "0017-half.png").write_bytes(good[: len(good) - 30])
    (folder / "zz-link.png").symlink_to(folder / "nowhere.png")
    return {
        "0000-empty.png": Reason.EMPTY,
        "0003-text.png": Reason.NOT_AN_IMAGE,
        "0017-half.png": Reason.TRUNCATED,
        "zz-link.png": Reason.UNREADABLE,
    }


def test_a_row_holds_the_softmax_of_its_own_pictures_logits(tmp_path: Path) -> None:
    save(tmp_path, "a.png", (255, 128, 0))
    plane, _ = read_plane(tmp_path / "a.png", SIDE)
    logits = by_brightness(plane[np.newaxis])[0]
    powers = [math.exp(value) for value in logits]
    (row,) = screen(tmp_path, ["a.png"], FakeModel())
    assert row.prediction == "covid"
    assert row.probabilities == pytest.approx([power / sum(powers) for power in powers], abs=1e-12)


@pytest.mark.parametrize("number", [1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH + 5])
def test_a_batch_gives_each_picture_the_answer_it_gets_alone(tmp_path: Path, number: int) -> None:
    names = different_pictures(tmp_path, number)
    together = list(screen(tmp_path, names, FakeModel(), workers=3))
    alone = [row for name in names for row in screen(tmp_path, [name], FakeModel(), workers=1)]
    assert together == alone
    assert len({row.probabilities for row in together}) > number // 2


def test_hostile_files_get_their_reason_and_change_no_other_row(tmp_path: Path) -> None:
    names = different_pictures(tmp_path, 40)
    without = list(screen(tmp_path, names, FakeModel()))
    hostile = hostile_files(tmp_path)
    paths = sorted([*names, *hostile])
    rows = list(screen(tmp_path, paths, FakeModel()))
    assert [row.path for row in rows] == paths
    assert [row for row in rows if row.path not in hostile] == without
    assert {row.path: row.reason for row in rows if row.status is Status.ERROR} == hostile
    assert all(row.prediction == "" and row.probabilities == () for row in rows if row.path in hostile)


def test_a_folder_of_hostile_files_alone_never_reaches_the_network(tmp_path: Path) -> None:
    hostile = hostile_files(tmp_path)
    model = FakeModel()
    assert {row.path: row.reason for row in screen(tmp_path, sorted(hostile), model)} == hostile
    assert model.network.batches == []


def test_a_file_deleted_after_discovery_gets_an_unreadable_row(tmp_path: Path) -> None:
    names = different_pictures(tmp_path, 3)
    (tmp_path / names[1]).unlink()
    assert [row.reason for row in screen(tmp_path, names, FakeModel())] == [None, Reason.UNREADABLE, None]


def test_a_named_pipe_does_not_stop_the_run(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (row,) = screen(tmp_path, ["pipe.png"], FakeModel())
    assert row.reason is Reason.UNREADABLE


def test_equal_base_names_keep_their_own_answers(tmp_path: Path) -> None:
    save(tmp_path, "left/1.png", (255, 0, 0))
    save(tmp_path, "right/1.png", (0, 0, 255))
    rows = list(screen(tmp_path, ["left/1.png", "right/1.png"], FakeModel()))
    assert [(row.path, row.prediction) for row in rows] == [("left/1.png", "covid"), ("right/1.png", "viral_pneumonia")]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_not_finite_is_an_error_of_that_picture_alone(tmp_path: Path, value: float) -> None:
    def poisoned(planes: Plane) -> Logits:
        logits = by_brightness(planes)
        logits[planes.mean(axis=(1, 2)) > 250, 1] = value
        return logits

    names = different_pictures(tmp_path, 4)
    save(tmp_path, "white.png", (255, 255, 255))
    rows = list(screen(tmp_path, [*names, "white.png"], FakeModel(FakeNetwork(poisoned))))
    assert [row.reason for row in rows] == [None, None, None, None, Reason.NOT_FINITE]
    assert rows[-1].probabilities == ()


def test_where_the_network_fails_on_a_batch_only_the_guilty_picture_loses_its_answer(tmp_path: Path) -> None:
    def failing(planes: Plane) -> Logits:
        if (planes.mean(axis=(1, 2)) > 250).any():
            raise RuntimeError("too bright")
        return by_brightness(planes)

    names = different_pictures(tmp_path, 40)
    expected = list(screen(tmp_path, names, FakeModel()))
    save(tmp_path, "0005-white.png", (255, 255, 255))
    rows = list(screen(tmp_path, sorted([*names, "0005-white.png"]), FakeModel(FakeNetwork(failing))))
    guilty = next(row for row in rows if row.path == "0005-white.png")
    assert (guilty.reason, guilty.detail) == (Reason.NETWORK, "too bright")
    assert [row for row in rows if row is not guilty] == expected


@pytest.mark.parametrize("shape", [(BATCH - 1, 3), (BATCH, 2), (BATCH,)])
def test_a_network_that_answers_for_another_number_stops_the_run(tmp_path: Path, shape: tuple[int, ...]) -> None:
    names = different_pictures(tmp_path, 2)
    model = FakeModel(FakeNetwork(lambda _: np.zeros(shape, np.float32)))
    with pytest.raises(ModelError, match="covid, normal, viral_pneumonia"):
        list(screen(tmp_path, names, model))


def test_the_network_always_receives_the_same_number_of_planes(tmp_path: Path) -> None:
    model = FakeModel()
    list(screen(tmp_path, different_pictures(tmp_path, BATCH + 1), model))
    assert model.network.batches == [BATCH, BATCH]


def test_no_more_files_are_read_ahead_than_allowed() -> None:
    lock, started = threading.Lock(), 0

    def decode(path: str) -> Reading:
        nonlocal started
        with lock:
            started += 1
        return Reading(path)

    readings = read_ahead(decode, [str(number) for number in range(100)], workers=2, ahead=10)
    for taken in range(1, 20):
        next(readings)
        time.sleep(0.001)
        assert started <= taken + 10
    readings.close()


def test_closing_early_does_not_work_off_the_queue() -> None:
    started: list[str] = []

    def decode(path: str) -> Reading:
        started.append(path)
        time.sleep(0.005)
        return Reading(path)

    readings = read_ahead(decode, [str(number) for number in range(100)], workers=1, ahead=90)
    next(readings)
    readings.close()
    assert len(started) < 45


def test_closing_early_leaves_no_thread(tmp_path: Path) -> None:
    names = different_pictures(tmp_path, 2 * BATCH)
    rows = screen(tmp_path, names, FakeModel(), workers=2)
    assert next(rows) == Row(names[0], None, *_answer(next(screen(tmp_path, names[:1], FakeModel()))))
    rows.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def _answer(row: Row) -> tuple[str, tuple[float, ...]]:
    return row.prediction, row.probabilities
