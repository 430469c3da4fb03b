"""All stages one after the other, without DVC, on a few drawn films; then the bulk command."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from cxr.core.files import read_json
from cxr.core.records import as_json
from cxr.evaluation.audits import AUDITS
from cxr.evaluation.stats.decisions import fit_decisions
from cxr.evaluation.unseen import answered
from cxr.inference.gate import EXPOSURE_FLAGS, SIGN_FLAGS
from cxr.inference.model_folder import load_model, packaged_folder
from cxr.phantom.sample import write_sample
from tests.evaluation.cases import CLASSES, read_outputs
from tests.imports import ROOT
from tests.test_pipeline import NETWORKS, STAGES, networks, pipeline, resolved, script

pytestmark = pytest.mark.slow

SIDE, LARGER = 32, 48  # of all networks but one
BESIDE = ("train_gate", "train_lungs")
MEASURED = [Path(one).name for one in networks("release/dvc.yaml")]
RELEASED = [
    stage.removeprefix("train_")
    for file, stage in STAGES
    if file == "release/dvc.yaml" and stage.startswith("train_") and stage not in (*BESIDE, "train_teachers")
] + ["teachers/teacher_3", "teachers/teacher_5"]
GATE_FLAGS = EXPOSURE_FLAGS | SIGN_FLAGS


def command(file: str, name: str) -> list[str]:
    """Return the command of a stage as DVC would run it, with this Python and this checkout's script."""
    _python, _m, _module, *arguments = resolved(file, name, "cmd").split()
    return [sys.executable, str(ROOT / script(file, name)), *arguments]


WRITE_WHAT_IS_READ = """
import atexit, os, sys

place, read = os.path.join(os.getcwd(), ""), set()

def note(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if path.startswith(place) and arguments[2] & os.O_ACCMODE == os.O_RDONLY and os.path.isfile(path):
            read.add(path[len(place):])

sys.addaudithook(note)
atexit.register(lambda: open(os.environ["READ"], "a").writelines(f"{path}\\n" for path in sorted(read)))
"""


def succeeded(file, name, folder):
    """Run a stage; the files of the project that it read are then named in a file beside the project."""
    site = folder.with_name("site")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
        "READ": str(read_by(folder, file, name)),
    }
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(WRITE_WHAT_IS_READ)
    done = subprocess.run(command(file, name), cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{name}: {done.stderr}"


def read_by(folder, file, name):
    return folder.with_name(f"{Path(file).parent.name}.{name}.read")


def write_params(path, params):
    with path.open("w") as file:
        YAML().dump(params, file)


def evaluate(folder, before="", after="", file="release/dvc.yaml"):
    """Run the stage in a process of its own, with lines of code before and after it."""
    arguments = ["evaluate.py", *command(file, "evaluate")[2:]]
    code = (
        f"import runpy, sys\nsys.argv = {arguments!r}\n{before}\n"
        f"try: runpy.run_path({str(ROOT / 'stages/evaluate.py')!r}, run_name='__main__')\n"
        f"except SystemExit as status:\n    if status.code: raise\n{after}"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


# The models that screen, of either pipeline, and where it writes what its networks say and its report.
OUTPUTS = {"models/screening": "work/outputs", "release/models/screening": "release/outputs"}
REPORTS = {"models/screening": "reports", "release/models/screening": "release/reports"}


def saved_outputs(project, name, folder="release/outputs"):
    return read_outputs(project / folder / f"{name}.npz")


def outputs_of(project, model):
    """Return what `evaluate` kept of the network in the folder of a model that screens."""
    return saved_outputs(project, read_json(project / model / "model.json")["name"], OUTPUTS[model])


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Give a folder in which all stages of both pipelines have run, on planes of 32 pixels, for one epoch."""
    folder = tmp_path_factory.mktemp("project")
    write_sample(folder / "data", per_class=12, per_opacity=2)
    shipped = {name: YAML(typ="safe").load(ROOT / name) for name in ("params.yaml", "release/params.yaml")}
    first, release = shipped.values()
    first["prepare"]["expected_files"] = 36
    first["evaluate"] |= {"gate": "none", "lungs": "none"}  # the packaged ones take planes of another side
    release["train_lite0"]["weights"] = "random"
    release["ensemble"]["stored"] = "float32"
    release["train_teachers"]["seeds"] = [3, 5]
    release["train_student"]["views"] = 2
    release["leave_source_out"]["epochs"] = 1
    for values in shipped.values():
        for name in (name for name in values if name.startswith("train_") and name != "train_teachers"):
            values[name] |= {"side": SIDE, "epochs": 1}
        values["evaluate"]["alpha"] = 0.45  # of two validation images a class, one may be left out: sets differ
    first["image"]["side"] = first["train_resnet50"]["side"] = LARGER
    release["train_gate"]["epochs"] = 4  # after fewer it rejects nearly everything
    (folder / "release").mkdir()
    for name, values in shipped.items():
        write_params(folder / name, values)
    shutil.copytree(packaged_folder(), folder / "cxr/packaged")
    for file, name in STAGES:
        if name != "compare":  # the packaged model takes planes of another side
            succeeded(file, name, folder)
    return folder


@pytest.mark.parametrize(("file", "name"), [one for one in STAGES if one[1] != "compare"])
def test_what_a_stage_reads_is_listed(file, name, project):
    """A file that is read and not listed would leave its stage as it is when it changes."""
    listed = {*resolved(file, name, "deps"), "params.yaml", "release/params.yaml", *resolved(file, name, "outs")}
    listed |= {"reports/environment.json"}  # a training only says that another machine made what is there
    read = read_by(project, file, name).read_text().split("\n")[:-1]
    places = {
        one: {one, *map(Path.as_posix, Path(one).parents)} for one in read if "/." not in one
    }  # no temporary file
    assert [one for one, above in places.items() if listed.isdisjoint(above)] == []
    assert any(one.startswith(("data/", "work/", "models/", "release/")) for one in read)


def test_every_image_of_the_classes_is_in_the_manifest(project):
    table = pd.read_csv(project / "work/prepared/manifest.csv")
    assert table["label"].value_counts().to_dict() == {"covid": 12, "normal": 12, "viral_pneumonia": 12}
    assert json.loads((project / "reports/data.json").read_text())["discarded"] == {"lung_opacity": 2}
    assert table["synthetic"].all()


def test_the_network_that_screens_is_asked_about_films_of_no_class(project):
    (found,) = read_json(project / "release/reports/report.json")["out_of_scope"]
    assert (found["label"], found["n"]) == ("lung_opacity", 2)
    assert sum(share["value"] for share in found["called"].values()) == pytest.approx(1)
    assert list(found["called"]) == ["covid", "normal", "viral_pneumonia"]


def test_the_split_keeps_patients_together(project):
    table = pd.read_csv(project / "work/split.csv")
    assert table.groupby("patient")["split"].nunique().max() == 1
    assert set(table["split"]) == {"train", "validation", "test"}


@pytest.mark.parametrize(("reports", "names"), [("reports", NETWORKS), ("release/reports", MEASURED)])
def test_the_metrics_files_have_the_same_keys(reports, names, project):
    metrics = {name: read_json(project / reports / f"metrics/{name}.json") for name in names}
    assert len({tuple(values) for values in metrics.values()}) == 1
    assert all(0 <= values["balanced_accuracy"] <= 1 for values in metrics.values())
    assert {path.stem for path in (project / reports / "metrics").iterdir()} == set(names)
    assert set(read_json(project / reports / "measures.json")) == set(names)


def test_the_screening_model_is_the_one_of_the_lowest_validation_loss(project):
    chosen = read_json(project / "models/screening/model.json")
    metrics = read_json(project / "reports/measures.json")
    assert chosen["name"] == min(metrics, key=lambda name: metrics[name]["validation_log_loss"])
    assert chosen["data"]["synthetic_images"] == chosen["data"]["images"]


def test_a_model_folder_holds_what_screening_needs_and_gate_and_lung_segmenter_where_there_are_some(project):
    files = ["decisions.json", "model.json", "network.bin", "network.xml"]
    beside = ["gate.bin", "gate.json", "gate.xml", "lungs.bin", "lungs.json", "lungs.xml"]
    for folder, held in {
        "models/screening": files,
        "release/models/screening": [*files, *beside],
    }.items():
        assert sorted(path.name for path in (project / folder).iterdir()) == sorted(held)
    assert load_model(project / "release/models/screening").description["name"] == "last_layer"


@pytest.mark.parametrize(
    "folder",
    [*(f"models/{name}" for name in NETWORKS), *(f"release/models/{name}" for name in RELEASED)],
)
def test_every_training_writes_a_whole_folder(folder, project):
    assert sorted(path.name for path in (project / folder).iterdir()) == [
        "history.csv", "model.json", "model.weights.h5", "network.bin", "network.xml",
    ]  # fmt: skip
    description = read_json(project / folder / "model.json")
    table = pd.read_csv(project / "work/split.csv")
    assert description["classes"] == ["covid", "normal", "viral_pneumonia"]
    assert description["initialisation"] == "random"
    assert description["gflop_per_image"] > 0
    assert description["data"]["images_per_split"] == table["split"].value_counts().to_dict()
    history = pd.read_csv(project / folder / "history.csv")
    assert history.columns.tolist() == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert history["epoch"].tolist() == [1]


def test_sources_are_left_out_by_refits_where_release_made_them_and_else_by_the_last_layer_alone(project):
    for reports, how in (("reports", "head refitted"), ("release/reports", "refitted")):
        (cnn1,) = (one for one in read_json(project / reports / "report.json")["models"] if one["name"] == "cnn1")
        assert {row["how"] for row in cnn1["sources"]} == {how}


def test_the_ensemble_says_the_mean_of_its_members_about_every_image(project):
    members = load_model(project / "release/models/ensemble").members
    joined, planes = saved_outputs(project, "ensemble"), np.load(project / "work/prepared/images.npy")
    table = pd.read_csv(project / "work/split.csv").set_index("file")
    asked = planes[table.loc[joined.files, "index"].to_numpy()]
    networks = [load_model(project / f"release/models/teachers/{name}").network for name in members]
    own = np.stack([network.predict(asked).logits for network in networks], axis=1)
    assert members == ("teacher_3", "teacher_5")
    assert joined.logits == pytest.approx(own.mean(axis=1), abs=1e-5)
    assert joined.members == pytest.approx(own, abs=1e-5)


def test_everything_that_the_pipeline_promises_was_written(project):
    outs = [out for file, name in STAGES if name != "compare" for out in resolved(file, name, "outs")]
    assert "reports/split.json" in outs
    assert [out for out in outs if not (project / out).exists()] == []
    for folder, names in (("work/outputs", NETWORKS), ("release/outputs", MEASURED)):
        assert sorted(path.name for path in (project / folder).iterdir()) == sorted(f"{name}.npz" for name in names)
    written = {path.relative_to(project).as_posix() for path in (project / "reports").rglob("*") if path.is_file()}
    assert {file for file in written if not file.startswith(tuple(outs))} == set()


def test_tables_hold_what_dvc_plots_of_them(project):
    for plot in pipeline()["plots"]:
        (settings,) = plot.values()
        for file, column in settings["y"].items():
            assert {"model", settings["x"], column} <= set(pd.read_csv(project / file).columns), file


def test_the_report_has_every_audit_and_figures_of_all_networks(project):
    report = json.loads((project / "release/reports/report.json").read_text())
    assert [model["name"] for model in report["models"]] == MEASURED
    assert {audit["stage"] for audit in report["audits"]} == {"prepare", "split", "evaluate"}
    assert {audit.id for audit in AUDITS} <= {audit["id"] for audit in report["audits"]}
    assert {audit["result"] for audit in report["audits"] if audit["id"] == "appearance_floor"} == {"not_measurable"}
    assert report["data"]["synthetic_images"] == report["data"]["images"]
    headline = report["verdict"]["headline"]
    page, text = ((project / f"release/reports/report.{ending}").read_text() for ending in ("html", "md"))
    assert headline in page.replace("\N{NO-BREAK SPACE}", " ")
    assert headline in text
    assert "Drawn phantoms" in page
    assert "<script src" not in page


def test_thresholds_come_from_answers_about_validation_by_networks_that_did_not_learn_from_it(project):
    calibration = pd.read_csv(project / "release/models/last_layer/calibration.csv", keep_default_na=False)
    said = {
        "release/models/screening": answered(calibration, CLASSES),
        "models/screening": outputs_of(project, "models/screening").of("validation"),
    }
    for folder, validation in said.items():
        decisions = read_json(project / folder / "decisions.json")
        fitted = as_json(fit_decisions(validation, "covid", decisions["conformal"]["alpha"]))
        assert {key: decisions[key] for key in fitted} == json.loads(json.dumps(fitted)), folder


def test_evaluate_runs_again_to_the_same_bytes_and_without_tensorflow(project):
    folders = ("release/reports", "release/models/screening", "release/outputs")
    before = {path: path.read_bytes() for folder in folders for path in (project / folder).rglob("*") if path.is_file()}
    done = evaluate(project, "import sys", "assert not {'tensorflow', 'keras'} & set(sys.modules)")
    assert done.returncode == 0, done.stderr
    assert len(before) > 20
    assert {path: path.read_bytes() for path in before} == before


@pytest.fixture(scope="module", params=OUTPUTS)
def screened(request, project):
    """Give a model's folder, what it said of the split table, and the rows that the bulk command writes with it."""
    table = f"{request.param.replace('/', '-')}.csv"
    command = [str(Path(sys.executable).parent / "cxr-batch"), "data", "-o", table]
    command += ["--exclude", "masks", "--model", request.param]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert "mean nothing for patients" in " ".join(done.stderr.split())
    rows = pd.read_csv(project / table, keep_default_na=False).set_index("path")
    assert done.returncode == (3 if (rows["status"] == "rejected").any() else 0), done.stderr
    assert len(rows) == 38
    return request.param, outputs_of(project, request.param), rows


def test_screening_gives_what_evaluate_saved_and_warns_of_phantoms(project, screened):
    model, outputs, rows = screened
    decisions, rows = load_model(project / model).decisions, rows.loc[outputs.files]
    answered = (rows["status"] == "ok").to_numpy()
    cells = rows[answered][[f"probability_{label}" for label in outputs.classes]].astype(float).to_numpy()
    assert cells == pytest.approx(decisions.probabilities(outputs.logits)[answered], abs=1e-5)
    assert rows[answered]["prediction_set"].nunique() > 1
    learnt = ("train", "validation") if outputs.name == "last_layer" else ("train",)
    known = np.where(np.isin(outputs.split, learnt), "yes", "no")[answered]
    assert rows[answered]["in_training_set"].tolist() == known.tolist()


def test_screening_decides_rejects_and_marks_every_test_image_as_the_table_of_predictions_says(project, screened):
    model, outputs, rows = screened
    predictions = pd.read_csv(project / REPORTS[model] / "predictions.csv", keep_default_na=False)
    measured = predictions[predictions["model"] == outputs.name].set_index("file")
    rows = rows.loc[measured.index]
    assert len(rows) == (outputs.split == "test").sum()
    for column in ("prediction_set", "decision", "refer_reason", "reason"):
        assert rows[column].tolist() == measured[column].tolist(), column
    flags = [" ".join(flag for flag in cell.split() if flag in GATE_FLAGS) for cell in rows["flags"]]
    assert flags == measured["flags"].tolist()
    answered = rows["status"] == "ok"
    assert rows[answered]["prediction"].tolist() == measured[answered]["predicted"].tolist()
    models = read_json(project / REPORTS[model] / "report.json")["models"]
    section = next(one for one in models if one["name"] == outputs.name)["answering"]["gated"]
    counts = {"rejected": (~answered).sum(), "referred": (rows["decision"] == "refer").sum()}
    assert {key: round(section[key]["value"] * len(rows)) for key in counts} == counts


def test_the_screening_model_can_be_verified_from_the_data_alone(project):
    command = [str(Path(sys.executable).parent / "cxr-model"), "verify", "data", "--model", "release/models/screening"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert {line.split()[0] for line in lines} == {"ok"}
    assert len(lines) == 3 + 5 + 2 * 3  # network, data, images; metrics; sensitivity and specificity


@pytest.fixture
def judged(project, tmp_path):
    """Give a project in which `evaluate` can run with other params and write where nobody else looks."""
    inputs = [dep for dep in resolved("release/dvc.yaml", "evaluate", "deps") if not dep.startswith(("cxr", "stages"))]
    for name in (*inputs, "work/prepared", "params.yaml", "release/params.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if (project / name).is_dir() and not (tmp_path / name).exists():
            (tmp_path / name).symlink_to(project / name)
        elif not (tmp_path / name).exists():
            shutil.copy(project / name, tmp_path / name)
    return tmp_path


# Seven test images are too few for a verdict; as if they were enough, a network of one epoch fails it.
JUDGE = "import cxr.evaluation.audits.shortcuts as judging; judging.LEAST_IMAGES = 1"


def test_a_failed_audit_stops_evaluate_after_the_report_unless_a_waiver_says_why(judged):
    stopped = evaluate(judged, JUDGE)
    assert stopped.returncode == 1
    said = " ".join(stopped.stderr.split())
    assert "Lift over the appearance floor" in said
    assert "params.yaml: evaluate.waivers.appearance_floor: why" in said
    assert "Traceback" not in said
    assert "an audit failed" in (judged / "release/reports/report.html").read_text()
    assert read_json(judged / "release/reports/report.json")["verdict"]["level"] == "stop"

    params = YAML(typ="safe").load(judged / "release/params.yaml")
    params["evaluate"]["waivers"] = {"appearance_floor": "one epoch on drawn films"}
    write_params(judged / "release/params.yaml", params)
    passed = evaluate(judged, JUDGE)
    assert passed.returncode == 0, passed.stderr
    report = read_json(judged / "release/reports/report.json")
    assert [(one["stage"], one["why"]) for one in report["waivers"]] == [("evaluate", "one epoch on drawn films")]
    assert report["verdict"]["level"] != "stop"
    for name in ("report.html", "report.md", "model_card.md"):
        assert "one epoch on drawn films" in (judged / "release/reports" / name).read_text(), name


def test_a_target_that_is_no_class_stops_evaluate_with_one_sentence(judged):
    params = YAML(typ="safe").load(judged / "release/params.yaml")
    params["evaluate"]["target"] = params["leave_source_out"]["target"] = "covid19"
    write_params(judged / "release/params.yaml", params)
    stopped = evaluate(judged)
    assert stopped.returncode == 1
    assert "evaluate.target is 'covid19', which is none of the classes covid, normal" in " ".join(
        stopped.stderr.split()
    )
    assert not (judged / "release/reports/report.json").exists()
