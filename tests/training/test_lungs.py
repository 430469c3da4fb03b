import json

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import DataError
from cxr.core.image import to_plane
from cxr.core.params import CommonParams
from cxr.inference.lungs import LUNGS_FILES, load_lungs
from cxr.models import AugmentParams
from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom
from cxr.training.params import LungParams
from tests.tables import manifest

SIDE, FILMS = 64, 60


@pytest.fixture
def lungs():
    from cxr.training import lungs

    return lungs


@pytest.fixture
def split():
    """Twelve films in the split table, of fourteen patients and pictures in the manifest."""
    table = manifest({"covid": 6, "normal": 6}).assign(patient=[f"p{number}" for number in range(12)])
    return table.assign(group=range(12), split=["train", "train", "train", "train", "validation", "test"] * 2)


@pytest.fixture
def others(split):
    """The manifest: the split table's films, then forty of another hospital, two and two of one patient."""
    more = manifest({"normal": 52})[12:].assign(source="north", patient=[f"n{number // 2}" for number in range(40)])
    return pd.concat([split.drop(columns=["group", "split"]), more], ignore_index=True)


def masks_of(rows, numbers):
    masks = np.zeros((len(rows), 8, 8), np.uint8)
    masks[list(numbers), 2:5] = 255
    return masks


def test_films_with_a_mask_keep_their_split_and_those_of_no_split_are_held_out_by_patients(lungs, split, others):
    numbers = [*range(12), *range(20, 52)]
    found = lungs.films_with_masks(split, others, masks_of(others, numbers), LungParams(held_out=0.25), seed=4)
    assert found["index"].tolist() == numbers
    assert found["split"][:12].tolist() == split["split"].tolist()
    elsewhere = found[12:]
    assert set(elsewhere["split"]) == {"train", "test"}
    assert 2 <= (elsewhere["split"] == "test").sum() <= 14
    assert elsewhere.groupby("patient")["split"].nunique().max() == 1


def test_what_shows_a_film_or_a_patient_of_the_split_again_teaches_nothing(lungs, split, others):
    others.loc[20, "patient"], others.loc[30, "duplicate_group"] = "p5", 5
    found = lungs.films_with_masks(split, others, masks_of(others, range(52)), LungParams(), seed=4)
    assert set(range(52)) - set(found["index"]) == {20, 30}


def test_without_masks_in_a_split_it_is_one_sentence(lungs, split, others):
    with pytest.raises(DataError, match="no image of the split test has a lung mask"):
        lungs.films_with_masks(split, others[:12], masks_of(others, [0, 1, 4]), LungParams(), seed=4)


def test_dice_is_one_for_equal_masks_nought_for_disjoint_ones(lungs):
    masks = np.zeros((4, 4, 4), np.bool_)
    masks[0, :2], masks[1, 2:], masks[2, 1:3] = True, True, True
    assert lungs.dice_of(masks, masks[[0, 0, 0, 3]]).tolist() == [1.0, 0.0, 0.5, 1.0]


@pytest.mark.parametrize(("rows", "columns", "wrong"), [((2, 18), (2, 18), False), ((5, 18), (2, 18), True)])
def test_a_box_is_wrong_from_more_than_a_tenth_of_the_side_on(lungs, rows, columns, wrong):
    drawn, found = np.zeros((20, 20), np.bool_), np.zeros((20, 20), np.bool_)
    drawn[2:18, 2:18], found[slice(*rows), slice(*columns)] = True, True
    assert lungs.box_is_wrong(found, drawn) == wrong
    assert lungs.box_is_wrong(np.zeros_like(drawn), drawn)
    assert not lungs.box_is_wrong(np.zeros_like(drawn), np.zeros_like(drawn))


def test_figures_are_by_source(lungs):
    films = pd.DataFrame({"source": ["b", "a", "b"]})
    drawn = np.zeros((3, 20, 20), np.bool_)
    drawn[:, 4:16, 4:16] = True
    found = drawn.copy()
    found[0, :, 10:] = False
    assert lungs.measure(films, found, drawn) == [
        {"source": "a", "films": 1, "dice": 1.0, "lowest_dice": 1.0, "box_wrong": 0.0},
        {"source": "b", "films": 2, "dice": 0.833333, "lowest_dice": 0.666667, "box_wrong": 0.5},
    ]


def test_masks_move_as_their_films_do_and_exposure_leaves_them():
    import tensorflow as tf

    from cxr.training.augmentation import augmented, augmented_with_masks

    films = np.zeros((8, 32, 32, 1), np.uint8)
    films[:, 10:22, 8:18] = 200
    known, draw = (films > 0) * np.uint8(255), tf.constant([3, 5], tf.int64)
    moves = AugmentParams(brightness=0.0, contrast=0.0)
    moved, masks = augmented_with_masks(films, known, moves, draw)
    assert np.array_equal(moved, augmented(films, moves, draw))
    assert np.mean((np.asarray(moved) >= 100) == np.asarray(masks)) > 0.995  # a pixel of half may round either way
    assert not np.array_equal(masks[0], masks[1])
    assert np.array_equal(masks, augmented_with_masks(films, known, AugmentParams(), draw)[1])


@pytest.fixture(scope="module")
def drawn():
    """Give a table of phantoms, their planes and their lungs."""
    findings = (Finding.NONE, Finding.GROUND_GLASS)
    films = [draw_phantom(findings[number % 2], [number], 0) for number in range(FILMS)]
    planes, masks = (
        np.stack([to_plane(one, SIDE) for one in column])
        for column in ([film.luminance for film in films], [film.lungs for film in films])
    )
    table = manifest({"bright": FILMS // 2, "dark": FILMS // 2})
    table["split"] = (["train"] * 20 + ["validation"] * 5 + ["test"] * 5) * 2
    return table.assign(group=range(FILMS)), planes, np.where(masks > 127, np.uint8(255), np.uint8(0))


def train(lungs, drawn, runtime, folder, **params):
    table, planes, masks = drawn
    shared = CommonParams(seed=3, classes=("bright", "dark"), runtime=runtime)
    recipe = LungParams(side=SIDE, batch_size=8, **params)
    columns = table.drop(columns=["group", "split"])
    lungs.write_lungs(folder, lungs.train_lungs(table, columns, planes, masks, shared, recipe))
    return folder


@pytest.mark.long
@pytest.mark.slow
def test_a_trained_segmenter_finds_the_lungs_of_films_held_out_and_says_how_well(
    lungs, drawn, pinned_tensorflow, tmp_path
):
    folder = train(lungs, drawn, pinned_tensorflow, tmp_path / "lungs", epochs=25)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*LUNGS_FILES, "history.csv"])
    table, planes, masks = drawn
    test = (table["split"] == "test").to_numpy()
    found = load_lungs(folder).masks(planes[test])
    form = json.loads((folder / "lungs.json").read_text())
    (row,) = form["held_out"]
    assert row["films"] == 10
    assert row["dice"] == pytest.approx(lungs.dice_of(found, masks[test] > 0).mean(), abs=1e-6)
    assert row["dice"] > 0.8
    assert len(pd.read_csv(folder / "history.csv")) == form["training"]["epochs"] == 25


@pytest.mark.long
@pytest.mark.slow
def test_the_same_seed_and_data_give_the_same_weights(lungs, drawn, pinned_tensorflow, tmp_path):
    first, second = (
        (train(lungs, drawn, pinned_tensorflow, tmp_path / name, epochs=1) / "lungs.bin").read_bytes() for name in "ab"
    )
    assert first == second
