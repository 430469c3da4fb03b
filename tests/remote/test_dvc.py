"""Two revisions of a repository that is made here, and never checked out again."""

import json
import pickle
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr.cli.tables import verify_app
from cxr.screening.tables import read_table
from tests.cli.batches import column, run
from tests.dvc import run as command
from tests.dvc import variables
from tests.imports import ROOT
from tests.remote.places import manifest
from tests.screening.drawings import save
from tests.screening.fakes import FakeModel

pytest.importorskip("dvc.api", reason="needs the extra 'pipeline'")


@dataclass
class Project:
    folder: Path
    commits: dict[str, str]
    first: Path  # the data as they were at the tag v1, and at v2, outside of any repository
    second: Path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    base = tmp_path_factory.mktemp("dvc")
    folder = base / "repo"
    folder.mkdir()
    commits = {}
    store = ["dvc", "remote", "add", "-q", "-d", "store", str(base / "store")]
    for step in (["git", "init", "-q"], ["dvc", "init", "-q"], store):
        command(folder, *step)
    data = folder / "data"
    for number in range(9):
        save(data, f"ward {number % 2}/{number}.png", (25 * number, 200, 90))
    (data / "broken.png").write_bytes(b"")
    (data / "notes").write_text("no image")
    save(folder, "kept by git/a.png", (10, 20, 200))
    shutil.copytree(Path(__file__).parents[2] / "cxr" / "packaged", folder / "models" / "screening")

    def commit(tag: str) -> None:
        command(folder, "dvc", "add", "-q", "data", "models/screening")
        command(folder, "git", "add", "-A")
        command(folder, "git", "commit", "-q", "-m", tag)
        command(folder, "git", "tag", tag)
        command(folder, "dvc", "push", "-q")
        commits[tag] = command(folder, "git", "rev-parse", tag).stdout.strip()
        shutil.copytree(data, base / tag, dirs_exist_ok=True)

    commit("v1")
    save(data, "ward 0/new.png", (1, 2, 3))
    (data / "ward 1/3.png").unlink()
    save(data, "ward 1/3.png", (255, 0, 255))
    (data / "ward 0/4.png").unlink()
    commit("v2")
    shutil.rmtree(data)
    return Project(folder, commits, base / "v1", base / "v2")


@pytest.fixture
def screened(project: Project, tmp_path: Path, model: FakeModel) -> Path:
    """The table of v1."""
    assert model
    run("dvc://data", "--repo", project.folder, "--rev", "v1", "-o", tmp_path / "v1.csv")
    return tmp_path / "v1.csv"


@pytest.mark.usefixtures("model")
class TestData:
    def test_a_revision_gives_the_table_of_its_files(self, project: Project, tmp_path: Path) -> None:
        for rev, folder in (("v1", project.first), ("v2", project.second)):
            run(folder, "-o", tmp_path / "local.csv", "--overwrite")
            run("dvc://data", "--repo", project.folder, "--rev", rev, "-o", tmp_path / "r.csv", "--overwrite")
            assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()
            assert manifest(tmp_path / "r.csv")["counts"] == manifest(tmp_path / "local.csv")["counts"]

    def test_rows_differ_exactly_where_the_data_do(self, project: Project, screened: Path, tmp_path: Path) -> None:
        run("dvc://data", "--repo", project.folder, "-o", tmp_path / "v2.csv")  # HEAD
        before, after = ({row["path"]: row for row in read_table(one)} for one in (screened, tmp_path / "v2.csv"))
        differing = {path for path in {*before, *after} if before.get(path) != after.get(path)}
        assert differing == {"ward 0/new.png", "ward 1/3.png", "ward 0/4.png"}

    def test_the_manifest_names_repository_commit_and_md5(self, project: Project, screened: Path) -> None:
        request = manifest(screened)["request"]
        assert request["git"] == {"commit": project.commits["v1"], "changed": False}
        tracked = command(project.folder, "git", "show", "v1:data.dvc").stdout
        assert request["dvc"]["md5"]["data"] in tracked
        assert (request["dvc"]["repo"], request["dvc"]["rev"]) == (str(project.folder), "v1")
        assert request["root"] == "dvc://data"

    def test_the_repository_of_the_working_directory_is_the_default(
        self, project: Project, screened: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(project.folder)
        run("dvc://data", "--rev", "v1", "-o", tmp_path / "r.csv")
        assert (tmp_path / "r.csv").read_bytes() == screened.read_bytes()
        assert manifest(tmp_path / "r.csv")["request"]["dvc"]["repo"] == str(project.folder)

    def test_files_that_git_keeps_are_there_too(self, project: Project, tmp_path: Path) -> None:
        run("dvc://kept by git", "--repo", project.folder, "-o", tmp_path / "r.csv")
        assert column(tmp_path / "r.csv", "path") == ["a.png"]
        assert "going on: 1 of 1" in run("dvc://kept by git", "--repo", project.folder, "-o", tmp_path / "r.csv").stderr

    def test_the_whole_repository_can_be_screened(self, project: Project, tmp_path: Path) -> None:
        run("dvc://", "--repo", project.folder, "-o", tmp_path / "r.csv", "--include", "*.png")
        assert "data/ward 0/new.png" in column(tmp_path / "r.csv", "path")
        assert "kept by git/a.png" in column(tmp_path / "r.csv", "path")

    def test_the_same_output_at_a_new_revision_reads_what_changed(
        self, project: Project, screened: Path, tmp_path: Path
    ) -> None:
        again = run("dvc://data", "--repo", project.folder, "--rev", "v2", "-o", screened)
        assert "going on: 7 of 10 files were done before; 1 other had no row; 1 failed" in again.stderr
        run(project.second, "-o", tmp_path / "local.csv")
        assert screened.read_bytes() == (tmp_path / "local.csv").read_bytes()

    def test_a_repository_elsewhere_is_read_through_its_remote_and_leaves_nothing(
        self, project: Project, screened: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "tmp").mkdir()
        code = "from cxr.cli.batch import script; script()"
        given = ["dvc://data", "--repo", project.folder.as_uri(), "--rev", "v1", "-o", str(tmp_path / "r.csv")]
        done = subprocess.run(
            [sys.executable, "-c", code, *given, "--model", "dvc:models/screening@v2"],
            env=variables(project.folder) | {"TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 3, done.stderr
        assert column(tmp_path / "r.csv", "sha256") == column(screened, "sha256")
        assert manifest(tmp_path / "r.csv")["models"][0]["dvc"]["commit"] == project.commits["v2"]
        assert list((tmp_path / "tmp").iterdir()) == []

    def test_a_store_can_be_handed_to_another_process(self, project: Project) -> None:
        from cxr.remote.dvc import open_revision, revision_of
        from cxr.screening.candidates import Query
        from cxr.screening.discovery import discover
        from cxr.screening.paths import Naming

        store = open_revision(revision_of(str(project.folder), "v1"), ["dvc://data"])
        again = pickle.loads(pickle.dumps(store))
        assert discover(Query([]), Naming(again)) == discover(Query([]), Naming(store))

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--rev", "nowhere"], "has no revision nowhere"),
            (
                ["--repo", "https://t0ken@127.0.0.1:1/x.git"],
                "the repository https://127.0.0.1:1/x.git cannot be opened",
            ),
        ],
    )
    def test_what_is_not_there_is_said(self, options: list[str], words: str, project: Project, tmp_path: Path) -> None:
        result = run("dvc://data", "--repo", project.folder, *options, "-o", tmp_path / "r.csv")
        assert result.exit_code == 2
        assert words in result.stderr
        assert "t0ken" not in result.stderr


@pytest.mark.usefixtures("model")
class TestChangedSince:
    def since(self, project: Project, output: Path, *more: object) -> str:
        result = run(
            "dvc://data", "--repo", project.folder, "--rev", "v2", "--changed-since", "v1", "-o", output, *more
        )
        return result.stderr

    def test_only_what_changed_is_screened_and_what_is_gone_is_named(self, project: Project, tmp_path: Path) -> None:
        assert "9 files left aside as unchanged" in self.since(project, tmp_path / "r.csv")
        assert column(tmp_path / "r.csv", "path") == ["ward 0/new.png", "ward 1/3.png"]
        facts = manifest(tmp_path / "r.csv")
        assert facts["request"]["changed_since"] == {
            "rev": "v1",
            "commit": project.commits["v1"],
            "new": 1,
            "changed": 1,
            "unchanged": 9,
            "deleted": ["ward 0/4.png"],
        }
        assert facts["counts"]["skipped_because"]["unchanged"] == 9
        assert facts["counts"]["discovered"] == 11

    def test_with_the_earlier_table_it_equals_a_whole_run(
        self, project: Project, screened: Path, tmp_path: Path
    ) -> None:
        said = self.since(project, tmp_path / "r.csv", "--earlier", screened, "--verbose")
        assert [line.split(":")[0] for line in said.splitlines() if "ward" in line] == [
            "ward 0/new.png",
            "ward 1/3.png",
        ]
        run("dvc://data", "--repo", project.folder, "--rev", "v2", "-o", tmp_path / "whole.csv")
        assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
        assert manifest(tmp_path / "r.csv")["request"]["earlier"]["rows"] == 10

    def test_nothing_changed_is_an_empty_table(self, project: Project, tmp_path: Path) -> None:
        result = run(
            *("dvc://data", "--repo", project.folder, "--rev", "v2", "--changed-since", "v2"),
            *("-o", tmp_path / "r.csv"),
        )
        assert result.exit_code == 0
        assert column(tmp_path / "r.csv", "path") == []

    def test_a_table_of_another_model_is_refused(
        self, project: Project, screened: Path, tmp_path: Path, model: FakeModel
    ) -> None:
        model.network_sha256 = "ff" * 32
        said = self.since(project, tmp_path / "r.csv", "--earlier", screened)
        assert "another model" in said
        assert "leave out --earlier" in said
        assert not (tmp_path / "r.csv").exists()

    def test_a_table_of_another_revision_is_refused(self, project: Project, screened: Path, tmp_path: Path) -> None:
        result = run(
            *("dvc://data", "--repo", project.folder, "--rev", "v2", "--changed-since", "v2"),
            *("--earlier", screened, "-o", tmp_path / "r.csv"),
        )
        assert f"was made at {project.commits['v1']}" in result.stderr

    def test_a_table_that_was_altered_is_refused(self, project: Project, screened: Path, tmp_path: Path) -> None:
        screened.write_bytes(screened.read_bytes().replace(b"covid", b"divoc"))
        assert "is not what its manifest describes" in self.since(project, tmp_path / "r.csv", "--earlier", screened)


class TestModel:
    def test_a_model_of_a_tag_answers_and_is_named(self, project: Project, tmp_path: Path, cache: Path) -> None:
        result = run(
            *(project.first, "-o", tmp_path / "r.csv", "--repo", project.folder),
            *("--model", "dvc:models/screening@v1"),
        )
        assert result.exit_code in (0, 3), result.stderr
        (named,) = manifest(tmp_path / "r.csv")["models"]
        tracked = command(project.folder, "git", "show", "v1:models/screening.dvc").stdout
        assert named["dvc"]["md5"] in tracked
        assert (named["dvc"]["commit"], named["dvc"]["path"]) == (project.commits["v1"], "models/screening")
        description = json.loads((project.folder / "models/screening/model.json").read_text())
        assert named["sha256"] == description["network"]["sha256"]
        assert list((cache / "cxr-batch" / "models").glob("*/screening/model.json"))
        checked = CliRunner().invoke(
            verify_app, [str(tmp_path / "r.csv"), "--model", "dvc:models/screening@v1", "--repo", str(project.folder)]
        )
        assert checked.exit_code == 0, checked.stdout

    def test_a_table_of_a_revision_is_screened_again_from_that_revision(self, project: Project, tmp_path: Path) -> None:
        run("dvc://data", "--repo", project.folder, "--rev", "v1", "--model", "packaged", "-o", tmp_path / "r.csv")
        checked = CliRunner().invoke(verify_app, [str(tmp_path / "r.csv"), "--model", "packaged", "--rescore", "5"])
        assert checked.exit_code == 0, checked.stdout
        assert "5 rows screened again" in checked.stdout

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("dvc:models/none@v1", "the model models/none at v1 of"),
            ("dvc:models/screening@nowhere", "has no revision nowhere"),
            ("dvc:@v1", "names no folder"),
        ],
    )
    def test_a_model_that_is_not_there_is_said(self, name: str, words: str, project: Project, tmp_path: Path) -> None:
        result = run(project.first, "-o", tmp_path / "r.csv", "--repo", project.folder, "--model", name)
        assert result.exit_code in (1, 2)
        assert words in result.stderr
        assert (
            "models/none at v1" in result.stderr or "no revision" in result.stderr or "names no fold" in result.stderr
        )


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_a_model_of_an_experiment_answers_and_is_named(project: Project, tmp_path: Path) -> None:
    """`dvc exp run` of a stage that writes the folder of a network."""
    folder = tmp_path / "repo"
    folder.mkdir()
    for step in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        command(folder, *step)
    (folder / "params.yaml").write_text("note: first\n")
    source = project.folder / "models" / "screening"
    (folder / "dvc.yaml").write_text(
        "stages:\n  train:\n"
        f"    cmd: mkdir -p models/screening && cp {source}/* models/screening/\n"
        "    params: [note]\n    outs: [models/screening]\n"
    )
    command(folder, "git", "add", "-A")
    command(folder, "git", "commit", "-q", "-m", "stage")
    command(folder, "dvc", "exp", "run", "-q", "-n", "warm-film", "-S", "note=second")
    result = run(
        *(project.first, "-o", tmp_path / "r.csv", "--repo", folder, "--model", "dvc:models/screening@warm-film")
    )
    assert result.exit_code in (0, 3), result.stderr
    named = manifest(tmp_path / "r.csv")["models"][0]["dvc"]
    assert named["rev"] == "warm-film"
    listed = command(folder, "git", "for-each-ref", "--format=%(objectname)", "refs/exps").stdout.split()
    assert named["commit"] in listed
    assert named["md5"].endswith(".dir")


def test_without_dvc_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "dvc.api", None)
    result = run("dvc://data", "-o", tmp_path / "r.csv")
    assert result.exit_code == 2
    assert "pip install '.[pipeline]'" in result.stderr
