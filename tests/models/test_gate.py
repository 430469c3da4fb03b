import numpy as np
import pytest

from cxr.inference.gate import SCORES, Sign
from cxr.models.gate import LEARNED, Whitening, build, with_scores

SIDE = 32
STILL = {"training": False}  # or Keras's Resizing makes batch normalisation learn
NOISE = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 1)).astype(np.uint8)


@pytest.fixture(scope="module", autouse=True)
def _pinned(pinned_tensorflow):
    """Every test here runs TensorFlow."""


def test_a_gate_of_64_pixels_takes_less_than_ten_million_operations():
    from cxr.training.train import gflop

    assert 0 < gflop(build(128, 64, 0.0)) < 0.01


def test_the_same_weights_serve_planes_of_another_side():
    small, large = build(SIDE, SIDE, 0.0), build(2 * SIDE, SIDE, 0.0)
    large.set_weights(small.get_weights())
    expected, found = small(NOISE, **STILL), large(NOISE.repeat(2, axis=1).repeat(2, axis=2), **STILL)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-4, err_msg=name)


def test_scores_are_probabilities_and_the_larger_distance():
    model = build(SIDE, SIDE, 0.0)
    said = {name: np.asarray(values, np.float64) for name, values in model(NOISE, **STILL).items()}
    whitenings = [
        Whitening(np.eye(said[name].shape[1]) / scale, np.zeros(said[name].shape[1]))
        for name, scale in (("shallow", 2.0), ("deep", 3.0))
    ]
    scores = np.asarray(with_scores(model, *whitenings)(NOISE, **STILL)[SCORES])
    lengths = [np.linalg.norm(said["shallow"], axis=1) / 2, np.linalg.norm(said["deep"], axis=1) / 3]
    assert scores.shape == (len(NOISE), len(Sign))
    np.testing.assert_allclose(scores[:, : len(LEARNED)], 1 / (1 + np.exp(-said["logits"])), atol=1e-5)
    np.testing.assert_allclose(scores[:, -1], np.maximum(*lengths), rtol=1e-4)


def test_exposure_changes_no_score_but_inversion_does():
    model = build(SIDE, SIDE, 0.0)
    dim = NOISE // 2
    as_it_is, brighter, inverted = (
        np.asarray(model(planes, **STILL)["logits"]) for planes in (dim, dim + 100, 255 - dim)
    )
    np.testing.assert_allclose(brighter, as_it_is, atol=1e-3)
    assert np.abs(inverted - as_it_is).max() > 0.01
