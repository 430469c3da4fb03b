"""dvc.yaml, params.yaml, the scripts and their imports agree."""

import ast
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from cxr.core.params import read_params, section, with_values
from cxr.inference.gate import GATE_FILES
from cxr.inference.lungs import LUNGS_FILES
from cxr.models import architecture
from cxr.models import networks as trained_networks
from tests.imports import ROOT, closure
from tests.networks import NAMES

NETWORKS = trained_networks(read_params(ROOT / "params.yaml"))
TRAINED = [f"train_{name}" for name in NETWORKS]
PIPELINES = {
    "dvc.yaml": ["prepare", "balance", "split", *TRAINED, "evaluate"],
    "release/dvc.yaml": [
        "train_cnn1", "train_teachers", "train_student", "train_gate", "train_lungs", "ensemble", "last_layer",
        "leave_source_out", "leave_hospital_out", "out_of_scope", "evaluate", "compare",
    ],
}  # fmt: skip
STAGES = [(file, stage) for file, stages in PIPELINES.items() for stage in stages]
EVERY_STAGE = pytest.mark.parametrize(("file", "stage"), STAGES)


def pipeline(file="dvc.yaml"):
    return YAML(typ="safe").load(ROOT / file)


def resolved(file, stage, key):
    """Return `key` of a stage with ${model} and params filled in; of a list, a mapping item stands for its keys."""
    body = pipeline(file)["stages"][stage]
    model = body.get("vars", [{}])[0].get("model", "")
    if isinstance(body[key], str):
        return body[key].replace("${model}", model)
    items = [one for item in body[key] for one in (item if isinstance(item, dict) else [item])]
    params = YAML(typ="safe").load((ROOT / file).with_name("params.yaml"))
    filled = (item.replace("${model}", model) for item in items)
    return [re.sub(r"\$\{(\w+)\.(\w+)\}", lambda match: params[match[1]][match[2]], item) for item in filled]


def script(file, stage):
    """Return the file of the script that a stage runs: its own, or the one of all networks without their own."""
    module = resolved(file, stage, "cmd").split()[2]
    return f"{module.replace('.', '/')}.py"


def networks(file):
    """Return the folders of the networks that `evaluate` measures, in its order."""
    words = pipeline(file)["stages"]["evaluate"]["cmd"].split(" --")[0].split()
    return words[words.index("stages.evaluate") + 1 :]


def nothing_but_a_docstring(file):
    """Tell whether a package's __init__ can change no result: a docstring, and perhaps the version."""
    body = ast.parse((ROOT / file).read_text()).body
    return file.endswith("__init__.py") and all(
        isinstance(node, ast.Expr) or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__")
        for node in body
    )


DATA = {"cxr/packaged", *(f"cxr/packaged/{name}" for name in (*GATE_FILES, *LUNGS_FILES))}
OF_LITE0 = ("train_teachers", "train_student", "leave_hospital_out", "last_layer")
# What can change no output: how a person is told, and what notebooks find in the package.
NO_DEPS = ("cxr/__init__.py", "cxr/cli/")


@EVERY_STAGE
def test_every_module_that_a_stage_can_import_lies_in_a_listed_place_and_each_is_reached(file, stage):
    imports = closure(Path(script(file, stage)))
    # Networks are found by name, which an import statement does not show.
    trained = "lite0" if stage in OF_LITE0 else stage.removeprefix("train_")
    if trained != stage:
        imports |= closure(Path(f"cxr/models/{trained}.py"))
    needed = {one for one in imports if not nothing_but_a_docstring(one) and not one.startswith(NO_DEPS)}
    listed = {dep for dep in resolved(file, stage, "deps") if dep.startswith(("cxr/", "stages/"))} - DATA
    reached = {dep: {one for one in needed if one == dep or one.startswith(f"{dep}/")} for dep in listed}
    assert needed == set().union(*reached.values())
    assert [dep for dep, files in reached.items() if not files] == []


@pytest.mark.parametrize(("file", "stages"), PIPELINES.items())
def test_the_stages_are_there_in_order(file, stages):
    assert list(pipeline(file)["stages"]) == stages


@EVERY_STAGE
def test_stage_script_params_section_and_output_share_a_name(file, stage):
    body, model = pipeline(file)["stages"][stage], stage.removeprefix("train_")
    words = resolved(file, stage, "cmd").split()
    assert words[:2] == ["python", "-m"]
    assert words[2] == f"stages.{stage}" or words[2:4] == ["stages.train", model]
    assert body.get("wdir", ".") == (".." if file.startswith("release") else ".")
    assert any(re.search(rf"\b(screening|{model})", out) for out in resolved(file, stage, "outs"))
    if stage == "compare":
        return  # has no params of its own
    own = [item.get("release/params.yaml", []) if isinstance(item, dict) else [item] for item in body["params"]]
    assert stage in [name.replace("${model}", model) for names in own for name in names]


def test_every_section_of_both_files_belongs_to_a_stage_of_its_pipeline():
    shared = {"seed", "classes", "image", "runtime"}
    for file, params in (("dvc.yaml", "params.yaml"), ("release/dvc.yaml", "release/params.yaml")):
        sections = set(YAML(typ="safe").load(ROOT / params)) - shared
        assert sections - {"train_lite0"} == set(PIPELINES[file]) - {"compare"}  # the recipe of those OF_LITE0


@pytest.mark.parametrize("name", NAMES)
def test_what_a_network_starts_from_is_a_dep_and_there_is_a_file_for_every_word_that_says_it(name):
    published = architecture(name).published
    for file, stage in STAGES:
        if stage == f"train_{name}":
            params = YAML(typ="safe").load((ROOT / file).with_name("params.yaml"))[stage]
            expected = [f"weights/{name}/{params['weights']}"] if published else []
            assert [dep for dep in resolved(file, stage, "deps") if dep.startswith("weights/")] == expected
    for kept in ("README.md", "random", "imagenet"):
        assert (ROOT / "weights" / name / kept).is_file() == (published is not None)
    assert published is None or len(published.md5) == 32


@pytest.mark.parametrize("file", sorted(path.name for path in ROOT.glob("params.*.yaml")))
def test_a_preset_fits_the_params_that_it_is_written_over(file):
    values = read_params(ROOT / file)
    changed = YAML(typ="safe").load(with_values((ROOT / "params.yaml").read_text(), values))
    for name in values.keys() & {f"train_{name}" for name in NAMES}:
        recipe = section(changed, name, architecture(name.removeprefix("train_")).params)
        assert recipe.side <= changed["image"]["side"]


@pytest.mark.parametrize(("file", "stage"), [one for one in STAGES if one[1].startswith("train_")])
def test_training_outputs_are_all_cached_so_that_the_run_cache_works(file, stage):
    folder = f"{'release/' if file.startswith('release') else ''}models/{stage.removeprefix('train_')}"
    assert resolved(file, stage, "outs") == [folder]
    assert all(isinstance(out, str) for out in pipeline(file)["stages"][stage]["outs"])


def test_what_dvc_shows_is_an_output_of_evaluate_and_in_git():
    outs = pipeline()["stages"]["evaluate"]["outs"]
    in_git = tuple(path for out in outs if isinstance(out, dict) for path in out)
    shown = [*pipeline()["metrics"], *(file for plot in pipeline()["plots"] for file in plot.popitem()[1]["y"])]
    assert [file for file in shown if not file.startswith(in_git)] == []


@pytest.mark.parametrize("file", PIPELINES)
def test_evaluate_depends_on_every_network_that_it_measures_and_a_stage_makes_each(file):
    outs = {out for one, stage in STAGES for out in resolved(one, stage, "outs")}
    measured = set(networks(file))
    assert measured <= set(resolved(file, "evaluate", "deps"))
    assert measured <= outs


def test_the_first_pipeline_measures_what_it_trains_and_the_release_the_teachers_together_and_their_student():
    assert networks("dvc.yaml") == [f"models/{name}" for name in NETWORKS]
    (members,) = resolved("release/dvc.yaml", "ensemble", "cmd").split()[3:]
    assert members in resolved("release/dvc.yaml", "ensemble", "deps")
    measured = ["cnn1", "ensemble", "student", "last_layer"]
    assert networks("release/dvc.yaml") == [f"release/models/{name}" for name in measured]


def test_gate_and_lung_segmenter_that_the_first_pipeline_ships_are_dependencies():
    own = YAML(typ="safe").load(ROOT / "params.yaml")["evaluate"]
    assert own["gate"] == own["lungs"] == "packaged"
    listed = [dep for dep in resolved("dvc.yaml", "evaluate", "deps") if dep.startswith("cxr/packaged/")]
    assert {f"cxr/packaged/{name}" for name in (*GATE_FILES, *LUNGS_FILES)} == set(listed)


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


@EVERY_STAGE
def test_a_stage_runs_the_code_of_its_own_checkout_whatever_is_installed(file, stage, tmp_path):
    """As in a second clone, or in a folder of `dvc exp run --temp`, with the environment of this one."""
    path = script(file, stage)
    (tmp_path / "stages").mkdir()
    (tmp_path / path).write_text((ROOT / path).read_text())
    (tmp_path / "cxr").mkdir()
    (tmp_path / "cxr/__init__.py").write_text("raise SystemExit('the code beside the stage')\n")
    command = [sys.executable, *resolved(file, stage, "cmd").split()[1:]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "the code beside the stage\n")


def test_the_readme_draws_the_pipeline():
    drawn = re.search(r"```mermaid\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    edges = set()
    for line in drawn.splitlines()[1:]:
        groups = [re.findall(r"\w+", part) for part in line.split("-->")]
        edges |= {(one, other) for left, right in pairwise(groups) for one in left for other in right}
    # A network that was added by hand has no script of its own, and need not be drawn.
    drawn_stages = [one for one in PIPELINES["dvc.yaml"] if script("dvc.yaml", one) != "stages/train.py"]
    after = {stage: {one for one, other in edges if other == stage} for stage in drawn_stages}
    writes = {stage: resolved("dvc.yaml", stage, "outs") for stage in drawn_stages} | {"data": ["data"]}
    needs = {
        stage: {writer for writer, outs in writes.items() for out in outs if out in resolved("dvc.yaml", stage, "deps")}
        for stage in drawn_stages
    }
    for stage, before in after.items():
        assert before, stage
        assert before <= needs[stage]
        # What no arrow says is reached by others.
        assert all(one in reach(after, stage) for one in needs[stage]), stage


def reach(after, stage):
    """Return every stage that the arrows lead from to `stage`."""
    found = set(after.get(stage, ()))
    for one in after.get(stage, ()):
        found |= reach(after, one)
    return found
