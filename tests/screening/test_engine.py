import math
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cxr.errors import ModelError, Reason
from cxr.flags import Flag
from cxr.images import Plane, read_plane
from cxr.network import BATCH
from cxr.screening.engine import Outcome, screen
from cxr.screening.rows import Answer, Row, Status
from tests.dicoms import save_dicom
from tests.screening.drawings import bars, save
from tests.screening.fakes import SIDE, FakeGate, FakeModel, FakeNetwork, Logits, by_brightness
from tests.screening.works import candidates, rows_of


def outcomes(folder: Path, names: Sequence[str], *models: FakeModel, workers: int = 2) -> list[Outcome]:
    batches = screen(candidates(*names), folder, models or [FakeModel()], workers)
    return [outcome for batch in batches for outcome in batch]


def rows(folder: Path, names: Sequence[str], *models: FakeModel, workers: int = 2) -> list[Row]:
    return rows_of(outcomes(folder, names, *models, workers=workers))


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


def answer(row: Row) -> Answer:
    (one,) = row.answers
    assert one is not None
    return one


def test_a_row_holds_the_softmax_of_its_own_pictures_logits(tmp_path: Path) -> None:
    save(tmp_path, "a.png", (255, 128, 0))
    plane, _ = read_plane(tmp_path / "a.png", SIDE)
    powers = [math.exp(value) for value in by_brightness(plane[np.newaxis])[0]]
    expected = [power / sum(powers) for power in powers]
    (row,) = rows(tmp_path, ["a.png"])
    assert answer(row).prediction == "covid"
    assert answer(row).probabilities == pytest.approx(expected, abs=1e-12)
    assert answer(row).confidence == max(answer(row).probabilities)
    assert answer(row).margin == pytest.approx(expected[0] - expected[1], abs=1e-12)


@pytest.mark.parametrize("number", [1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH + 5])
def test_a_batch_gives_each_picture_the_answer_it_gets_alone(tmp_path: Path, number: int) -> None:
    names = different_pictures(tmp_path, number)
    together = rows(tmp_path, names, workers=3)
    alone = [row for name in names for row in rows(tmp_path, [name], workers=1)]
    assert together == alone
    assert len({answer(row).probabilities for row in together}) > number // 2


def test_hostile_files_get_their_reason_and_change_no_other_row(tmp_path: Path) -> None:
    names = different_pictures(tmp_path, 40)
    without = rows(tmp_path, names)
    hostile = hostile_files(tmp_path)
    paths = sorted([*names, *hostile])
    found = rows(tmp_path, paths)
    assert [row.path for row in found] == paths
    assert [row for row in found if row.path not in hostile] == without
    assert {row.path: row.reason for row in found if row.status is not Status.OK} == hostile
    assert all(row.answers == () for row in found if row.path in hostile)


def test_a_folder_of_hostile_files_alone_never_reaches_the_network(tmp_path: Path) -> None:
    hostile = hostile_files(tmp_path)
    model = FakeModel()
    assert {row.path: row.reason for row in rows(tmp_path, sorted(hostile), model)} == hostile
    assert model.network.batches == []


def test_a_file_deleted_after_discovery_gets_an_unreadable_row(tmp_path: Path) -> None:
    names = different_pictures(tmp_path, 3)
    (tmp_path / names[1]).unlink()
    assert [row.reason for row in rows(tmp_path, names)] == [None, Reason.UNREADABLE, None]


def test_a_named_pipe_does_not_stop_the_run(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (row,) = rows(tmp_path, ["pipe.png"])
    assert (row.reason, row.detail) == (Reason.UNREADABLE, "neither a file nor a link to one")


def test_a_file_that_neither_name_nor_content_calls_an_image_has_no_row(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear colleague")
    save(tmp_path, "picture.txt")
    first, second = outcomes(tmp_path, ["notes.txt", "picture.txt"])
    assert first.row is None
    assert second.row is not None
    assert second.row.status is Status.OK


def test_a_file_that_was_named_has_a_row_whatever_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear colleague")
    ((outcome,),) = screen(candidates("notes.txt", named=True), tmp_path, [FakeModel()])
    assert outcome.row is not None
    assert outcome.row.reason is Reason.NOT_AN_IMAGE


def test_equal_base_names_keep_their_own_answers(tmp_path: Path) -> None:
    save(tmp_path, "left/1.png", (255, 0, 0))
    save(tmp_path, "right/1.png", (0, 0, 255))
    found = rows(tmp_path, ["left/1.png", "right/1.png"])
    assert [answer(row).prediction for row in found] == ["covid", "viral_pneumonia"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_not_finite_is_an_error_of_that_picture_alone(tmp_path: Path, value: float) -> None:
    def poisoned(planes: Plane) -> Logits:
        logits = by_brightness(planes)
        logits[planes.mean(axis=(1, 2)) > 250, 1] = value
        return logits

    names = different_pictures(tmp_path, 4)
    save(tmp_path, "white.png", (255, 255, 255))
    found = rows(tmp_path, [*names, "white.png"], FakeModel(FakeNetwork(poisoned)))
    assert [row.reason for row in found] == [None, None, None, None, Reason.NOT_FINITE]
    assert found[-1].answers == (None,)
    assert found[-1].sha256 != ""


def test_where_the_network_fails_on_a_batch_only_the_guilty_picture_loses_its_answer(tmp_path: Path) -> None:
    def failing(planes: Plane) -> Logits:
        if (planes.mean(axis=(1, 2)) > 250).any():
            raise RuntimeError("too bright")
        return by_brightness(planes)

    names = different_pictures(tmp_path, 40)
    expected = rows(tmp_path, names)
    save(tmp_path, "0005-white.png", (255, 255, 255))
    found = rows(tmp_path, sorted([*names, "0005-white.png"]), FakeModel(FakeNetwork(failing)))
    guilty = next(row for row in found if row.path == "0005-white.png")
    assert (guilty.reason, guilty.detail) == (Reason.NETWORK, "too bright")
    assert [row for row in found if row is not guilty] == expected


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("std::bad_alloc"), RuntimeError("Out of memory: 3 GB")])
def test_where_memory_is_short_for_one_picture_it_is_that_pictures_error(tmp_path: Path, error: Exception) -> None:
    def short(planes: Plane) -> Logits:
        if (planes.mean(axis=(1, 2)) > 250).any():
            raise error
        return by_brightness(planes)

    names = different_pictures(tmp_path, 40)
    expected = rows(tmp_path, names)
    save(tmp_path, "0005-white.png", (255, 255, 255))
    found = rows(tmp_path, sorted([*names, "0005-white.png"]), FakeModel(FakeNetwork(short)))
    guilty = next(row for row in found if row.path == "0005-white.png")
    assert (guilty.reason, guilty.detail) == (Reason.MEMORY, str(error) or "MemoryError")
    assert [row for row in found if row is not guilty] == expected


@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (2,)])
def test_a_network_that_answers_for_another_number_stops_the_run(tmp_path: Path, shape: tuple[int, ...]) -> None:
    names = different_pictures(tmp_path, 2)
    model = FakeModel(FakeNetwork(lambda _: np.zeros(shape, np.float32)))
    with pytest.raises(ModelError, match="covid, normal, viral_pneumonia"):
        rows(tmp_path, names, model)


def test_several_networks_answer_for_one_reading_of_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cxr.screening.local as local

    opened: list[Path] = []
    monkeypatch.setattr(local, "open_regular", lambda path, open=local.open_regular: opened.append(path) or open(path))
    names = different_pictures(tmp_path, 5)
    reverse = FakeModel(FakeNetwork(lambda planes: -by_brightness(planes)), plane_side=8, identity="reverse-1")
    both = rows(tmp_path, names, FakeModel(), reverse)
    assert len(opened) == len(names)
    assert [row.answers[:1] for row in both] == [row.answers for row in rows(tmp_path, names)]
    assert [row.answers[1:] for row in both] == [row.answers for row in rows(tmp_path, names, reverse)]


def test_one_network_without_an_answer_makes_an_error_that_keeps_the_others_answer(tmp_path: Path) -> None:
    save(tmp_path, "a.png")
    silent = FakeModel(FakeNetwork(lambda planes: np.full((len(planes), 3), np.nan, np.float32)), identity="silent-1")
    (row,) = rows(tmp_path, ["a.png"], FakeModel(), silent)
    assert (row.status, row.reason) == (Status.ERROR, Reason.NOT_FINITE)
    assert row.answers[0] is not None
    assert row.answers[1] is None


def test_flags_tell_what_to_doubt(tmp_path: Path) -> None:
    bars(10, 200, 90, side=12).save(tmp_path / "small.png")
    bars(10, 200, 90, side=60).crop((0, 0, 60, 20)).save(tmp_path / "long.png")
    bars(7, 7, 7, side=60).save(tmp_path / "flat.png")
    bars(10, 200, 90, side=60).save(tmp_path / "good.png")
    found = rows(tmp_path, ["small.png", "long.png", "flat.png", "good.png"])
    assert [row.flags for row in found] == [(Flag.SMALL,), (Flag.ELONGATED,), (Flag.FLAT,), ()]


@pytest.mark.parametrize("gate", [None, FakeGate()])
def test_a_lateral_dicom_is_flagged_with_or_without_a_gate(gate: FakeGate | None, tmp_path: Path) -> None:
    picture = np.asarray(bars(10, 200, 90, side=60))
    for name, view in (("front.dcm", "PA"), ("side.dcm", "LL")):
        save_dicom(tmp_path / name, picture, ViewPosition=view)
    found = rows(tmp_path, ["front.dcm", "side.dcm"], FakeModel(gate=gate))
    assert [(row.status, row.flags) for row in found] == [(Status.OK, ()), (Status.OK, (Flag.LATERAL,))]


def test_closing_early_leaves_no_thread(tmp_path: Path) -> None:
    names = different_pictures(tmp_path, 2 * BATCH)
    batches = screen(candidates(*names), tmp_path, [FakeModel()], workers=2)
    assert len(next(batches)) == BATCH
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]
