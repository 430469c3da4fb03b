import numpy as np
import pytest

from cxr.dataset.describing import data_summary
from cxr.errors import ModelError
from cxr.evaluation.folds.asking import COLUMNS, ask
from cxr.evaluation.stats.temperature import fit_temperature
from cxr.files import read_json, write_json
from cxr.model_folder import load_model
from cxr.network import softmax
from tests.evaluation.cases import CLASSES, planes, split_table, trained


@pytest.fixture
def fold(tmp_path):
    """Give a network that says it was trained on a split table, and the table."""
    table = split_table(20)
    folder = trained(tmp_path / "cnn1")
    write_json(folder / "model.json", read_json(folder / "model.json") | {"data": data_summary(table)})
    return load_model(folder), table


def test_the_answers_are_the_test_split_calibrated_on_validation(fold):
    model, table = fold
    images = planes(table)
    said = ask(model, table, images, seed=8, fold=3)
    test = table[table["split"] == "test"]
    assert list(said.columns) == [*COLUMNS, *(f"probability_{label}" for label in CLASSES)]
    assert said["file"].tolist() == test["file"].tolist()
    assert said[["network", "seed", "fold"]].drop_duplicates().to_numpy().tolist() == [["cnn1", 8, 3]]

    validation = table[table["split"] == "validation"]
    truth = validation["label"].map(CLASSES.index).to_numpy()
    temperature = fit_temperature(model.network.logits(images[validation["index"]]), truth)
    expected = softmax(model.network.logits(images[test["index"]]) / temperature)
    assert said.filter(like="probability_").to_numpy() == pytest.approx(expected, abs=1e-8)
    assert np.unique(expected.round(6), axis=0).shape[0] > 1


def test_a_network_of_another_fold_is_not_asked(fold):
    model, table = fold
    other = table.assign(split=np.roll(table["split"], 1))
    with pytest.raises(ModelError, match=r"was trained on another split than that of fold 3 with seed 8"):
        ask(model, other, planes(table), seed=8, fold=3)
