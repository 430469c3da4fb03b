"""What the small networks see: no margin, no overall exposure, and more filters where that is asked for."""

import numpy as np
import pytest

from tests import networks

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("pinned_tensorflow")]

PLANES = np.random.default_rng(0).integers(60, 180, (2, 64, 64, 1), np.uint8)


def build(name, **preprocessing):
    return networks.build(name, 64, 64, 3, 0.0, **preprocessing)


def logits(model, planes):
    return model(planes, training=False)["logits"].numpy()


@pytest.mark.parametrize("name", ["cnn1", "cnn3"])
def test_what_is_printed_in_the_margin_changes_no_answer(name):
    printed = PLANES.copy()
    printed[:, :6, :9] = 255
    blind, seeing = build(name, margin=0.1), build(name)
    np.testing.assert_array_equal(logits(blind, printed), logits(blind, PLANES))
    assert np.abs(logits(seeing, printed) - logits(seeing, PLANES)).max() > 1e-4


@pytest.mark.parametrize("name", ["cnn1", "cnn3"])
def test_overall_brightness_and_contrast_change_no_answer_of_a_standardising_network(name):
    fainter = (PLANES // 2 + 20).astype(np.uint8)  # of even numbers, so that nothing is rounded
    even = PLANES // 2 * 2
    standardising, plain = build(name, standardise=True), build(name)
    np.testing.assert_allclose(logits(standardising, fainter), logits(standardising, even), atol=2e-3)
    assert np.abs(logits(plain, fainter) - logits(plain, even)).max() > 1e-2


@pytest.mark.parametrize("name", ["cnn1", "cnn3"])
def test_an_image_of_one_grey_gives_finite_answers(name):
    assert np.isfinite(logits(build(name, standardise=True), np.full((1, 64, 64, 1), 7, np.uint8))).all()


@pytest.mark.parametrize("name", ["cnn1", "cnn3"])
def test_widening_multiplies_the_filters(name):
    narrow, plain, wide = (build(name, widen=factor).output["features"].shape[-1] for factor in (0.25, 1.0, 1.5))
    assert (narrow, wide) == (plain // 4 // 8 * 8, plain * 1.5)


@pytest.mark.parametrize("name", ["cnn1", "cnn3"])
def test_the_export_says_what_keras_says(name, tmp_path):
    from cxr.inference.network import Network
    from cxr.training.train import assert_agreement, export_network

    model = build(name, standardise=True, margin=0.1, widen=1.5)
    export_network(model, tmp_path)
    assert_agreement(model, Network(tmp_path / "network.xml"), PLANES[..., 0])
