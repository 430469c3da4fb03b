import numpy as np
import pytest

from cxr.core.params import CommonParams
from cxr.models import AugmentParams, FineTunedParams, SmallParams, TransferParams
from tests.tables import manifest

SIDE = 32
NO_CHANGE = AugmentParams(rotation=0.0, shift=0.0, zoom=0.0, brightness=0.0, contrast=0.0)
RECIPE = {"side": SIDE, "epochs": 2, "patience": 2, "batch_size": 8, "learning_rate": 0.001, "augment": AugmentParams()}


@pytest.fixture(scope="session", autouse=True)
def _pinned(pinned_tensorflow):
    """Every test here may run TensorFlow."""


@pytest.fixture
def recipe():
    return SmallParams(**RECIPE)


@pytest.fixture
def transfer_recipe():
    return TransferParams(**RECIPE, weights="random")


@pytest.fixture
def fine_tuned_recipe():
    return FineTunedParams(**RECIPE, weights="random")


@pytest.fixture
def shared(pinned_tensorflow):
    return CommonParams(
        seed=3,
        classes=("bright", "dark"),
        runtime=pinned_tensorflow,
    )


@pytest.fixture(scope="session")
def films_once():
    """Give a split table and planes: forty bright and forty dark noise pictures of 32 pixels; not to be changed."""
    table = manifest({"bright": 40, "dark": 40})
    table["split"] = (["train"] * 24 + ["validation"] * 8 + ["test"] * 8) * 2
    noise = np.random.default_rng(0).integers(0, 100, (80, SIDE, SIDE))
    return table, (noise + np.repeat([140, 0], 40)[:, None, None]).astype(np.uint8)


@pytest.fixture
def bright_and_dark(films_once):
    """Give a copy of `films_once`."""
    return films_once[0].copy(), films_once[1].copy()
