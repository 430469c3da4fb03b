"""What people and DVC read; and the folder that screens: a network, its decisions, and a description of both."""

import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxr.core.errors import ModelError, OutputError
from cxr.core.files import read_json, sha256_of, write_json
from cxr.core.records import from_json, parts
from cxr.evaluation.candidates import read_candidate
from cxr.evaluation.records import Report
from cxr.evaluation.report import metrics_json, top_metrics
from cxr.evaluation.reporting.model_card import render_card
from cxr.evaluation.write import (
    SIDE,
    describe_screening,
    learning_curves_table,
    model_files,
    overlay,
    predictions_table,
    reliability_table,
    risk_coverage_table,
    roc_table,
    thumbnail,
    write_card,
    write_reports,
    write_saved_outputs,
    write_screening,
)
from cxr.inference.decisions import parse_decisions
from cxr.inference.gate import gate_fingerprint
from cxr.inference.lungs import LUNGS, LUNGS_FILES, lungs_fingerprint
from cxr.inference.model_folder import load_model, load_model_lungs
from tests.evaluation.cases import (
    CLASSES,
    PARAMS,
    PIPELINE,
    candidate,
    judged,
    planes,
    read_outputs,
    split_table,
    trained,
)
from tests.evaluation.reporting.fake import pictures, report
from tests.evaluation.toy_gates import toy_gate, toy_lungs


@pytest.fixture(scope="module")
def two():
    return [candidate("cnn1"), candidate("vgg16", seed=2)]


@pytest.fixture(scope="module")
def models():
    return report(2).models


def test_predictions_have_a_row_for_each_model_and_test_image(two):
    table = predictions_table(two)
    assert table.columns.tolist() == [
        "model", "file", "actual", "predicted", *(f"probability_{c}" for c in CLASSES),
        "prediction_set", "decision", "refer_reason", "reason", "flags",
    ]  # fmt: skip
    assert table["model"].tolist() == ["cnn1"] * 30 + ["vgg16"] * 30
    assert table["file"].tolist() == [*two[0].test.files] * 2
    assert [CLASSES.index(label) for label in table["actual"]] == [*two[0].test.truth] * 2
    assert table.index.tolist() == list(range(60))


def test_probabilities_of_the_table_are_the_calibrated_ones_with_six_decimals(two):
    table = predictions_table(two)
    values = table[[f"probability_{label}" for label in CLASSES]].to_numpy()
    assert values[:30] == pytest.approx(two[0].probabilities, abs=5e-7)
    assert np.array_equal(values, values.round(6))
    assert not np.allclose(values[:30], values[30:])
    largest = [CLASSES[number] for number in two[1].probabilities.argmax(axis=1)]
    assert table["predicted"].tolist()[30:] == largest


def test_decisions_of_the_table_are_those_of_the_bulk_command_and_rejected_images_have_none(two):
    one = replace(two[0], judged=judged({0: "not_a_radiograph"}, {1: ("cropped", "out_of_distribution")}, two[0]))
    table = predictions_table([one])
    assert table.loc[0, ["prediction_set", "decision", "refer_reason", "reason"]].tolist() == [
        "", "", "", "not_a_radiograph",
    ]  # fmt: skip
    assert table.loc[0, "predicted"] in CLASSES
    assert table.loc[1, ["decision", "refer_reason", "flags"]].tolist() == [
        "refer", "out_of_distribution", "cropped out_of_distribution",
    ]  # fmt: skip
    plain = one.decisions.decide(one.probabilities, one.decisions.default_point)
    assert table["decision"].tolist()[2:] == [decision.word for decision in plain][2:]
    assert table["prediction_set"].tolist()[1:] == [" ".join(d.classes) or "empty" for d in plain][1:]
    assert table["reason"].tolist()[1:] == [""] * 29


def test_an_ensemble_has_no_learning_curve(two):
    joined = replace(two[1], history=None)
    assert learning_curves_table([two[0], joined])["model"].tolist() == ["cnn1", "cnn1"]


def test_learning_curves_have_a_row_for_each_model_and_epoch(two):
    table = learning_curves_table(two)
    assert table.columns.tolist() == ["model", "epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert table[["model", "epoch"]].to_numpy().tolist() == [["cnn1", 1], ["cnn1", 2], ["vgg16", 1], ["vgg16", 2]]


def test_a_curve_s_table_holds_every_point_of_the_report_and_no_other(models):
    roc = roc_table(models)
    assert roc.columns.tolist() == ["model", "class", "fpr", "tpr"]
    for model in models:
        for curve in model.roc:
            rows = roc[(roc["model"] == model.name) & (roc["class"] == curve.label)]
            assert (tuple(rows["fpr"]), tuple(rows["tpr"])) == (curve.fpr, curve.tpr)
    assert len(roc) == sum(len(curve.fpr) for model in models for curve in model.roc)


def test_the_other_tables_name_the_model_and_the_columns_that_dvc_plots(models):
    reliability, risk = reliability_table(models), risk_coverage_table(models)
    assert reliability.columns.tolist() == ["model", "confidence", "accuracy", "low", "high", "n"]
    assert risk.columns.tolist() == ["model", "coverage", "risk"]
    assert reliability.loc[10].to_dict() == {"model": "cnn3"} | parts(models[1].calibration.reliability[0])
    assert risk.loc[101].to_dict() == {"model": "cnn3"} | parts(models[1].selective.curve[0])


FILES = [
    "environment.json",
    "figures/confusion.png",
    "figures/learning_curves.png",
    "learning_curves.csv",
    "measures.json",
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


def test_of_an_evaluation_of_other_networks_before_no_metrics_and_pictures_are_left(tmp_path):
    for name in ("metrics/resnet50.json", "plots/old.csv", "figures/old.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("{}")
    assert files(write(tmp_path)) == FILES


def test_an_evaluation_that_cannot_be_written_leaves_the_metrics_of_the_one_before(tmp_path, monkeypatch):
    before = {name: (write(tmp_path) / name).read_bytes() for name in FILES}

    def fail(*_):
        raise OutputError("no space")

    monkeypatch.setattr("cxr.evaluation.write.draw_learning_curves", fail)
    whole = report(1)
    with pytest.raises(OutputError, match="no space"):
        write_reports(tmp_path, [candidate("cnn1", seed=5)], whole, pictures(whole))
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_equal_results_give_equal_bytes(written, tmp_path):
    again = write(tmp_path)
    for name in FILES:
        assert (again / name).read_bytes() == (written / name).read_bytes(), name


def test_the_report_is_the_json_and_metrics_are_cut_from_it(written):
    whole = json.loads((written / "report.json").read_text())
    assert from_json(Report, whole) == report(2)
    models = report(2).models
    assert json.loads((written / "measures.json").read_text()) == {one.name: metrics_json(one) for one in models}
    for model in models:
        metrics = json.loads((written / f"metrics/{model.name}.json").read_text())
        assert metrics == top_metrics(model, "covid_sens95")


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


PLANE = np.tile(np.arange(128, dtype=np.uint8), (128, 1))


def opened(data):
    image = Image.open(BytesIO(data))
    assert image.format == "PNG"
    assert image.size == (SIDE, SIDE)
    return image


def test_a_thumbnail_is_the_film_in_grey_without_anything_beside_the_pixels():
    image = opened(thumbnail(PLANE))
    assert image.mode == "L"
    assert image.info == {}
    assert np.abs(np.asarray(image.resize((128, 128))).astype(int) - PLANE).max() <= 2


def test_an_overlay_is_coloured_where_the_map_is_high_and_nearly_grey_elsewhere():
    cam = np.zeros((8, 8), np.float32)
    cam[2, 2] = 3.0
    pixels = np.asarray(opened(overlay(PLANE, cam)).convert("RGB")).astype(int)
    colour = pixels.max(axis=-1) - pixels.min(axis=-1)
    assert colour[50, 50] > 80
    assert colour[120:].max() <= 8
    assert pixels[50, 50, 0] > pixels[50, 50, 2]  # the ramp ends in red


def test_a_blank_map_leaves_the_film_as_it_is():
    pixels = np.asarray(opened(overlay(PLANE, np.zeros((4, 4), np.float32))).convert("RGB")).astype(int)
    plain = np.asarray(opened(thumbnail(PLANE))).astype(int)
    assert np.abs(pixels - plain[..., None]).max() <= 4


def test_equal_films_give_equal_bytes_and_small_ones():
    cam = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    assert overlay(PLANE, cam) == overlay(PLANE.copy(), cam.copy())
    assert thumbnail(PLANE) == thumbnail(PLANE.copy())
    assert max(len(overlay(PLANE, cam)), len(thumbnail(PLANE))) < 30_000


VALUES = PIPELINE | {"classes": ["covid"], "evaluate": {}, "seed": 7}


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    table = split_table(20)
    folder = trained(tmp_path_factory.mktemp("models") / "cnn1")
    return read_candidate(folder, table, lambda _: planes(table), PARAMS)


@pytest.fixture
def screening(chosen, tmp_path):
    write_screening(tmp_path / "screening", chosen, report(1), VALUES)
    return tmp_path / "screening"


def test_the_folder_is_whole_and_loads_with_its_decisions(screening, chosen):
    assert sorted(path.name for path in screening.iterdir()) == [
        "decisions.json", "model.json", "network.bin", "network.xml",
    ]  # fmt: skip
    model = load_model(screening)
    assert model.description["decisions"] == {"sha256": sha256_of(screening / "decisions.json")}
    assert read_json(screening / "decisions.json") == json.loads(json.dumps(chosen.decided))
    assert model.network_sha256 == chosen.model.network_sha256 == model.decisions.network
    assert model.operating_point == "covid_sens95"


def test_the_gate_is_copied_named_by_its_bytes_and_loads(chosen, tmp_path):
    gate = toy_gate(tmp_path / "gate", chosen.model.plane_side)
    description = write_screening(tmp_path / "screening", chosen, report(1), VALUES, gate)
    assert sorted(path.name for path in (tmp_path / "screening").iterdir()) == [
        "decisions.json", "gate.bin", "gate.json", "gate.xml", "model.json", "network.bin", "network.xml",
    ]  # fmt: skip
    model = load_model(tmp_path / "screening")
    assert description["gate"] == model.description["gate"] == {"sha256": gate_fingerprint(gate)}
    assert model.gate.sha256 == gate_fingerprint(gate)
    write_screening(tmp_path / "screening", chosen, report(1), VALUES)
    assert files(tmp_path / "screening") == ["decisions.json", "model.json", "network.bin", "network.xml"]


def test_the_lung_segmenter_is_copied_named_by_its_bytes_and_loads(chosen, tmp_path):
    lungs = toy_lungs(tmp_path / "lungs", chosen.model.plane_side)
    description = write_screening(tmp_path / "screening", chosen, report(1), VALUES, lungs=lungs)
    assert description[LUNGS] == {"sha256": lungs_fingerprint(lungs), "held_out": []}
    assert load_model_lungs(tmp_path / "screening", description).sha256 == lungs_fingerprint(lungs)
    assert f"- Lung segmenter SHA-256 `{lungs_fingerprint(lungs)}`" in render_card(description)
    assert "## Lung segmenter" not in render_card(description)
    row = {"source": "north", "films": 9, "dice": 0.95, "lowest_dice": 0.9, "box_wrong": 0.1}
    measured = description | {LUNGS: description[LUNGS] | {"held_out": [row]}}
    assert "| north | 9 | 0.9500 | 0.9000 | 0.1000 |" in render_card(measured)
    assert set(LUNGS_FILES) < {path.name for path in model_files(tmp_path / "screening", description)}


def test_written_thresholds_decide_as_those_that_were_measured(screening, chosen):
    read, probabilities = load_model(screening).decisions, chosen.probabilities
    fitted = parse_decisions(chosen.decided)
    assert (read.probabilities(chosen.test.logits) == probabilities).all()
    for point in fitted.points:
        assert read.decide(probabilities, point) == fitted.decide(probabilities, point)


def test_the_description_names_params_of_the_whole_pipeline_and_what_was_measured(screening, chosen):
    description = load_model(screening).description
    assert description["params"] == PIPELINE | {"classes": ["covid"]} | chosen.model.description["params"]
    flat = metrics_json(report(1).models[0])
    assert {key: description["evaluation"][key] for key in flat} == flat
    assert description["evaluation"]["card"]["headline"] == report(1).verdict.headline


def test_equal_results_give_equal_bytes_over_an_older_folder(screening, chosen):
    before = {path: path.read_bytes() for path in screening.iterdir()}
    (screening / "decisions.json").write_text("older")
    write_screening(screening, chosen, report(1), VALUES)
    assert {path: path.read_bytes() for path in screening.iterdir()} == before


def test_altered_absent_and_foreign_decisions_are_refused(screening):
    path = screening / "decisions.json"
    form = read_json(path)
    write_json(path, form | {"temperature": form["temperature"] * 1.01})
    with pytest.raises(ModelError, match=r"decisions\.json has SHA-256 .* take the whole folder from one run"):
        load_model(screening)
    path.unlink()
    with pytest.raises(ModelError, match=r"decisions\.json cannot be read"):
        load_model(screening)
    write_json(path, form | {"network": "0" * 64})
    description = read_json(screening / "model.json")
    write_json(screening / "model.json", description | {"decisions": {"sha256": sha256_of(path)}})
    with pytest.raises(ModelError, match=r"was fitted for the network 000000000000\.\.\."):
        load_model(screening)


def test_phantoms_are_announced_in_the_card():
    one = candidate("cnn1")
    one.model.description["data"]["synthetic_images"] = 50
    assert "they mean nothing for patients" in render_card(describe_screening(one, report(1), VALUES))
    one.model.description["data"]["synthetic_images"] = 0
    assert "phantom" not in render_card(describe_screening(one, report(1), VALUES))
