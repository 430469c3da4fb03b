import numpy as np
import pytest

from cxr.core.errors import ModelError
from cxr.core.image import to_plane
from cxr.evaluation.audits.attention import (
    Enrichment,
    attention,
    enrichment,
    mean_similarity,
    randomised_network,
    similarity,
)
from cxr.inference.model_folder import packaged_folder
from cxr.inference.network import NETWORK_FILE, LinearHead, Network, class_maps, read_linear_head
from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom
from tests.evaluation.audits.exported import BIAS, HEAD, SIDE, export
from tests.evaluation.audits.toys import noise, outputs

PACKAGED = packaged_folder() / NETWORK_FILE


def halves(tmp_path, **kinds):
    network = Network(export(tmp_path / "network.xml", **kinds))
    planes = noise(5, side=SIDE)
    return tmp_path / "network.xml", network, planes, network.predict(planes)


@pytest.mark.parametrize("transposed", [False, True])
def test_the_head_is_read_from_the_graph(tmp_path, transposed):
    xml, _, _, said = halves(tmp_path, transposed=transposed)
    head = read_linear_head(xml, said.features, said.logits)
    assert np.array_equal(head.weights, HEAD)
    assert np.array_equal(head.bias, BIAS)


def test_a_head_without_bias_has_one_of_zeros(tmp_path):
    xml, _, _, said = halves(tmp_path, bias=False)
    assert read_linear_head(xml, said.features, said.logits).bias.tolist() == [0, 0, 0]


def test_the_head_of_the_packaged_network_gives_its_logits():
    said = Network(PACKAGED).predict(noise(4, side=128))
    head = read_linear_head(PACKAGED, said.features, said.logits)
    assert head.weights.shape == (said.features.shape[1], 3)
    assert said.features @ head.weights + head.bias == pytest.approx(said.logits, abs=1e-4)


def test_the_head_of_another_network_is_refused(tmp_path):
    xml, _, _, said = halves(tmp_path)
    with pytest.raises(ModelError, match="differs from the saved logits"):
        read_linear_head(xml, said.features, said.logits + np.float32(0.1))
    with pytest.raises(ModelError, match=r"ends in a layer of shape \(2, 3\); expected \(7, 3\)"):
        read_linear_head(xml, np.zeros((5, 7), np.float32), said.logits)


def test_a_network_without_a_linear_end_is_refused(tmp_path):
    xml, _, _, said = halves(tmp_path, linear=False)
    with pytest.raises(ModelError, match="stands Relu where MatMul was expected"):
        read_linear_head(xml, said.features, said.logits)
    (tmp_path / "broken.xml").write_text("no")
    with pytest.raises(ModelError, match="no network with an output named logits"):
        read_linear_head(tmp_path / "broken.xml", said.features, said.logits)


def test_a_map_is_the_rectified_weighted_sum_of_the_feature_maps(tmp_path):
    _, network, _, _ = halves(tmp_path)
    lit = np.full((3, SIDE, SIDE), 255, np.uint8)
    maps = class_maps(network, LinearHead(HEAD, BIAS), lit, np.array([0, 1, 2]))
    left, right = slice(0, SIDE // 2), slice(SIDE // 2, SIDE)
    # Class 0 weighs the left half 2 and the right -1: rectified and divided by the largest value.
    assert (maps[0][:, left] == 1).all()
    assert (maps[0][:, right] == 0).all()
    assert (maps[1][:, right] == 1).all()
    assert maps[2][:, right] == pytest.approx(0.5)


def test_what_no_feature_speaks_for_has_a_blank_map(tmp_path):
    _, network, _, _ = halves(tmp_path)
    against = LinearHead(-np.ones((2, 3), np.float32), BIAS)
    assert not class_maps(network, against, noise(2, side=SIDE), np.array([0, 1])).any()


def test_maps_add_up_to_the_logits_before_they_are_rectified():
    """Grad-CAM's premise: the class score is the mean of the map plus the bias."""
    said = Network(PACKAGED).predict(noise(3, side=128))
    head = read_linear_head(PACKAGED, said.features, said.logits)
    sums = np.einsum("nhwd,dk->nhwk", said.feature_map, head.weights).mean(axis=(1, 2)) + head.bias
    assert sums == pytest.approx(said.logits, abs=1e-3)


def test_random_weights_follow_from_the_seed_and_change_the_answer():
    planes = noise(3, side=128)
    first, again, other = (randomised_network(PACKAGED, seed).logits(planes) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
    assert not np.allclose(first, Network(PACKAGED).logits(planes), atol=0.5)


def test_blank_maps_and_those_that_are_not_finite_are_not_compared():
    maps = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)
    trained, drawn = maps.copy(), maps.copy()
    trained[1] = 0
    drawn[2] = np.nan
    assert mean_similarity(trained, drawn) == pytest.approx(1)
    assert mean_similarity(trained[1:], drawn[1:]) is None


def test_energy_in_the_lungs_is_counted_by_area():
    test = outputs([0, 0, 1, 2])
    masks, maps = np.zeros((4, 8, 8), np.bool_), np.zeros((4, 8, 8), np.float32)
    masks[:3, :, :4] = True  # half the picture; the last image has no mask
    maps[0, :, :4] = 1  # all inside: 2
    maps[1] = 1  # everywhere: 1
    maps[2, :, 4:] = 0.5  # all outside: 0
    maps[3] = 1
    assert enrichment(test, maps, masks) == (
        Enrichment("covid", 2, 1.5),
        Enrichment("normal", 1, 0.0),
        Enrichment("viral_pneumonia", 0, None),
    )


def phantoms():
    films = [draw_phantom(finding, (patient,), 0) for finding in list(Finding)[:3] for patient in (1, 2, 3)]
    planes = np.stack([to_plane(film.luminance, 128) for film in films])
    return planes, np.stack([to_plane(film.lungs, 128) > 127 for film in films])


def test_the_maps_of_the_packaged_network_change_with_its_weights():
    planes, masks = phantoms()
    network = Network(PACKAGED)
    said = network.predict(planes)
    test = outputs(np.repeat([0, 1, 2], 3), logits=said.logits, features=said.features)
    head = read_linear_head(PACKAGED, said.features, said.logits)
    found = attention(PACKAGED, network, head, test, planes, masks, seed=1)
    assert 0 < found.similarity_randomised < 0.5
    assert found.void is False
    assert found.cells == (6, 6)
    assert [row.n for row in found.inside] == [3, 3, 3]
    assert all(row.enrichment_median > 0 for row in found.inside)
    assert attention(PACKAGED, network, head, test, planes, None, seed=1).inside is None
    assert found == attention(PACKAGED, network, head, test, planes, masks, seed=1)


def test_maps_that_do_not_depend_on_the_weights_are_void(tmp_path):
    """Halves of which only one is ever lit: whatever the weights, the map is that half."""
    xml, network, planes, _ = halves(tmp_path)
    planes = np.repeat(planes, 8, axis=0)
    planes[:, :, SIDE // 2 :] = 0
    said = network.predict(planes)
    test = outputs(np.zeros(len(planes), int), logits=said.logits, features=said.features)
    found = attention(xml, network, LinearHead(np.abs(HEAD), BIAS), test, planes, None, seed=1)
    assert found.similarity_randomised > 0.5
    assert found.void is True


def test_equal_maps_have_a_similarity_of_one_and_opposite_ones_hardly_any():
    one = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    assert similarity(one, one) == pytest.approx(1, abs=1e-9)
    assert similarity(one, 1 - one) < 0
    assert similarity(one, np.random.default_rng(1).random((32, 32)).astype(np.float32)) < 0.1
    assert similarity(one, one * 0.9) > 0.9
