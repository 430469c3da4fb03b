import json

import pandas as pd
import pytest

from cxr.evaluation.flat import flat_metrics
from cxr.evaluation.outputs import read_outputs
from cxr.evaluation.screening_model import describe_screening
from cxr.evaluation.writing import write_card, write_reports, write_saved_outputs
from tests.evaluation.cases import PIPELINE, candidate
from tests.evaluation.reporting.fake import pictures, report

FILES = [
    "environment.json",
    "figures/confusion.png",
    "figures/learning_curves.png",
    "learning_curves.csv",
    "metrics/cnn1.json",
    "metrics/cnn3.json",
    "plots/reliability.csv",
    "plots/risk_coverage.csv",
    "plots/roc.csv",
    "predictions.csv",
    "report.html",
    "report.json",
    "report.md",
]


def write(folder):
    whole = report(2)
    write_reports(folder, [candidate("cnn1"), candidate("cnn3", seed=2)], whole, pictures(whole))
    return folder


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write(tmp_path_factory.mktemp("reports"))


def test_every_file_is_there_and_none_besides(written):
    assert files(written) == FILES


def test_equal_results_give_equal_bytes(written, tmp_path):
    again = write(tmp_path)
    for name in FILES:
        assert (again / name).read_bytes() == (written / name).read_bytes(), name


def test_the_report_is_the_json_and_metrics_are_cut_from_it(written):
    whole = json.loads((written / "report.json").read_text())
    assert whole == json.loads(json.dumps(report(2)))
    for model in whole["models"]:
        metrics = json.loads((written / f"metrics/{model['name']}.json").read_text())
        assert metrics == flat_metrics(model)


def test_the_environment_of_each_training_is_kept_by_name(written):
    environments = json.loads((written / "environment.json").read_text())
    assert environments == {name: {"python": "3.11.7"} for name in ("cnn1", "cnn3")}


def test_tables_are_read_back_with_their_rows(written):
    assert len(pd.read_csv(written / "predictions.csv")) == 60
    assert len(pd.read_csv(written / "learning_curves.csv")) == 4
    assert pd.read_csv(written / "plots/roc.csv")["model"].unique().tolist() == ["cnn1", "cnn3"]


def test_figures_are_pictures_wide_enough_to_be_read(written):
    from PIL import Image

    for name, least in (("confusion", 700), ("learning_curves", 1000)):
        with Image.open(written / f"figures/{name}.png") as figure:
            assert figure.width > least
            assert "Software" not in figure.info


def test_saved_outputs_are_one_file_a_network(tmp_path):
    two = [candidate("cnn1"), candidate("cnn3", seed=2)]
    write_saved_outputs(tmp_path / "outputs", two)
    assert files(tmp_path) == ["outputs/cnn1.npz", "outputs/cnn3.npz"]
    again = read_outputs(tmp_path / "outputs/cnn3.npz")
    assert again.name == "cnn3"
    assert (again.logits == two[1].outputs.logits).all()


def test_the_card_puts_out_of_scope_first_and_states_the_figures_of_the_report(tmp_path):
    description = describe_screening(candidate("cnn1"), report(1), PIPELINE)
    write_card(tmp_path, description)
    card = (tmp_path / "model_card.md").read_text()
    assert [line for line in card.splitlines() if line.startswith("#")][1] == "## Out of scope"
    assert description["evaluation"]["card"]["headline"] in " ".join(card.split())
    assert description["network"]["sha256"] in card
