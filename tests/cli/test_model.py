"""cxr-model from the command line."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr.cli.model import app
from cxr.core.files import read_json, write_json
from cxr.core.manifest import write_images, write_table
from cxr.inference.model_folder import load_model, packaged_folder
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


class TestPackage:
    def packaged(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **said: object) -> tuple[int, str]:
        """Package a model by a comparison; into a folder of the test's own."""
        model, compared = audited(tmp_path / "new"), tmp_path / "compare.json"
        identity = load_model(model).identity
        write_json(compared, {"new": {"model": identity}, "not_worse": True} | said)
        monkeypatch.setattr("cxr.inference.model_folder.named_folder", lambda _: tmp_path / "package")
        card = tmp_path / "CARD.md"
        done, text = called("package", model, "--commit", "abc", "--card", card, "--compared", compared)
        assert card.exists() == (tmp_path / "package").exists() == (done.exit_code == 0)
        return done.exit_code, text

    def test_what_is_not_worse_is_packaged(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        status, said = self.packaged(tmp_path, monkeypatch)
        assert (status, "packaged cnn1" in said) == (0, True)

    def test_what_is_worse_is_not(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        status, said = self.packaged(tmp_path, monkeypatch, not_worse=False)
        assert status == 3
        assert "nothing was packaged" in said

    def test_a_comparison_of_another_model_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        status, said = self.packaged(tmp_path, monkeypatch, new={"model": "other-0123456789ab"})
        assert status == 1
        assert "is of other-0123456789ab, not of the model in" in said
