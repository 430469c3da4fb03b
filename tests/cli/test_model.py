"""cxr-model compare and release from the command line; a stand-in for DVC leaves the models that it would train."""

import json
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from cxr.cli import model as released
from cxr.cli.folds import experiment_ref, git, last_words, project_python
from cxr.cli.model import OVERRIDES_FILE, app, plan, read_overrides
from cxr.core.errors import DataError, ParamsError
from cxr.core.files import read_json, write_json
from cxr.core.manifest import write_images, write_table
from cxr.inference.model_folder import load_model, packaged_folder
from tests.dvc import run, variables
from tests.evaluation.cases import planes, split_table


def called(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done, " ".join(done.output.split())


def audited(folder: Path, result: str = "pass", name: str = "cnn1") -> Path:
    """Copy the packaged model and let it name an audit, as evaluate does today."""
    shutil.copytree(packaged_folder(), folder)
    description = read_json(folder / "model.json") | {"name": name}
    description["evaluation"]["card"]["audits"] = {"attention": result}
    write_json(folder / "model.json", description)
    return folder


def with_work(folder: Path) -> Path:
    table = split_table(20)
    write_table(folder / "work/split.csv", table)
    (folder / "work/prepared").mkdir()
    write_images(folder / "work/prepared/images.npy", planes(table, 128))
    return folder


class TestCompare:
    def test_a_model_beside_itself_is_not_worse(self, tmp_path: Path) -> None:
        model = audited(tmp_path / "new")
        done, said = called("compare", model, "packaged", "--data", with_work(tmp_path), "--json", tmp_path / "c.json")
        assert done.exit_code == 0, said
        report = json.loads((tmp_path / "c.json").read_text())
        assert report["not_worse"]
        assert report["images"] == 12
        assert "12 test images; 0 more were left out" in said
        assert "of 12 decisions change" in said
        assert said.count("yes") == len(report["conditions"]) + 1

    def test_one_that_fails_an_audit_is_worse(self, tmp_path: Path) -> None:
        model = audited(tmp_path / "new", "fail")
        done, said = called("compare", model, "packaged", "--data", with_work(tmp_path))
        assert done.exit_code == 3
        assert "not worse no" in " ".join(said.replace("│", " ").split())

    def test_without_a_run_there_is_nothing_to_compare_on(self, tmp_path: Path) -> None:
        done, said = called("compare", audited(tmp_path / "new"), "packaged", "--data", tmp_path)
        assert done.exit_code == 1
        assert "split.csv cannot be read" in said


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a committed project with a packaged model, and work in it."""
    root = tmp_path / "project"
    root.mkdir()
    (root / OVERRIDES_FILE).write_text("evaluate.screening_model: ensemble\nprepare.expected_files: 60\n")
    shutil.copytree(packaged_folder(), root / "cxr/packaged")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        run(root, "git", *command)
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Give the calls of a DVC that leaves models and an experiment; one that is called `interrupt` stops it."""
    calls: list[list[str]] = []

    def python(_root: Path, *arguments: str, **_: object) -> tuple[int, str]:
        calls.append(list(arguments[2:]))
        return 0, ""

    def dvc(root: Path, *arguments: str, **_: object) -> tuple[int, str]:
        calls.append(list(arguments))
        name = arguments[3] if arguments[:2] == ("exp", "run") else ""
        if name:
            for model in ("screening", "fast"):
                shutil.rmtree(root / "models" / model, ignore_errors=True)
                audited(root / "models" / model, RESULT["audit" if model == "screening" else "fast audit"], model)
            shutil.rmtree(root / "work", ignore_errors=True)
            with_work(root)
            head = git(root, "rev-parse", "HEAD").strip()
            git(root, "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}", "HEAD")
        return RESULT["status"], "said by dvc"

    RESULT.update({"audit": "pass", "fast audit": "pass", "status": 0})
    monkeypatch.setattr(released, "project_python", python)
    monkeypatch.setattr(released, "dvc", dvc)
    return calls


RESULT = {"audit": "pass", "fast audit": "pass", "status": 0}


class TestRelease:
    def test_it_imports_trains_compares_packages_and_keeps_the_experiment(self, project, tmp_path, trainings) -> None:
        done, said = called("release", "../data", "--keep", tmp_path / "clone")
        assert done.exit_code == 0, said
        name = f"release-{git(project, 'rev-parse', 'HEAD')[:8]}"
        settings = "--set-param", 'evaluate.screening_model="ensemble"', "--set-param", "prepare.expected_files=60"
        assert trainings == [
            ["import", str(tmp_path / "data")],
            ["exp", "run", "--name", name, *settings],
        ]
        reference = experiment_ref(project, name)
        assert reference
        commit = git(project, "rev-parse", reference).strip()
        for folder, card, model in (("packaged", "CARD", "screening"), ("packaged_fast", "CARD_FAST", "fast")):
            assert load_model(project / "cxr" / folder).description["name"] == model
            assert read_json(project / "cxr" / folder / "model.json")["commit"] == commit
            assert commit in (project / f"MODEL_{card}.md").read_text()

    @pytest.mark.parametrize("here", [False, True])
    def test_weights_that_the_release_starts_from_are_taken_along_or_fetched(self, here, project, tmp_path, trainings):
        (project / OVERRIDES_FILE).write_text("train_lite0.weights: imagenet\ntrain_vgg16.weights: random\n")
        (project / "weights/lite0").mkdir(parents=True)
        (project / "weights/lite0/.gitignore").write_text("*.pth\n")
        run(project, "git", "add", "-A")
        run(project, "git", "commit", "-q", "-m", "weights")
        if here:
            (project / "weights/lite0/w.pth").write_bytes(b"weights")
        done, said = called("release", "../data", "--keep", tmp_path / "clone", "--dry-run")
        assert "3. there: cxr-data weights lite0, unless weights/lite0 here has them" in said
        assert "cxr-data weights vgg16" not in said
        done, said = called("release", "../data", "--keep", tmp_path / "clone")
        assert done.exit_code == 0, said
        assert [call[:2] for call in trainings] == [
            ["import", str(tmp_path / "data")], ["weights", "lite0"], ["exp", "run"],
        ]  # fmt: skip
        assert (tmp_path / "clone/weights/lite0/w.pth").is_file() == here

    def test_the_same_command_goes_on_in_the_clone(self, project, tmp_path, trainings) -> None:
        RESULT["status"] = 1
        done, said = called("release", "../data", "--keep", tmp_path / "clone")
        assert done.exit_code == 1
        assert "'exp run' ended with status 1" in said
        (tmp_path / "clone/.dvc/cache").mkdir(parents=True)
        RESULT["status"] = 0
        done, said = called("release", "../data", "--keep", tmp_path / "clone")
        assert done.exit_code == 0, said
        assert (tmp_path / "clone/.dvc/cache").is_dir()
        assert ["exp", "remove"] in [call[:2] for call in trainings]
        assert git(project, "status", "--porcelain", "--", "cxr/packaged/model.json")

    def test_a_worse_model_is_not_packaged_and_the_clone_is_named(self, project, trainings) -> None:
        RESULT["audit"] = "fail"
        done, said = called("release", "../data")
        assert done.exit_code == 3
        assert "the new model is worse; nothing was packaged" in said
        clone = Path(said.split("go on with --keep ")[1].split()[0])
        assert (clone / "models/screening/model.json").is_file()
        shutil.rmtree(clone)
        assert git(project, "status", "--porcelain") == ""
        assert len(trainings) == 2

    def test_a_worse_fast_model_leaves_the_packaged_one_in_its_place(self, project, tmp_path, trainings) -> None:
        shutil.copytree(packaged_folder(), project / "cxr/packaged_fast")
        run(project, "git", "add", "-A")
        run(project, "git", "commit", "-q", "-m", "a fast model")
        RESULT["fast audit"] = "fail"
        done, said = called("release", "../data", "--keep", tmp_path / "clone")
        assert done.exit_code == 0, said
        assert "models/fast is worse than cxr/packaged_fast, which stays" in said
        assert trainings
        changed = git(project, "status", "--porcelain")
        assert "cxr/packaged/" in changed
        assert "packaged_fast" not in changed
        assert "MODEL_CARD_FAST.md" not in changed

    def test_a_dry_run_prints_the_steps_and_does_none(self, project, tmp_path, trainings) -> None:
        done, said = called("release", "../data", "--keep", tmp_path / "clone", "--dry-run")
        assert done.exit_code == 0
        assert [line[:2] for line in done.output.splitlines()] == ["1.", "2.", "3.", "4.", "5.", "6."]
        assert "dvc exp run --name release-" in said
        assert '-S evaluate.screening_model="ensemble" -S prepare.expected_files=60' in said
        assert "MODEL_CARD_FAST.md" in said
        assert trainings == []
        assert not (tmp_path / "clone").exists()
        assert git(project, "status", "--porcelain") == ""

    @pytest.mark.parametrize("name", ["release.yaml", "new.txt"])
    def test_what_is_not_committed_is_refused(self, name, project, trainings) -> None:
        (project / name).write_text("changed: 1\n")
        done, said = called("release", "../data")
        assert done.exit_code == 1
        assert f"{name} differ from the last commit, and a release is made from that alone" in said
        assert trainings == []

    def test_what_is_no_clone_of_this_commit_is_refused(self, project, tmp_path) -> None:
        (tmp_path / "other").mkdir()
        (tmp_path / "other/file").write_text("")
        with pytest.raises(DataError, match="is not a clone of this project at"):
            plan(project, tmp_path / "data", tmp_path / "other")
        with pytest.raises(DataError, match="is not a clone of this project at"):
            plan(project, tmp_path / "data", tmp_path / "other/file")
        with pytest.raises(DataError, match="gone does not exist; expected a folder or an archive"):
            plan(project, tmp_path / "gone", tmp_path / "clone")


@pytest.mark.parametrize("text", ["- a\n", "prepare:\n  expected_files: 3\n", "a: [\n", None])
def test_params_of_a_release_are_a_flat_mapping(text, tmp_path):
    if text:
        (tmp_path / "release.yaml").write_text(text)
    with pytest.raises(ParamsError, match=r"release\.yaml .* expected lines such as: evaluate\.fast_model: cnn1"):
        read_overrides(tmp_path / "release.yaml")


def test_a_process_runs_in_the_folder_and_its_words_come_back(tmp_path):
    code = "import os, sys; print(os.getcwd(), os.environ['WORD']); sys.exit(4)"
    status, said = project_python(tmp_path, "-c", code, variables={"WORD": "hello"})
    assert (status, said.split()) == (4, [str(tmp_path), "hello"])
    assert last_words("\n".join(map(str, range(20)))) == " | ".join(map(str, range(12, 20)))
    assert last_words(" \n") == "nothing"


STAGE = """stages:
  made:
    cmd: python -c "import sys; sys.path[0:0] = ['.']; import of_clone; of_clone.run()"
    deps: [data]
    params: [a.word, a.number, a.names]
    outs: [models]
"""
CODE = "def run():\n    import pathlib, shutil; shutil.copytree('data', 'models')\n"


@pytest.mark.slow
def test_dvc_keeps_the_experiment_with_the_imported_data_and_the_params_of_the_release(tmp_path, monkeypatch):
    """A real DVC with a stage of one line; the import is a stand-in."""
    root = tmp_path / "project"
    root.mkdir()
    for name, text in {
        "params.yaml": "a: {word: x, number: 1, names: [y]}\n",
        "release.yaml": "a.word: two words\na.number: 0.5\na.names: [p, q]\n",
        "dvc.yaml": STAGE,
        "of_clone.py": CODE,
        ".gitignore": "/data\n/models\n",
    }.items():
        (root / name).write_text(text)
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["git", "add", "-A"], ["git", "commit", "-qm", "1"]):
        run(root, *command)
    for key, value in variables(root).items():
        monkeypatch.setenv(key, value)

    def imported(clone: Path, *_: str, **__: object) -> tuple[int, str]:
        (clone / "data").mkdir(exist_ok=True)
        (clone / "data/film").write_text("a film")
        run(clone, "dvc", "add", "-q", "data")
        return 0, ""

    monkeypatch.setattr(released, "project_python", imported)
    planned = plan(root, tmp_path, tmp_path / "clone")
    commit = released.train(planned)
    params = git(root, "show", f"{commit}:params.yaml")
    assert YAML(typ="safe").load(params) == {"a": {"word": "two words", "number": 0.5, "names": ["p", "q"]}}
    assert "path: data" in git(root, "show", f"{commit}:data.dvc")
    assert (tmp_path / "clone/models/film").read_text() == "a film"
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "rev-parse", experiment_ref(root, planned.experiment)).strip() == commit
    cached = set((tmp_path / "clone/.dvc/cache/runs").rglob("*"))
    assert cached
    released.train(plan(root, tmp_path, tmp_path / "clone"))
    assert set((tmp_path / "clone/.dvc/cache/runs").rglob("*")) == cached
