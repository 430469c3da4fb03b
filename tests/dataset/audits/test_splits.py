"""No file is lost without a word."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import DataError
from cxr.core.manifest import data_fingerprint
from cxr.core.records import Result
from cxr.dataset.audits.splits import (
    check_flow,
    leak_across_splits,
    read_flow,
    release_flow,
    sample_flow,
    split_hygiene,
)
from cxr.dataset.sampling import SplitParams, assign_splits
from tests.dataset.test_sampling import table_with_families
from tests.tables import manifest

DEFAULT = SplitParams(test=0.2, validation=0.16)


def test_no_group_is_shared_in_200_seeds_and_classes_keep_their_proportion_to_one_group():
    table = manifest({"covid": 25, "normal": 25})
    table["patient"] = [f"p{i // 2}" if i % 3 else "" for i in range(50)]
    table.loc[40, "duplicate_group"] = table.loc[31, "duplicate_group"]
    records = [split_hygiene(assign_splits(table, DEFAULT, seed), seed) for seed in range(200)]
    assert records[0].values["groups"] == 41
    assert sum(record.values["shared_groups"] for record in records) == 0
    assert {record.result for record in records} == {"pass"}


def test_classes_of_unrelated_images_are_within_one_percent_in_every_split():
    table = manifest({"covid": 100, "normal": 100, "viral": 100})
    for seed in range(5):
        record = split_hygiene(assign_splits(table, DEFAULT, seed), seed)
        assert record.result == "pass"
        assert record.values["largest_deviation"] <= 0.01


def test_a_planted_copy_across_splits_fails():
    split = assign_splits(manifest({"covid": 50, "normal": 50}), DEFAULT, seed=1)
    train, test = (int(np.flatnonzero(split["split"] == name)[0]) for name in ("train", "test"))
    split.loc[test, "pixels_sha256"] = split.loc[train, "pixels_sha256"]
    record = leak_across_splits(split)
    assert record.result == "fail"
    assert record.fixable
    assert record.values == {"file": 0, "pixels_sha256": 1, "duplicate_group": 0, "patient": 0}
    assert "One value of pixels_sha256 is in more than one split" in record.found


def test_a_clean_split_passes_and_its_hash_is_that_of_the_models_data():
    split = assign_splits(table_with_families(), DEFAULT, seed=1)
    assert leak_across_splits(split).result == "pass"
    record = split_hygiene(split, 1)
    assert record.result == "pass"
    assert record.values["sha256"] == data_fingerprint(split)
    assert record.values["seed"] == 1


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (0, "None is in two splits: near duplicates kept together; patients unknown."),
        (30, "and patients where they are known, which is of 30 of 100 images."),
        (100, "None is in two splits: patients and near duplicates kept together."),
    ],
)
def test_of_patients_the_audit_says_no_more_than_is_known(known, said):
    table = manifest({"covid": 50, "normal": 50})
    table["patient"] = [f"p{i // 2}" if i < known else "" for i in range(100)]
    record = leak_across_splits(assign_splits(table, DEFAULT, seed=1))
    assert record.result == "pass"
    assert record.found.endswith(said)


def test_a_shared_group_and_an_empty_split_fail():
    split = assign_splits(manifest({"covid": 50, "normal": 50}), DEFAULT, seed=1)
    shared = split.assign(group=split["group"] // 2)
    assert split_hygiene(shared, 1).result == "fail"
    assert split_hygiene(split.assign(split="train"), 1).result == "fail"


def test_a_class_out_of_proportion_warns():
    split = assign_splits(manifest({"covid": 50, "normal": 50}), DEFAULT, seed=1)
    moved = split[(split["split"] == "test") & (split["label"] == "covid")].index[:6]
    split.loc[moved, "split"] = "train"
    assert split_hygiene(split, 1).result == "warn"


PREPARED = pd.DataFrame(
    {"file": [f"{i}.png" for i in range(6)], "label": ["a", "a", "a", "b", "b", "b"], "pixels_sha256": list("xxyzuv")}
)
SPLIT = PREPARED.iloc[[1, 2, 3, 4]].assign(split=["train", "validation", "train", "test"])


def steps(labels=None):
    labels = labels or dict(zip(PREPARED["file"], PREPARED["label"], strict=True)) | {"broken.png": "a"}
    return [*release_flow(labels, {"broken.png": "truncated"}, {"opacity": 2}), *sample_flow(PREPARED, SPLIT)]


def result(flow, prepared=PREPARED, split=SPLIT):
    record = check_flow(flow, prepared, split)
    return record.result, record.found


def test_a_whole_flow_passes_and_says_how_many_are_used():
    assert result(steps()) == (
        Result.PASS,
        "The data have 9 files; 4 are used, and of every other one it is known why not.",
    )


def test_a_report_of_other_data_fails():
    labels = dict(zip(PREPARED["file"], "aabbbb", strict=True)) | {"broken.png": "a"}
    failed, found = result(steps(labels))
    assert failed == Result.FAIL
    assert "the readable files are not those of the manifest" in found


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_step_that_hides_a_loss_fails(number):
    flow = steps()
    flow[number] = replace(flow[number], dropped=flow[number].dropped - 1)
    failed, found = result(flow)
    assert failed == Result.FAIL
    assert flow[number].step in found


def test_a_row_that_the_manifest_does_not_have_fails():
    foreign = SPLIT.assign(file=["1.png", "2.png", "3.png", "foreign.png"])
    assert "foreign.png is in the split" in result(steps(), split=foreign)[1]


def test_every_step_says_what_is_left_and_why_the_rest_is_not():
    labels = {f"covid/{i}.png": "covid" for i in range(5)} | {f"normal/{i}.png": "normal" for i in range(1, 7)}
    unreadable = {f"normal/{i}.png": "empty_file: the file has no bytes" for i in range(2, 7)}
    flow = release_flow(labels, unreadable, {"opacity": 9})
    assert [(step.images, step.dropped) for step in flow] == [
        ({"covid": 5, "normal": 6, "opacity": 9}, 0),
        ({"covid": 5, "normal": 6}, 9),
        ({"covid": 5, "normal": 1}, 5),
    ]
    assert flow[1].why == "class left aside: opacity"
    assert flow[2].why == ("empty_file: the file has no bytes: normal/2.png, normal/3.png, normal/4.png and 2 more")


def test_dropped_images_are_the_differences_between_the_steps():
    prepared = manifest({"covid": 10, "normal": 14})
    prepared.loc[[1, 2], "pixels_sha256"] = prepared.loc[0, "pixels_sha256"]
    split = prepared.drop(index=[1, 2]).groupby("label").head(8).assign(split=["train"] * 8 + ["test"] * 8)
    flow = sample_flow(prepared, split)
    totals = [sum(step.images.values()) for step in flow]
    assert [step.step for step in flow] == ["distinct", "balanced", "train", "validation", "test"]
    assert totals == [22, 16, 8, 0, 8]
    assert [step.dropped for step in flow] == [2, 6, 0, 0, 0]
    assert flow[1].why == "drawn at random: 8 of each class"


def test_a_report_without_flow_is_named(tmp_path):
    (tmp_path / "data.json").write_text(json.dumps({"images": 3}))
    with pytest.raises(DataError, match=r"data\.json has no flow of the data"):
        read_flow(tmp_path / "data.json")
    with pytest.raises(DataError, match=r"none\.json has no flow of the data"):
        read_flow(tmp_path / "none.json")
