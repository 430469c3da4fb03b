import numpy as np
import pandas as pd
import pytest

from cxr.errors import DataError
from cxr.evaluation.material import read_material
from cxr.files import write_json
from cxr.manifest import write_images, write_table
from tests.evaluation.cases import planes, split_table


@pytest.fixture
def project(tmp_path):
    """Give what earlier stages leave; the table is in another order than the array."""
    table = split_table(5).iloc[::-1]
    write_table(tmp_path / "split.csv", table)
    write_images(tmp_path / "prepared/images.npy", planes(table))
    masks = np.zeros((15, 16, 16), np.uint8)
    masks[3, 2:5, 2:5] = 255
    write_images(tmp_path / "prepared/masks.npy", masks)
    write_table(tmp_path / "refits.csv", pd.DataFrame({"held_out": ["", "a"], "file": ["x", "y"]}))
    for name, id in (("data", "label_conflicts"), ("split", "leak_across_splits")):
        write_json(tmp_path / f"reports/{name}.json", {"audits": [{"id": id, "result": "pass"}]})
    return tmp_path


def read(project):
    return read_material(project / "prepared", project / "split.csv", project / "refits.csv", project / "reports")


def test_masks_are_those_of_the_table_s_rows(project):
    found = read(project)
    assert found.masks.dtype == np.bool_
    assert found.masks.any(axis=(1, 2)).nonzero()[0].tolist() == [11]
    assert found.table["index"].tolist()[11] == 3
    assert found.masks[11].sum() == 9


def test_a_release_without_masks_has_none(project):
    write_images(project / "prepared/masks.npy", np.zeros((0, 16, 16), np.uint8))
    assert read(project).masks is None


def test_sides_are_the_longer_ones_and_an_empty_cell_is_text(project):
    table = split_table(5)
    table.loc[0, ["width", "height"]] = [100, 500]
    write_table(project / "split.csv", table)
    assert read(project).sides.tolist()[:2] == [500, 299]
    assert read(project).refits["held_out"].tolist() == ["", "a"]


def test_audits_of_earlier_stages_keep_their_order_and_name_their_stage(project):
    assert [(one["stage"], one["id"]) for one in read(project).earlier_audits] == [
        ("prepare", "label_conflicts"),
        ("split", "leak_across_splits"),
    ]


@pytest.mark.parametrize(
    "name", ["refits.csv", "split.csv", "reports/data.json", "reports/split.json", "prepared/images.npy"]
)
def test_an_absent_input_says_what_to_run(project, name):
    (project / name).unlink()
    with pytest.raises(DataError, match="dvc repro"):
        read(project)


def test_a_report_that_is_no_json_is_refused(project):
    (project / "reports/split.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        read(project)


def test_a_release_without_a_source_to_hold_out_leaves_an_empty_table(project):
    (project / "refits.csv").write_text("held_out,file,actual,probability_covid\n")
    assert len(read(project).refits) == 0


def test_an_empty_file_of_refits_is_one_sentence(project):
    (project / "refits.csv").write_text("")
    with pytest.raises(DataError, match="cannot be read"):
        read(project)
