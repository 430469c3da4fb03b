"""What a gate does to rows, with a stand-in whose scores are written into the pictures."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cxr.decisions import ReferReason
from cxr.errors import ModelError, Reason
from cxr.flags import Flag
from cxr.gate import Sign
from cxr.planes import Plane
from cxr.screening.engine import screen
from cxr.screening.rows import Row, Status
from tests.screening.drawings import save
from tests.screening.fakes import (
    LIMITS,
    SIDE,
    FakeGate,
    FakeModel,
    FakeNetwork,
    by_brightness,
    by_corner,
    deciding_model,
)
from tests.screening.works import candidates, rows_of

GOOD = (150, 90, 50)


def save_signed(folder: Path, name: str, *signs: Sign, levels: Sequence[int] = GOOD) -> str:
    """Save bars of SIDE x SIDE for which `by_corner` sees `signs`."""
    plane = np.tile(np.repeat(np.asarray(levels, np.uint8), -(-SIDE // len(levels)))[:SIDE], (SIDE, 1))
    for number, sign in enumerate(Sign, start=1):
        plane[number, 0] = 255 if sign in signs else 0
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(plane).save(folder / name)
    return name


def rows(folder: Path, names: Sequence[str], *models: FakeModel, workers: int = 2, batch: int = 8) -> list[Row]:
    batches = screen(candidates(*names), folder, models, workers, batch=batch)
    return rows_of([outcome for batch in batches for outcome in batch])


def one(folder: Path, name: str, *models: FakeModel) -> Row:
    (row,) = rows(folder, [name], *models)
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
    unusual, usual = rows(tmp_path, names, gated(), other)
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
    apart, together = rows(tmp_path, names, replace(deciding_model(), network=FakeNetwork(members=members)))
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
        rows(tmp_path, ["a.png"], replace(deciding_model(), network=wrong))


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
    found = rows(tmp_path, sorted([*good, *bad]), model, workers=workers, batch=batch)
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
    found = {row.path: row for row in rows(tmp_path, sorted([*good, guilty]), gated(judge=failing))}
    bad = found.pop(guilty)
    assert (bad.status, bad.reason, bad.detail) == (Status.ERROR, Reason.NETWORK, "the gate failed: no such thing")
    assert bad.answers == ()
    assert list(found.values()) == rows(tmp_path, good, gated())


def test_scores_that_are_no_numbers_are_never_a_pass(tmp_path: Path) -> None:
    good, _ = mixed(tmp_path, 2)
    row, other = rows(
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

    found = {row.path: row for row in rows(tmp_path, sorted([*good, guilty]), gated(judge=short))}
    assert found.pop(guilty).reason == Reason.MEMORY
    assert list(found.values()) == rows(tmp_path, good, gated())


def test_a_gate_of_another_number_of_signs_stops_the_run(tmp_path: Path) -> None:
    good, _ = mixed(tmp_path, 2)
    with pytest.raises(ModelError, match=r"the gate gave an array of shape \(2, 5\) for 2 pictures and 6 signs"):
        rows(tmp_path, good, gated(judge=lambda planes: by_corner(planes)[:, :5]))


def test_a_gate_sees_planes_of_its_own_side(tmp_path: Path) -> None:
    seen: list[tuple[int, ...]] = []

    def judge(planes: Plane) -> NDArray[np.float64]:
        seen.append(planes.shape)
        return np.zeros((len(planes), 6))

    good, _ = mixed(tmp_path, 3)
    assert rows(tmp_path, good, gated(judge=judge, plane_side=8)) == rows(
        tmp_path, good, gated(judge=lambda planes: np.zeros((len(planes), 6)))
    )
    assert seen == [(3, 8, 8)]
