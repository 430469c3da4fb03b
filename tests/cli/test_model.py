"""cxr-model from the command line."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from cxr.cli.model import app
from cxr.core.files import read_json, write_json
from cxr.core.manifest import write_images, write_table
from cxr.inference.model_folder import load_model, packaged_folder
from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom
from tests.cli.batches import column, run
from tests.decision_forms import with_decisions
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

    def test_a_name_that_promises_another_form_is_refused_before_anything_is_measured(self, tmp_path: Path) -> None:
        done, said = called("compare", audited(tmp_path / "new"), "packaged", "--json", tmp_path / "c.csv")
        assert done.exit_code == 2
        assert "JSON is written there, and no .csv; name it c.json" in " ".join(said.split())

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
        monkeypatch.setattr("cxr.inference.model_folder.packaged_folder", lambda: tmp_path / "package")
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


class TestAdapt:
    """Films of a site: phantoms, in the packaged network, which takes them for whatever it does."""

    @pytest.fixture
    def films(self, tmp_path: Path) -> Path:
        folder = tmp_path / "films"
        folder.mkdir()
        for number in range(24):
            Image.fromarray(draw_phantom(Finding.NONE, (7, number), 0).luminance).save(folder / f"{number}.png")
        shutil.copy(folder / "0.png", folder / "copy.png")
        (folder / "torn.png").write_bytes((folder / "0.png").read_bytes()[:400])
        (folder / "notes.txt").write_text("no film")
        return folder

    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        return with_decisions(tmp_path / "model")

    def test_an_adapted_model_screens_and_says_so(self, films: Path, model: Path, tmp_path: Path) -> None:
        out = tmp_path / "north"
        done, said = called("adapt", films, "--known", "normal", "--site", "north", "-o", out, "--model", model)
        assert done.exit_code == 0, said
        assert "24 films of north" in said
        assert "1 cannot be read: torn.png; cxr-batch gives each a row" in " ".join(said.split())
        adapted = load_model(out).description["adapted"]
        assert (adapted["films"], adapted["unreadable"]) == (24, 1)
        assert "how many cases are lost is not known: the model keeps no answers of its own validation" in said
        screened = run(films, "-o", tmp_path / "r.csv", "--model", out)
        assert "adapted" in screened.stderr
        assert "on validation before it was adapted)" in " ".join(screened.stderr.split())
        assert "-north-" in column(tmp_path / "r.csv", "model")[0]
        suspected = [word for word in column(tmp_path / "r.csv", "decision") if word == "covid_suspected"]
        assert len(suspected) <= 3

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ((), "--known normal"),
            (("--known", "normal", "--target-share", "0.1"), "--known normal"),
            (("--known", "covid"), "expected one of normal"),
            (("--target-share", "nan"), "--target-share is nan"),
            (("--known", "normal", "--specificity", "nan"), "--specificity is nan"),
        ],
    )
    def test_nothing_is_guessed_of_the_films(
        self, films: Path, model: Path, tmp_path: Path, options: tuple[str, ...], said: str
    ) -> None:
        out = tmp_path / "north"
        done, text = called("adapt", films, *options, "--site", "north", "-o", out, "--model", model)
        assert done.exit_code in (1, 2)
        assert said in text
        assert not out.exists()

    def test_a_folder_that_is_there_stays(self, films: Path, model: Path) -> None:
        done, said = called("adapt", films, "--known", "normal", "--site", "a", "-o", model, "--model", model)
        assert done.exit_code == 2
        assert "is there" in said

    def test_a_folder_without_films_is_said(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "none").mkdir()
        arguments = ("--known", "normal", "--site", "a", "-o", tmp_path / "b", "--model", model)
        done, said = called("adapt", tmp_path / "none", *arguments)
        assert done.exit_code == 1
        assert "no film" in said
