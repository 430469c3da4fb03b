"""What a gate does to rows, with a stand-in whose scores are written into the pictures."""

import math
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cxr.core.errors import ModelError, Reason
from cxr.core.image import Plane
from cxr.imaging.decode import read_plane
from cxr.inference.decisions import ReferReason
from cxr.inference.gate import Flag, Sign
from cxr.inference.network import BATCH
from cxr.screening.predict import Outcome, screen
from cxr.screening.schema import Prediction, Row, Status
from tests.dicoms import save_dicom
from tests.screening.drawings import bars, save
from tests.screening.fakes import (
    LIMITS,
    SIDE,
    FakeGate,
    FakeModel,
    FakeNetwork,
    Logits,
    by_brightness,
    by_corner,
    deciding_model,
)
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


def answer(row: Row) -> Prediction:
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
    from cxr.screening import storage as local

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


GOOD = (150, 90, 50)


def save_signed(folder: Path, name: str, *signs: Sign, levels: Sequence[int] = GOOD) -> str:
    """Save bars of SIDE x SIDE for which `by_corner` sees `signs`."""
    plane = np.tile(np.repeat(np.asarray(levels, np.uint8), -(-SIDE // len(levels)))[:SIDE], (SIDE, 1))
    for number, sign in enumerate(Sign, start=1):
        plane[number, 0] = 255 if sign in signs else 0
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(plane).save(folder / name)
    return name


def rows_with_gate(
    folder: Path, names: Sequence[str], *models: FakeModel, workers: int = 2, batch: int = 8
) -> list[Row]:
    batches = screen(candidates(*names), folder, models, workers, batch=batch)
    return rows_of([outcome for batch in batches for outcome in batch])


def one(folder: Path, name: str, *models: FakeModel) -> Row:
    (row,) = rows_with_gate(folder, [name], *models)
    return row


def gated(**changes: object) -> FakeModel:
    return replace(deciding_model(), gate=FakeGate(**changes))  # type: ignore[arg-type]


def coloured(folder: Path, name: str) -> str:
    """Red beside blue, with bars of different luminance."""
    plane = np.zeros((SIDE, SIDE, 3), np.uint8)
    plane[:, : SIDE // 2, 0], plane[:, SIDE // 2 :, 2] = 200, 250
    Image.fromarray(plane).save(folder / name)
    return name


def make_too_small(folder: Path) -> str:
    Image.open(save(folder, "x.png", GOOD)).resize((9, 30)).save(folder / "a.png")
    return "a.png"


def make_extreme(folder: Path) -> str:
    Image.open(save(folder, "x.png", GOOD)).resize((121, 30)).save(folder / "a.png")
    return "a.png"


def make_blank(folder: Path) -> str:
    return save(folder, "a.png", (120, 121, 122)).name


REJECTED = [
    (make_too_small, Reason.TOO_SMALL, "the shorter side has 9 pixels; expected at least 10"),
    (make_extreme, Reason.EXTREME_ASPECT, "121 x 30: one side is 4.03 times the other; expected at most 4"),
    (
        make_blank,
        Reason.BLANK,
        "grey levels have a standard deviation of 0.0031 of full scale; expected at least 0.02",
    ),
    (
        lambda folder: coloured(folder, "a.png"),
        Reason.COLOUR_PHOTO,
        "samples have a mean chroma of 0.8824 of full scale; expected at most 0.1",
    ),
    (
        lambda folder: save_signed(folder, "a.png", Sign.NOT_A_RADIOGRAPH, Sign.INVERTED, Sign.OUT_OF_DISTRIBUTION),
        Reason.NOT_A_RADIOGRAPH,
        "the gate scores it 1.000 as no chest radiograph; rejected from 0.9 on",
    ),
]


@pytest.mark.parametrize(("make", "reason", "detail"), REJECTED, ids=[str(reason) for _, reason, _ in REJECTED])
def test_what_is_no_radiograph_is_rejected_with_number_and_limit(
    make: object, reason: Reason, detail: str, tmp_path: Path
) -> None:
    name = make(tmp_path)  # type: ignore[operator]
    model, second = gated(), FakeModel(identity="second-1")
    row = one(tmp_path, name, model, second)
    assert (row.status, row.reason, row.detail, row.answers) == (Status.REJECTED, reason, detail, ())
    assert model.network.batches == second.network.batches == []
    assert row.facts is not None
    assert row.brightness is not None
    assert not {Flag.INVERTED, Flag.OUT_OF_DISTRIBUTION, Flag.FLAT} & set(row.flags)


@pytest.mark.parametrize(("make", "reason"), [(make, reason) for make, reason, _ in REJECTED])
def test_without_a_gate_the_same_picture_is_answered(make: object, reason: Reason, tmp_path: Path) -> None:
    row = one(tmp_path, make(tmp_path), deciding_model())  # type: ignore[operator]
    assert row.status is Status.OK, reason
    assert set(row.flags) <= {Flag.SMALL, Flag.ELONGATED}


def test_the_first_reason_in_their_order_is_given(tmp_path: Path) -> None:
    plane = np.zeros((50, 9, 3), np.uint8) + np.array([255, 0, 0], np.uint8)  # small, long, blank, red
    Image.fromarray(plane).save(tmp_path / "a.png")
    for limits, reason in [
        (LIMITS, Reason.TOO_SMALL),
        (replace(LIMITS, min_side=1), Reason.EXTREME_ASPECT),
        (replace(LIMITS, min_side=1, max_aspect=9), Reason.BLANK),
        (replace(LIMITS, min_side=1, max_aspect=9, min_spread=0), Reason.COLOUR_PHOTO),
    ]:
        gate = FakeGate(limits=limits)
        assert one(tmp_path, "a.png", replace(deciding_model(), gate=gate)).reason is reason
        assert gate.batches == []


@pytest.mark.parametrize(
    "limits",
    [
        replace(LIMITS, min_side=SIDE, max_aspect=1),
        replace(LIMITS, max_colour=0),
        replace(LIMITS, min_spread=float(np.std(np.array([[0, 255]] * 8)) / 255)),
    ],
)
def test_a_picture_at_a_limit_passes(limits: object, tmp_path: Path) -> None:
    Image.fromarray(np.tile(np.array([0, 255], np.uint8), (SIDE, SIDE // 2))).save(tmp_path / "a.png")
    assert one(tmp_path, "a.png", gated(limits=replace(limits, max_clipped=1))).status is Status.OK  # type: ignore[type-var]


@pytest.mark.parametrize("sign", [sign for sign in Sign if sign is not Sign.NOT_A_RADIOGRAPH])
def test_every_other_sign_is_a_flag_of_an_answered_picture(sign: Sign, tmp_path: Path) -> None:
    assert one(tmp_path, save_signed(tmp_path, "a.png", sign), gated()).flags == (Flag(sign.value),)
    row = one(tmp_path, save_signed(tmp_path, "b.png"), gated())
    assert (row.status, row.flags) == (Status.OK, ())


def test_a_sign_is_seen_from_its_own_threshold_on(tmp_path: Path) -> None:
    name = save_signed(tmp_path, "a.png", Sign.INVERTED, Sign.CROPPED)
    thresholds = dict.fromkeys(Sign, 0.9) | {Sign.INVERTED: 1.0, Sign.CROPPED: 1.01}
    assert one(tmp_path, name, gated(thresholds=thresholds)).flags == (Flag.INVERTED,)


@pytest.mark.parametrize(
    ("levels", "limits", "flags"),
    [
        ((40, 20, 10), LIMITS, (Flag.UNDEREXPOSED,)),
        ((230, 215, 205), LIMITS, (Flag.OVEREXPOSED,)),
        ((254, 255, 0), replace(LIMITS, bright=1), (Flag.OVEREXPOSED,)),
        ((254, 253, 0), replace(LIMITS, bright=1), ()),
        ((255, 0, 0), replace(LIMITS, dark=0.5, max_clipped=0.3), (Flag.OVEREXPOSED, Flag.UNDEREXPOSED)),
    ],
)
def test_exposure_is_flagged_by_mean_and_by_what_is_white(
    levels: Sequence[int], limits: object, flags: tuple[Flag, ...], tmp_path: Path
) -> None:
    name = save_signed(tmp_path, "a.png", levels=levels)
    assert one(tmp_path, name, gated(limits=limits)).flags == flags


def test_an_unusual_picture_is_referred_by_the_decisions_of_every_network(tmp_path: Path) -> None:
    names = [save_signed(tmp_path, "a.png", Sign.OUT_OF_DISTRIBUTION), save_signed(tmp_path, "b.png")]
    other = replace(deciding_model(), identity="other-1", gate=FakeGate(lambda _: np.zeros((0, 0))))  # never asked
    unusual, usual = rows_with_gate(tmp_path, names, gated(), other)
    for answer in unusual.answers:
        assert answer is not None
        assert answer.decision is not None
        assert (answer.decision.word, answer.decision.reason) == ("refer", ReferReason.OUT_OF_DISTRIBUTION)
        assert answer.decision.classes != ()
    for answer in usual.answers:
        assert answer is not None
        assert answer.decision is not None
        assert answer.decision.reason is not ReferReason.OUT_OF_DISTRIBUTION


def test_members_that_differ_are_referred_and_only_those(tmp_path: Path) -> None:
    def members(planes: Plane) -> NDArray[np.float32]:
        logits = by_brightness(planes)
        turned = np.where(planes[:, 0, :1] > 200, -logits, logits)
        return np.stack([logits, turned], axis=1).astype(np.float32)

    names = [save(tmp_path, "a.png", (255, 0, 0)).name, save(tmp_path, "b.png", (0, 255, 0)).name]
    apart, together = rows_with_gate(tmp_path, names, replace(deciding_model(), network=FakeNetwork(members=members)))
    assert apart.answers[0] is not None
    assert apart.answers[0].decision is not None
    assert apart.answers[0].decision.reason is ReferReason.DISAGREEMENT
    assert together.answers[0] is not None
    assert together.answers[0].decision is not None
    assert (together.answers[0].decision.word, together.answers[0].decision.reason) == ("not_suspected", None)


def test_members_of_another_number_of_pictures_stop_the_run(tmp_path: Path) -> None:
    save(tmp_path, "a.png")
    wrong = FakeNetwork(members=lambda _: np.zeros((2, 2, 3), np.float32))
    with pytest.raises(ModelError, match="for 1 pictures and the classes covid, normal"):
        rows_with_gate(tmp_path, ["a.png"], replace(deciding_model(), network=wrong))


def mixed(folder: Path, number: int = 40) -> tuple[list[str], list[str]]:
    """Names of pictures that pass, and of ones that do not and sort among them."""
    random = np.random.default_rng(3)
    good = [save_signed(folder, f"{i:02}.png", levels=random.integers(60, 200, 4).tolist()) for i in range(number)]
    bad = [save_signed(folder, f"{i:02}-cat.png", Sign.NOT_A_RADIOGRAPH) for i in range(0, number, 3)]
    bad += [coloured(folder, f"{i:02}-red.png") for i in range(0, number, 7)]
    return good, bad


@pytest.mark.parametrize("batch", [1, 5, 32])
@pytest.mark.parametrize("workers", [1, 3])
def test_rejected_pictures_change_no_other_row_at_any_batch_size(batch: int, workers: int, tmp_path: Path) -> None:
    good, bad = mixed(tmp_path)
    expected = [one(tmp_path, name, gated()) for name in good]
    model = gated()
    found = rows_with_gate(tmp_path, sorted([*good, *bad]), model, workers=workers, batch=batch)
    assert [row for row in found if row.path in good] == expected
    assert {row.path for row in found if row.status is Status.REJECTED} == set(bad)
    assert sum(model.network.batches) == len(good)
    assert model.gate is not None
    assert max(model.gate.batches) <= batch


def test_a_gate_that_fails_on_one_picture_costs_that_one_its_answer(tmp_path: Path) -> None:
    def failing(planes: Plane) -> NDArray[np.float64]:
        if (planes[:, 1, 0] == 255).any():
            raise RuntimeError("no such thing")
        return by_corner(planes)

    good, _ = mixed(tmp_path, 12)
    guilty = save_signed(tmp_path, "05-guilty.png", Sign.NOT_A_RADIOGRAPH)
    found = {row.path: row for row in rows_with_gate(tmp_path, sorted([*good, guilty]), gated(judge=failing))}
    bad = found.pop(guilty)
    assert (bad.status, bad.reason, bad.detail) == (Status.ERROR, Reason.NETWORK, "the gate failed: no such thing")
    assert bad.answers == ()
    assert list(found.values()) == rows_with_gate(tmp_path, good, gated())


def test_scores_that_are_no_numbers_are_never_a_pass(tmp_path: Path) -> None:
    good, _ = mixed(tmp_path, 2)
    row, other = rows_with_gate(
        tmp_path, good, gated(judge=lambda planes: np.vstack([np.full((1, 6), np.nan), by_corner(planes[1:])]))
    )
    assert (row.reason, row.answers) == (Reason.NOT_FINITE, ())
    assert other.status is Status.OK


def test_a_gate_short_of_memory_for_one_picture_costs_that_one_its_answer(tmp_path: Path) -> None:
    good, _ = mixed(tmp_path, 3)
    guilty = save_signed(tmp_path, "05-guilty.png", Sign.NOT_A_RADIOGRAPH)

    def short(planes: Plane) -> NDArray[np.float64]:
        if (planes[:, 1, 0] == 255).any():
            raise MemoryError
        return by_corner(planes)

    found = {row.path: row for row in rows_with_gate(tmp_path, sorted([*good, guilty]), gated(judge=short))}
    assert found.pop(guilty).reason == Reason.MEMORY
    assert list(found.values()) == rows_with_gate(tmp_path, good, gated())


def test_a_gate_of_another_number_of_signs_stops_the_run(tmp_path: Path) -> None:
    good, _ = mixed(tmp_path, 2)
    with pytest.raises(ModelError, match=r"the gate gave an array of shape \(2, 5\) for 2 pictures and 6 signs"):
        rows_with_gate(tmp_path, good, gated(judge=lambda planes: by_corner(planes)[:, :5]))
