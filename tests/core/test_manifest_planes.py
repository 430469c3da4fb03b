"""Which planes a network takes: those for all, or larger ones of its own."""

import numpy as np
import pytest

from cxr.core.errors import DataError, ParamsError
from cxr.core.manifest import network_planes, planes_of_side, write_planes
from cxr.core.params import ImageParams, plane_sides


def planes(count, side):
    return np.full((count, side, side), side, np.uint8)


@pytest.fixture
def prepared(tmp_path):
    write_planes(tmp_path, {128: planes(3, 128), 224: planes(3, 224)}, {"cnn1": 128, "vgg16": 224})
    return tmp_path


@pytest.mark.parametrize(
    ("image_side", "sides", "expected"),
    [
        (128, {"cnn1": 128, "vgg16": 48}, {"cnn1": 128, "vgg16": 128}),
        (224, {"cnn1": 128, "vgg16": 224}, {"cnn1": 128, "vgg16": 224}),
        (256, {"cnn1": 96, "vgg16": 160}, {"cnn1": 128, "vgg16": 160}),
        (64, {"cnn1": 64, "vgg16": 48}, {"cnn1": 64, "vgg16": 64}),
        (128, {"cnn1": 128, "vgg16": 224}, {"cnn1": 128, "vgg16": 128}),  # its stage refuses it
    ],
)
def test_planes_are_of_128_pixels_or_of_the_networks_own_side(image_side, sides, expected):
    values = {f"train_{name}": {"side": side} for name, side in sides.items()} | {
        "train_gate": {"side": 64},
        "train_lungs": {"side": 96},
    }
    assert plane_sides(values, ImageParams(side=image_side)) == expected


def test_a_side_that_is_no_number_is_named():
    with pytest.raises(ParamsError, match=r"train_vgg16\.side: input should be a valid integer"):
        plane_sides({"train_vgg16": {"side": "large"}}, ImageParams(side=224))


@pytest.mark.parametrize(
    ("name", "own", "taken"), [("cnn1", 128, 128), ("vgg16", 224, 224), ("vgg16", 64, 128), ("lite0", 120, 128)]
)
def test_a_network_takes_the_smallest_that_are_large_enough(prepared, name, own, taken):
    assert network_planes(prepared, name, own).shape == (3, taken, taken)


def test_planes_are_found_by_their_side(prepared):
    assert [planes_of_side(prepared, side).shape for side in (128, 224)] == [(3, 128, 128), (3, 224, 224)]
    with pytest.raises(DataError, match="planes of 128 and 224 pixels, and a network takes 160; run: dvc repro"):
        planes_of_side(prepared, 160)
