"""dvc.yaml, params.yaml, the scripts and their imports agree."""

import ast
import re

import pytest
from ruamel.yaml import YAML

from cxr.inference.network import ENSEMBLE
from cxr.models import architecture
from tests.imports import ROOT, closure
from tests.networks import NAMES

TRAINED = [f"train_{name}" for name in NAMES]
STAGES = ["prepare", "balance", "split", *TRAINED, "train_gate", "ensemble", "leave_source_out", "evaluate"]
CANDIDATES = (*NAMES, ENSEMBLE)


def pipeline():
    return YAML(typ="safe").load(ROOT / "dvc.yaml")


def resolved(stage, key):
    """Return the list `key` of a stage with ${model} filled in; a mapping item stands for its path."""
    body = pipeline()["stages"][stage]
    model = body.get("vars", [{}])[0].get("model", "")
    items = [next(iter(item)) if isinstance(item, dict) else item for item in body[key]]
    return [item.replace("${model}", model) for item in items]


def nothing_but_a_docstring(file):
    """Tell whether a package's __init__ can change no result: a docstring, and perhaps the version."""
    body = ast.parse((ROOT / file).read_text()).body
    return file.endswith("__init__.py") and all(
        isinstance(node, ast.Expr) or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__")
        for node in body
    )


# What can change no output: how a person is told, and how long it takes.
NO_DEPS = ("cxr/cli/", "cxr/training/monitor.py", "cxr/training/progress.py")


@pytest.mark.parametrize("stage", STAGES)
def test_every_module_that_a_stage_can_import_lies_in_a_listed_place_and_each_is_reached(stage):
    from pathlib import Path

    imports = closure(Path(f"stages/{stage}.py"))
    if stage.startswith("train_"):  # found by name, which an import statement does not show
        imports |= closure(Path(f"cxr/models/{stage.removeprefix('train_')}.py"))
    needed = {file for file in imports if not nothing_but_a_docstring(file) and not file.startswith(NO_DEPS)}
    listed = {dep for dep in resolved(stage, "deps") if dep.startswith(("cxr/", "stages/"))}
    reached = {dep: {file for file in needed if file == dep or file.startswith(f"{dep}/")} for dep in listed}
    assert needed == set().union(*reached.values())
    assert [dep for dep, files in reached.items() if not files] == []


def test_the_twelve_stages_are_there_in_order():
    assert list(pipeline()["stages"]) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_stage_script_params_section_and_output_share_a_name(stage):
    body = pipeline()["stages"][stage]
    model = stage.removeprefix("train_")
    assert body["cmd"].replace("${model}", model) == f"python stages/{stage}.py"
    assert stage in resolved(stage, "params")
    assert any(re.search(rf"\b(screening|{model})", out) for out in resolved(stage, "outs"))


@pytest.mark.parametrize("name", NAMES)
def test_weights_have_a_page_and_are_no_deps_because_their_digest_is_in_the_code(name):
    published = architecture(name).published
    assert not any(dep.startswith("weights/") for dep in resolved(f"train_{name}", "deps"))
    assert (ROOT / "weights" / name / "README.md").is_file() == (published is not None)
    assert published is None or len(published.md5) == 32


def test_training_outputs_are_all_cached_so_that_the_run_cache_works():
    for name in NAMES:
        assert pipeline()["stages"][f"train_{name}"]["outs"] == ["models/${model}"]


def test_what_dvc_shows_is_an_output_of_evaluate_and_in_git():
    outs = pipeline()["stages"]["evaluate"]["outs"]
    in_git = tuple(path for out in outs if isinstance(out, dict) for path in out)
    shown = [*pipeline()["metrics"], *(file for plot in pipeline()["plots"] for file in plot.popitem()[1]["y"])]
    assert len(shown) > len(NAMES)
    assert [file for file in shown if not file.startswith(in_git)] == []
    assert pipeline()["metrics"] == [f"reports/metrics/{name}.json" for name in CANDIDATES]


def test_evaluate_depends_on_every_candidate_and_the_ensemble_on_its_members():
    outs = {out for stage in STAGES for out in resolved(stage, "outs")}
    deps = {dep for dep in resolved("evaluate", "deps") if dep.startswith("models/")}
    assert deps == {f"models/{name}" for name in (*CANDIDATES, "gate")}
    assert deps <= outs
    members = YAML(typ="safe").load(ROOT / "params.yaml")["ensemble"]["members"]
    assert {f"models/{name}" for name in members} <= set(resolved("ensemble", "deps"))


@pytest.mark.parametrize("out", ["reports/report.html", "reports/report.json"])
def test_what_shows_films_is_kept_by_dvc_and_not_by_git(out):
    assert out in pipeline()["stages"]["evaluate"]["outs"]
    assert f"/{out}" in (ROOT / ".gitignore").read_text().splitlines()


def test_every_template_of_a_plot_is_there():
    templates = {plot["template"] for named in pipeline()["plots"] for plot in named.values()}
    assert templates == {path.stem for path in (ROOT / ".dvc/plots").iterdir()}


def test_there_is_no_default_remote_and_the_sample_is_verified():
    from configparser import ConfigParser

    config = ConfigParser()
    config.read_string((ROOT / ".dvc/config").read_text().replace("    ", ""))
    assert "remote" not in config["core"]
    assert config["'remote \"sample\"'"]["verify"] == "true"


def test_data_is_pinned_to_the_sample_remote():
    out = YAML(typ="safe").load(ROOT / "data.dvc")["outs"][0]
    assert (out["path"], out["remote"]) == ("data", "sample")
