import numpy as np
from PIL import Image

from cxr.training.pictures import FRAME, GAP, RIGHT, TILE, WRONG, confusion_picture, sample_sheet, spread

CLASSES = ("covid", "normal", "viral_pneumonia")


def one_hot(labels):
    return np.eye(3, dtype=np.float32)[labels]


def test_the_sample_is_spread_over_the_classes_and_through_each():
    labels = np.repeat([0, 1, 2], [100, 50, 2])
    chosen = spread(one_hot(labels), 16)
    assert np.bincount(labels[chosen]).tolist() == [7, 7, 2]
    assert len(set(chosen)) == 16
    assert {0, 99, 100, 149, 150, 151} <= set(chosen)


def test_a_small_validation_split_is_shown_whole_and_a_missing_class_is_no_fault():
    assert sorted(spread(one_hot([1, 0, 1]), 16)) == [0, 1, 2]


def test_a_frame_is_blue_where_the_answer_is_right_and_orange_where_it_is_wrong():
    planes = np.full((5, 32, 32), 200, np.uint8)
    sheet = sample_sheet(planes, np.array([0, 1, 2, 0, 1]), one_hot([0, 2, 2, 0, 1]), CLASSES)
    step = TILE + 2 * FRAME + GAP
    assert [tuple(sheet[GAP, GAP + step * k]) for k in range(4)] == [RIGHT, WRONG, RIGHT, RIGHT]
    assert (sheet[GAP + FRAME + 5, GAP + FRAME + 5] == 200).all()


def test_a_cell_is_as_dark_as_its_share_of_the_row():
    picture = confusion_picture(np.array([0, 0, 1, 2]), np.array([0, 0, 2, 2]), CLASSES)
    exact = (picture == RIGHT).all(axis=-1)
    # Three cells hold a whole row; the long name makes every cell about 110 pixels wide.
    assert 2.5 * 110**2 < exact.sum() < 3 * 110**2


def test_long_names_make_the_picture_wider_and_not_the_text_smaller():
    wide = confusion_picture(np.array([0]), np.array([1]), ("a" * 60, "b"))
    assert wide.shape[1] > 2 * confusion_picture(np.array([0]), np.array([1]), ("a", "b")).shape[1]
    Image.fromarray(wide)
