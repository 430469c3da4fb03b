"""cxr-model from the command line."""

import json
import shutil
from pathlib import Path

from typer.testing import CliRunner

from cxr.cli.model import app
from cxr.core.files import read_json, write_json
from cxr.core.manifest import write_images, write_table
from cxr.inference.model_folder import packaged_folder
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
