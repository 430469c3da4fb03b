"""Several networks as one: its logits are the mean of theirs, and all that works on a network works on it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cxr.core.errors import ModelError
from cxr.evaluation.audits.attention import randomised_network
from cxr.inference.ensemble import assert_mean, ensemble, probes, read_members, write_ensemble
from cxr.inference.model_folder import ScreeningModel, load_model
from cxr.inference.network import DESCRIPTION_FILE, NETWORK_FILE, class_maps, openvino_module, read_linear_head
from tests.ensembles import SIDE, member
from tests.evaluation.cases import description
from tests.imports import ROOT

PLANES = np.random.default_rng(5).integers(0, 256, (11, SIDE, SIDE), dtype=np.uint8)
FILES = (NETWORK_FILE, "network.bin", DESCRIPTION_FILE)


def two(models: Path) -> list[ScreeningModel]:
    """Write and read two members: maps of 4 and of 2 cells a side, one of them without a bias."""
    member(models, "cnn1", 1, cells=4, depth=5)
    member(models, "cnn3", 2, cells=2, depth=7, bias=False)
    return read_members([models / "cnn1", models / "cnn3"])


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> tuple[ScreeningModel, list[ScreeningModel]]:
    models = tmp_path_factory.mktemp("models")
    members = two(models)
    write_ensemble(models / "ensemble", ensemble(members))
    return load_model(models / "ensemble"), members


def test_logits_are_the_mean_of_the_members_and_their_own_are_beside_them(joined):
    model, members = joined
    said, own = model.network.predict(PLANES), [one.network.logits(PLANES) for one in members]
    assert np.abs(said.logits - np.mean(own, axis=0, dtype=np.float64)).max() <= 1e-5
    assert np.abs(own[0] - own[1]).max() > 0.1
    screened = model.network.screen(PLANES)
    assert np.array_equal(screened.logits, said.logits)
    assert np.array_equal(screened.members, said.members)
    assert screened.members.shape == (11, 2, 3)
    assert screened.members == pytest.approx(np.stack(own, axis=1), abs=1e-5)


def test_features_are_the_members_side_by_side_and_the_mean_of_the_map(joined):
    model, members = joined
    said, own = model.network.predict(PLANES), [one.network.predict(PLANES) for one in members]
    assert said.features == pytest.approx(np.concatenate([one.features for one in own], axis=1), abs=1e-5)
    assert said.feature_map.shape == (11, 4, 4, 12)
    assert said.feature_map.mean(axis=(1, 2)) == pytest.approx(said.features, abs=1e-5)


def test_a_smaller_map_is_enlarged_by_repetition(joined):
    model, members = joined
    found, small = (one.network.predict(PLANES).feature_map for one in (model, members[1]))
    assert found[..., 5:] == pytest.approx(small.repeat(2, axis=1).repeat(2, axis=2), abs=1e-5)


def test_head_maps_and_random_weights_work_on_it_as_on_any_network(joined):
    model, _ = joined
    xml, said = model.folder / NETWORK_FILE, model.network.predict(PLANES)
    head = read_linear_head(xml, said.features, said.logits)
    assert head.weights.shape == (12, 3)
    maps = class_maps(model.network, head, PLANES, said.logits.argmax(axis=1))
    assert maps.shape == (11, SIDE, SIDE)
    assert maps.max() == 1
    drawn = randomised_network(xml, 1).predict(PLANES)
    assert np.abs(drawn.features - said.features).max() > 0.01


def test_weights_stored_as_float16_are_rounded_and_all_works_on_them(joined, tmp_path):
    model, members = joined
    write_ensemble(tmp_path / "half", ensemble(members, "float16"))
    half = load_model(tmp_path / "half")
    whole, said = model.network.predict(PLANES), half.network.predict(PLANES)
    largest = np.abs(whole.logits).max()
    assert 0 < np.abs(said.logits - whole.logits).max() < 0.01 * largest
    sizes = [(folder / "network.bin").stat().st_size for folder in (half.folder, model.folder)]
    assert sizes[0] < 0.75 * sizes[1]
    assert half.description["params"]["ensemble"]["stored"] == "float16"
    head = read_linear_head(half.folder / NETWORK_FILE, said.features, said.logits)  # proves the layer on these logits
    assert class_maps(half.network, head, PLANES, said.logits.argmax(axis=1)).max() == 1
    drawn = randomised_network(half.folder / NETWORK_FILE, 1).predict(PLANES)
    assert np.abs(drawn.features - said.features).max() > 0.01
    assert half.network.logits(PLANES[:3]).tobytes() == said.logits[:3].tobytes()


def test_the_description_is_that_of_a_model_with_sums_and_what_each_member_has(joined):
    model, _ = joined
    found, one = model.description, description()
    assert (found["name"], model.members) == ("ensemble", ("cnn1", "cnn3"))
    assert (found["parameters"], found["gflop_per_image"]) == (2 * one["parameters"], 2 * one["gflop_per_image"])
    assert found["training"] == {
        "epochs": None, "best_epoch": None, "members": dict.fromkeys(("cnn1", "cnn3"), one["training"]),
    }  # fmt: skip
    assert found["params"] == {
        "seed": 7, "train_cnn1": {"epochs": 1}, "train_cnn3": {"epochs": 2},
        "ensemble": {"members": ["cnn1", "cnn3"], "stored": "float32"},
    }  # fmt: skip
    assert (found["initialisation"], found["data"], found["side"]) == ("random", one["data"], SIDE)
    assert not model.network_sha256.startswith("0" * 12)
    assert set(description()) <= set(found)


def test_equal_members_give_equal_bytes_in_another_process_and_folder(joined, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    two(elsewhere / "models")
    (elsewhere / "params.yaml").write_text("ensemble: {stored: float32}\n")
    command = [str(ROOT / "stages/ensemble.py"), "models/cnn1", "models/cnn3"]
    command += ["--params", "params.yaml", "--output", "models/ensemble"]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=elsewhere, env=os.environ | {"PYTHONHASHSEED": "3"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in FILES:
        assert (elsewhere / "models/ensemble" / name).read_bytes() == (joined[0].folder / name).read_bytes(), name
    assert sorted(path.name for path in (elsewhere / "models/ensemble").iterdir()) == sorted(FILES)


def test_three_members_weigh_a_third_each(tmp_path):
    for number, name in enumerate(("a", "b", "c")):
        member(tmp_path, name, number)
    made = ensemble(read_members([tmp_path / name for name in "abc"]))
    write_ensemble(tmp_path / "ensemble", made)
    network = load_model(tmp_path / "ensemble").network
    assert assert_mean(network, made) <= 1e-5
    own = [load_model(tmp_path / name).network.logits(PLANES) for name in "abc"]
    assert network.logits(PLANES) == pytest.approx(np.mean(own, axis=0), abs=1e-5)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("classes", {"classes": ["normal", "covid", "viral_pneumonia"]}),
        ("side of the planes", {"image_side": 32}),
        ("data", {"data": description()["data"] | {"sha256": "e" * 64}}),
    ],
)
def test_members_that_do_not_agree_are_refused(tmp_path, what, change):
    member(tmp_path, "cnn1", 1)
    member(tmp_path, "cnn3", 2, **change)
    with pytest.raises(ModelError, match=rf"differ in {what} \(cnn1: .*; cnn3: .*\); train them on one split table"):
        read_members([tmp_path / "cnn1", tmp_path / "cnn3"])


def test_an_absent_member_is_named(tmp_path):
    member(tmp_path, "cnn1", 1)
    with pytest.raises(ModelError, match="vgg16 is not a model folder"):
        read_members([tmp_path / "cnn1", tmp_path / "vgg16"])


def test_a_map_whose_cells_do_not_meet_the_others_is_enlarged_by_area(joined, tmp_path):
    """As cnn3 at 128 pixels and lite0 at 96 have 4 and 3 cells a side."""
    member(tmp_path, "cnn1", 1, cells=4)
    member(tmp_path, "cnn3", 2, cells=3, depth=7, bias=False)
    members = read_members([tmp_path / "cnn1", tmp_path / "cnn3"])
    write_ensemble(tmp_path / "ensemble", ensemble(members))
    said, large, small = (load_model(tmp_path / name).network.predict(PLANES) for name in ("ensemble", "cnn1", "cnn3"))
    assert said.feature_map.shape == (11, 4, 4, 12)
    assert said.feature_map[..., :5] == pytest.approx(large.feature_map, abs=1e-5)
    fine = small.feature_map.repeat(4, axis=1).repeat(4, axis=2)  # each new cell is the mean of 3 x 3 of these
    assert said.feature_map[..., 5:] == pytest.approx(fine.reshape(11, 4, 3, 4, 3, 7).mean(axis=(2, 4)), abs=1e-5)
    assert said.feature_map.mean(axis=(1, 2)) == pytest.approx(said.features, abs=1e-5)
    xml, meeting = tmp_path / "ensemble" / NETWORK_FILE, joined[0].folder / NETWORK_FILE
    assert randomised_constants(xml) == randomised_constants(meeting), "the grid is not drawn anew with the weights"


def randomised_constants(xml: Path) -> int:
    """Count what `randomised_network` takes for learned weights."""
    nodes = openvino_module().Core().read_model(str(xml)).get_ordered_ops()
    constants = [node for node in nodes if node.get_type_name() == "Constant" and node.get_element_type().is_real()]
    return sum(len(node.shape) >= 2 and node.data.size > 1 for node in constants)


def test_a_graph_that_says_something_else_is_not_written(tmp_path):
    made = ensemble(two(tmp_path))
    made.expected[0, 0, 0] += 0.01
    with pytest.raises(ModelError, match=r"differs from the mean of its members' logits by (1\.00|9\.9.)e-0"):
        write_ensemble(tmp_path / "ensemble", made)
    assert not (tmp_path / "ensemble").exists()


def test_probes_are_the_same_every_time_and_differ_from_one_another():
    first = probes(128)
    assert np.array_equal(first, probes(128))
    assert (first.dtype, first.shape) == (np.uint8, (16, 128, 128))
    assert len({plane.tobytes() for plane in first}) == 16


@pytest.mark.parametrize("names", [["cnn1"], ["cnn1", "cnn1"], ["cnn1", "cnn3", "cnn1"]])
def test_members_are_at_least_two_and_each_once(names, tmp_path):
    two(tmp_path)
    with pytest.raises(ModelError, match="needs at least two networks, each once; got cnn1"):
        read_members([tmp_path / name for name in names])
