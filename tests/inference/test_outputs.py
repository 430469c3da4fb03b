import zipfile
from dataclasses import replace

import numpy as np
import pytest

from cxr.core.errors import DataError, ModelError
from cxr.inference.decisions import disagreeing
from cxr.inference.model_folder import load_model
from cxr.inference.outputs import NO_CLASS, run_network, write_outputs
from tests.evaluation.cases import CLASSES, planes, read_outputs, saved, split_table, trained


def same(first, second):
    if first.arrays.keys() != second.arrays.keys():
        return False
    pairs = ((first.arrays[name], second.arrays[name]) for name in first.arrays)
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


@pytest.fixture
def said():
    table = split_table(10)
    table["source"] = ["", "Hôpital", "clinic, a"] * 10
    return saved(table)


def test_what_was_written_is_read_back_with_its_types(said, tmp_path):
    write_outputs(tmp_path / "deep/cnn1.npz", said)
    again = read_outputs(tmp_path / "deep/cnn1.npz")
    assert (again.name, again.classes) == ("cnn1", CLASSES)
    assert same(again, said)
    assert again.logits.dtype == again.features.dtype == np.float32


def test_an_ensemble_s_members_are_kept_with_its_outputs_and_marked_where_they_differ(said, tmp_path):
    members = np.stack([said.logits, said.logits], axis=1)
    members[[2, 5], 1] = np.eye(3)[(said.logits[[2, 5]].argmax(axis=1) + 1) % 3]
    joined = replace(said, members=members)
    write_outputs(tmp_path / "ensemble.npz", joined)
    again = read_outputs(tmp_path / "ensemble.npz")
    assert same(again, joined)
    assert np.flatnonzero(disagreeing(again.members)).tolist() == [2, 5]
    assert said.members is None
    assert np.array_equal(again.of("test").members, members[again.split == "test"])


def test_equal_outputs_give_equal_bytes_that_hold_no_time(said, tmp_path):
    for name in ("a", "b"):
        write_outputs(tmp_path / name, said)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with zipfile.ZipFile(tmp_path / "a") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        # Other headers, for files over 4 GiB, are what NumPy writes or not by the patch level of Python.
        assert {entry.extract_version for entry in archive.infolist()} == {20}
    write_outputs(tmp_path / "b", replace(said, logits=said.logits + np.float32(1e-6)))
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


def test_a_split_is_its_own_rows_in_their_order(said):
    test = said.of("test")
    assert len(test) == 6
    assert set(test.split) == {"test"}
    assert test.files.tolist() == said.files[4::5].tolist()
    assert np.array_equal(test.logits, said.logits[4::5])
    assert (test.name, test.classes) == (said.name, said.classes)


def test_an_absent_split_says_which_and_what_to_run(said):
    with pytest.raises(DataError, match="no rows for test; run: dvc repro split"):
        said.of("train").of("test")


def test_the_network_is_run_on_the_plane_that_the_table_names(tmp_path):
    table = split_table(10).iloc[::-1].reset_index(drop=True)  # rows of the table are not rows of the array
    images = planes(table)
    said = run_network(load_model(trained(tmp_path / "cnn1")), table, images)
    half = images.shape[1] // 2
    left = images[table["index"], :, :half].sum(axis=(1, 2)) / images[0].size / 255
    assert said.features[:, 0] == pytest.approx(left, abs=1e-5)
    assert [CLASSES[number] for number in said.truth] == table["label"].tolist()
    assert said.files.tolist() == table["file"].tolist()
    assert said.logits.shape == (30, 3)


def test_blocks_change_no_output(tmp_path, monkeypatch):
    table = split_table(10)
    model, images = load_model(trained(tmp_path / "cnn1")), planes(table)
    whole = run_network(model, table, images)
    monkeypatch.setattr("cxr.inference.outputs.BLOCK", 7)
    assert same(run_network(model, table, images), whole)


def test_planes_of_another_side_are_refused_before_the_network_runs(tmp_path):
    table = split_table(5)
    model = load_model(trained(tmp_path / "cnn1"))
    with pytest.raises(ModelError, match="takes planes of 16 pixels, work/prepared has 20; run: dvc repro"):
        run_network(model, table, planes(table, side=20))


def test_films_of_no_class_are_asked_only_where_that_is_said(tmp_path):
    table, model = split_table(10), load_model(trained(tmp_path / "cnn1"))
    others, images = table.assign(label="tuberculosis"), planes(table)
    assert set(run_network(model, others, images, of_classes=False).truth) == {NO_CLASS}
    with pytest.raises(KeyError):
        run_network(model, others, images)
