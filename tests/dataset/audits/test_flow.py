import json

import pytest

from cxr.dataset.audits.flow import read_flow, release_flow, sample_flow
from cxr.errors import DataError
from tests.tables import manifest


def test_every_step_says_what_is_left_and_why_the_rest_is_not():
    labels = {f"covid/{i}.png": "covid" for i in range(5)} | {f"normal/{i}.png": "normal" for i in range(1, 7)}
    unreadable = {f"normal/{i}.png": "empty_file: the file has no bytes" for i in range(2, 7)}
    flow = release_flow(labels, unreadable, {"opacity": 9})
    assert [(step["images"], step["dropped"]) for step in flow] == [
        ({"covid": 5, "normal": 6, "opacity": 9}, 0),
        ({"covid": 5, "normal": 6}, 9),
        ({"covid": 5, "normal": 1}, 5),
    ]
    assert flow[1]["why"] == "class left aside: opacity"
    assert flow[2]["why"] == ("empty_file: the file has no bytes: normal/2.png, normal/3.png, normal/4.png and 2 more")


def test_dropped_images_are_the_differences_between_the_steps():
    prepared = manifest({"covid": 10, "normal": 14})
    prepared.loc[[1, 2], "pixels_sha256"] = prepared.loc[0, "pixels_sha256"]
    split = prepared.drop(index=[1, 2]).groupby("label").head(8).assign(split=["train"] * 8 + ["test"] * 8)
    flow = sample_flow(prepared, split)
    totals = [sum(step["images"].values()) for step in flow]
    assert [step["step"] for step in flow] == ["distinct", "balanced", "train", "validation", "test"]
    assert totals == [22, 16, 8, 0, 8]
    assert [step["dropped"] for step in flow] == [2, 6, 0, 0, 0]
    assert flow[1]["why"] == "drawn at random: 8 of each class"


def test_a_report_without_flow_is_named(tmp_path):
    (tmp_path / "data.json").write_text(json.dumps({"images": 3}))
    with pytest.raises(DataError, match=r"data\.json has no flow of the data"):
        read_flow(tmp_path / "data.json")
    with pytest.raises(DataError, match=r"none\.json has no flow of the data"):
        read_flow(tmp_path / "none.json")
