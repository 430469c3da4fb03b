import numpy as np
import pytest

from cxr.evaluation.audits.ssim import similarity


def test_equal_maps_have_a_similarity_of_one_and_opposite_ones_hardly_any():
    one = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    assert similarity(one, one) == pytest.approx(1, abs=1e-9)
    assert similarity(one, 1 - one) < 0
    assert similarity(one, np.random.default_rng(1).random((32, 32)).astype(np.float32)) < 0.1
    assert similarity(one, one * 0.9) > 0.9
