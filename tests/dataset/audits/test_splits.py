import numpy as np

from cxr.dataset.audits.splits import leak_across_splits, split_hygiene
from cxr.dataset.describing import data_fingerprint
from cxr.dataset.splitting import SplitParams, assign_splits
from tests.dataset.test_splitting import table_with_families
from tests.tables import manifest

DEFAULT = SplitParams(test=0.2, validation=0.16)


def test_no_group_is_shared_in_200_seeds_and_classes_keep_their_proportion_to_one_group():
    table = manifest({"covid": 25, "normal": 25})
    table["patient"] = [f"p{i // 2}" if i % 3 else "" for i in range(50)]
    table.loc[40, "duplicate_group"] = table.loc[31, "duplicate_group"]
    records = [split_hygiene(assign_splits(table, DEFAULT, seed), seed) for seed in range(200)]
    assert records[0]["values"]["groups"] == 41
    assert sum(record["values"]["shared_groups"] for record in records) == 0
    assert {record["result"] for record in records} == {"pass"}


def test_classes_of_unrelated_images_are_within_one_percent_in_every_split():
    table = manifest({"covid": 100, "normal": 100, "viral": 100})
    for seed in range(5):
        record = split_hygiene(assign_splits(table, DEFAULT, seed), seed)
        assert record["result"] == "pass"
        assert record["values"]["largest_deviation"] <= 0.01


def test_a_planted_copy_across_splits_fails():
    split = assign_splits(manifest({"covid": 50, "normal": 50}), DEFAULT, seed=1)
    train, test = (int(np.flatnonzero(split["split"] == name)[0]) for name in ("train", "test"))
    split.loc[test, "pixels_sha256"] = split.loc[train, "pixels_sha256"]
    record = leak_across_splits(split)
    assert record["result"] == "fail"
    assert record["fixable"]
    assert record["values"] == {"file": 0, "pixels_sha256": 1, "duplicate_group": 0, "patient": 0}
    assert "1 values of pixels_sha256 are in more than one split" in record["found"]


def test_a_clean_split_passes_and_its_hash_is_that_of_the_models_data():
    split = assign_splits(table_with_families(), DEFAULT, seed=1)
    assert leak_across_splits(split)["result"] == "pass"
    record = split_hygiene(split, 1)
    assert record["result"] == "pass"
    assert record["values"]["sha256"] == data_fingerprint(split)
    assert record["values"]["seed"] == 1


def test_a_shared_group_and_an_empty_split_fail():
    split = assign_splits(manifest({"covid": 50, "normal": 50}), DEFAULT, seed=1)
    shared = split.assign(group=split["group"] // 2)
    assert split_hygiene(shared, 1)["result"] == "fail"
    assert split_hygiene(split.assign(split="train"), 1)["result"] == "fail"


def test_a_class_out_of_proportion_warns():
    split = assign_splits(manifest({"covid": 50, "normal": 50}), DEFAULT, seed=1)
    moved = split[(split["split"] == "test") & (split["label"] == "covid")].index[:6]
    split.loc[moved, "split"] = "train"
    assert split_hygiene(split, 1)["result"] == "warn"
