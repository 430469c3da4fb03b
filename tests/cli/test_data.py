import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr.cli.data import app
from cxr.ingest.importer import only_import
from tests.dataset.releases import PARAMS, digest, make_project, png, release_files, write_tree, write_zip
from tests.imports import ROOT

runner = CliRunner()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


@pytest.fixture
def dvc_project(project: Path, tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    subprocess.run(["git", "init", "--quiet", str(project)], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=project, check=True)
    return project


def run(*arguments: str | Path):
    return runner.invoke(app, [str(argument) for argument in arguments])


def test_an_import_counts_what_it_takes_and_names_what_it_leaves(tmp_path: Path, project: Path) -> None:
    extra = {"MERS [1]/a.png": png(1), "COVID/note.txt": b"", "patients.csv": b"file,patient_id\nnowhere.png,1\n"}
    result = run("import", write_tree(tmp_path / "source", release_files() | extra), "--root", project, "--no-dvc")
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "covid 3 1 8-bit L: 3 8x8: 3" in lines
    assert "lung_opacity (discarded) 1 0 8-bit L: 1 8x8: 1" in lines
    assert "Left out: the folder MERS [1] with 1 images; it is neither in 'classes' nor in 'prepare.discard'" in (
        " ".join(lines)
    )
    assert "Left out: 1 files of class folders that are not images by their names." in lines
    assert "Left out: 1 lines of patients.csv or collections.csv that name no imported file." in lines
    assert lines[-1] == "data/ has 5 images of the classes; next: dvc repro"
    assert (project / "params.yaml").read_text() == PARAMS.replace("files: 1 ", "files: 5 ")
    assert (project / "data.dvc").read_text() == "outs:\n- path: data\n", "the sample's remote is not for these images"


def test_the_sources_of_the_sheets_are_counted(tmp_path: Path, project: Path) -> None:
    import pandas as pd

    source = write_tree(tmp_path / "source", release_files("top/"))
    sheet = pd.DataFrame({"FILE NAME": ["COVID-1", "COVID-2"], "URL": ["https://one.example", "https://one.example"]})
    sheet.to_excel(source / "top/covid.metadata.xlsx", index=False)
    result = run("import", source, "--root", project, "--no-dvc")
    assert result.exit_code == 0, result.output
    words = " ".join(result.stdout.split())
    assert "covid 2 https://one.example 1 unknown lung_opacity (discarded) 1 unknown normal 2 unknown" in words
    assert (project / "data/COVID.metadata.xlsx").is_file()


def test_unreadable_images_stop_the_import_unless_allowed(tmp_path: Path, project: Path) -> None:
    source = write_zip(tmp_path / "a.zip", release_files() | {"Normal/images/bad[1].png": png(1)[:50]})
    before = digest(project)
    result = run("import", source, "--root", project, "--no-dvc")
    assert result.exit_code == 1
    assert "1 of 7 images cannot be used: Normal/images/bad[1].png (" in result.stderr
    assert digest(project) == before
    allowed = run("import", source, "--root", project, "--no-dvc", "--allow-unreadable")
    assert allowed.exit_code == 0, allowed.output
    assert "Imported all the same: 1 unreadable images" in allowed.stdout
    assert "files: 6 " in (project / "params.yaml").read_text()


def test_a_size_that_is_no_number_is_a_usage_error(tmp_path: Path, project: Path) -> None:
    result = run("import", tmp_path, "--root", project, "--no-dvc", "--max-gigabytes", "nan")
    assert result.exit_code == 2
    assert "--max-gigabytes is nan" in result.stderr


def test_an_archive_over_max_gigabytes_names_the_option(tmp_path: Path, project: Path) -> None:
    source = write_zip(tmp_path / "a.zip", release_files() | {"COVID/images/big.png": os.urandom(2_000_000)})
    result = run("import", source, "--root", project, "--no-dvc", "--max-gigabytes", "0.001")
    assert result.exit_code == 1
    assert "more than 0.001 GB; if that is what you expect, raise --max-gigabytes" in result.stderr


def test_a_project_without_dvc_is_refused_before_the_release_is_read(tmp_path: Path, project: Path) -> None:
    result = run("import", tmp_path / "not-even-there.zip", "--root", project)
    assert result.exit_code == 1
    assert "is not in a DVC project" in result.stderr


def test_dvc_tracks_the_new_data_without_the_remote_of_the_sample(tmp_path: Path, dvc_project: Path) -> None:
    result = run("import", write_zip(tmp_path / "a.zip", release_files("x/")), "--root", dvc_project)
    assert result.exit_code == 0, result.output
    tracked = (dvc_project / "data.dvc").read_text()
    assert "nfiles: 7" in tracked
    assert "remote" not in tracked
    assert set(digest(dvc_project / "data")) == set(release_files())


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_the_images_never_reach_a_remote_in_the_repository_also_where_dvc_stages_what_it_writes(
    tmp_path: Path, dvc_project: Path
) -> None:
    for setting in ("core.autostage true", "remote.sample.url sample-store"):
        subprocess.run([sys.executable, "-m", "dvc", "config", *setting.split()], cwd=dvc_project, check=True)
    git(dvc_project, "add", "-A", ":!data")
    git(dvc_project, "-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "-qm", "sample")
    result = run("import", write_zip(tmp_path / "a.zip", release_files()), "--root", dvc_project)
    assert result.exit_code == 0, result.output
    staged = git(dvc_project, "show", ":data.dvc")
    assert "md5: " in staged, "DVC has staged it"
    assert "remote" not in staged, "what is staged is what gets committed"
    git(dvc_project, "checkout", "-q", "data.dvc")
    subprocess.run([sys.executable, "-m", "dvc", "push", "-q"], cwd=dvc_project, check=False)
    assert not (dvc_project / ".dvc/sample-store").exists()
    assert git(dvc_project, "ls-files", "--others", "--exclude-standard") == ""


def test_a_failing_dvc_add_puts_everything_back(tmp_path: Path, dvc_project: Path) -> None:
    (dvc_project / "data.dvc").write_text("outs: 5\n")
    before = digest(dvc_project)
    result = run("import", write_zip(tmp_path / "a.zip", release_files()), "--root", dvc_project)
    assert result.exit_code == 1
    assert "'dvc add data' failed; everything was put back as it was. DVC says:" in result.stderr
    assert digest(dvc_project) == before


def test_what_a_killed_import_left_is_cleared_away_and_data_of_before_are_named(tmp_path: Path, project: Path) -> None:
    write_tree(project, {".cxr-import-abc/unpacked/a.png": b"", ".cxr-import-def/old/COVID/images/mine.png": b"mine"})
    result = run("import", write_zip(tmp_path / "a.zip", release_files()), "--root", project, "--no-dvc")
    assert result.exit_code == 0, result.stderr
    assert ".cxr-import-def/old is the data from before an import that was killed; remove .cxr-import-def" in (
        " ".join(result.stderr.split())
    )
    assert sorted(path.name for path in project.iterdir()) == [".cxr-import-def", "data", "data.dvc", "params.yaml"]


def test_data_that_a_killed_import_had_moved_aside_are_put_back_by_the_next(tmp_path: Path, project: Path) -> None:
    before = digest(project)
    (project / ".cxr-import-abc").mkdir()
    (project / "data").rename(project / ".cxr-import-abc/old")
    assert run("import", tmp_path / "nowhere.zip", "--root", project, "--no-dvc").exit_code == 1
    assert digest(project) == before


def test_a_link_to_data_that_a_killed_import_had_moved_aside_is_put_back_too(tmp_path: Path, project: Path) -> None:
    (project / "data").rename(tmp_path / "elsewhere")
    (project / ".cxr-import-abc").mkdir()
    (project / ".cxr-import-abc/old").symlink_to("../elsewhere")
    assert run("import", tmp_path / "nowhere.zip", "--root", project, "--no-dvc").exit_code == 1
    assert (project / "data").readlink() == Path("../elsewhere")
    assert not (project / ".cxr-import-abc").exists()


def test_of_two_imports_at_once_the_second_stops(tmp_path: Path, project: Path) -> None:
    source = write_zip(tmp_path / "a.zip", release_files())
    before = digest(project)
    with only_import(project):
        result = run("import", source, "--root", project, "--no-dvc")
        assert result.exit_code == 1
        assert f"another import is at work in {project}; wait for it" in " ".join(result.stderr.split())
    assert digest(project) == before
    assert run("import", source, "--root", project, "--no-dvc").exit_code == 0
    assert sorted(path.name for path in project.iterdir()) == ["data", "data.dvc", "params.yaml"]


def test_the_lock_of_an_import_that_was_killed_keeps_nobody_out(tmp_path: Path, project: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from cxr.ingest.importer import only_import\n"
        "with only_import(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(project)], check=False)
    assert (project / ".cxr-import.lock").exists()
    result = run("import", write_zip(tmp_path / "a.zip", release_files()), "--root", project, "--no-dvc")
    assert result.exit_code == 0, result.stderr


def test_weights_without_a_network_end_in_one_line(tmp_path: Path, monkeypatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("cxr.models.urlopen", offline)
    result = run("weights", "resnet50", "--root", tmp_path)
    assert result.exit_code == 1
    assert "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5 could not be fetched (no network)" in result.stderr
    assert str(tmp_path / "weights/resnet50") in result.stderr


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("lite0", "there is nothing to fetch for lite0; run: dvc pull weights/lite0/imagenet.npz"),
        ("cnn1", "there is nothing to fetch for cnn1; it always begins at random"),
        ("alexnet", "there is no network in cxr/models/alexnet.py"),
    ],
)
def test_weights_that_are_not_fetched_say_why_and_what_to_do(name: str, sentence: str, tmp_path: Path) -> None:
    result = run("weights", name, "--root", tmp_path)
    assert result.exit_code == 1
    assert sentence in " ".join(result.stderr.split())


def test_several_networks_are_asked_for_at_once_and_a_wrong_one_before_any_is_fetched(
    tmp_path: Path, monkeypatch
) -> None:
    fetched: list[Path] = []
    monkeypatch.setattr("cxr.models.fetch", lambda _, folder, __: fetched.append(folder) or True)
    assert run("weights", "vgg16", "cnn1", "--root", tmp_path).exit_code == 1
    assert fetched == []
    result = run("weights", "vgg16", "resnet50", "--root", tmp_path)
    assert fetched == [tmp_path / "weights/vgg16", tmp_path / "weights/resnet50"]
    assert result.stdout.count(": fetched") == 2


RECIPE = "epochs: 3, patience: 2, learning_rate: 0.001, augment: {}"
TRAINED = f"""{PARAMS}train_cnn1: {{side: 32, {RECIPE}}}
train_vgg16:
  weights: random  # for now
  side: 32
  epochs: 3
  patience: 2
  learning_rate: 0.001
  augment: {{}}
  dropout:         # none said
"""


def test_after_an_import_the_way_to_imagenet_is_said_where_networks_start_at_random(
    tmp_path: Path, project: Path
) -> None:
    source = write_tree(tmp_path / "source", release_files())
    (project / "params.yaml").write_text(TRAINED)
    (project / "params.imagenet.yaml").write_text("train_vgg16: {weights: imagenet, dropout: 0.1}\n")
    said = run("import", source, "--root", project, "--no-dvc").stdout
    assert "vgg16 would start from random weights" in said
    assert said.endswith("\n  cxr-data weights vgg16\n  cxr-data preset params.imagenet.yaml\n")
    assert run("preset", project / "params.imagenet.yaml", "--root", project).exit_code == 0
    assert "imagenet" not in run("import", source, "--root", project, "--no-dvc").stdout


def test_a_preset_changes_the_values_that_it_names_and_no_other_byte(tmp_path: Path, project: Path) -> None:
    (project / "params.yaml").write_text(TRAINED)
    (tmp_path / "p.yaml").write_text(
        "seed: 7\nimage: {side: 224}\ntrain_vgg16: {weights: imagenet, side: 224, dropout: 0.1}\n"
    )
    result = run("preset", tmp_path / "p.yaml", "--root", project)
    assert result.exit_code == 0, result.output
    assert "p.yaml: image, train_vgg16" in " ".join(result.stdout.split())
    expected = TRAINED.replace("side: 32\n", "side: 224\n").replace("random  #", "imagenet #")
    assert (project / "params.yaml").read_text() == expected.replace("dropout:         #", "dropout: 0.1     #")
    again = run("preset", tmp_path / "p.yaml", "--root", project)
    assert again.exit_code == 0
    assert again.stdout.endswith("p.yaml already\n")


def test_a_preset_that_does_not_fit_changes_nothing(tmp_path: Path, project: Path) -> None:
    (project / "params.yaml").write_text(TRAINED)
    (tmp_path / "p.yaml").write_text("image: {side: 112}\ntrain_vgg16: {depth: 3}\n")
    result = run("preset", tmp_path / "p.yaml", "--root", project)
    assert result.exit_code == 1
    assert "has no value train_vgg16.depth; add it there" in " ".join(result.stderr.split())
    assert (project / "params.yaml").read_text() == TRAINED


@pytest.mark.parametrize(
    ("preset", "sentence"),
    [
        ("train_cnn1: {epochs: many}", "params.yaml: train_cnn1.epochs: input should be a valid integer, got 'many'"),
        ("train_cnn1: {epochs: '12'}", "train_cnn1.epochs: input should be a valid integer, got '12'"),
        ("train_cnn1: {dropout: 7}", "train_cnn1.dropout: input should be less than 1, got 7"),
        ("train_vgg16: {weights: none}", "train_vgg16.weights: string should match pattern"),
        ("train_vgg16: {side: 64}", "train_vgg16.side is 64, but the planes have 32 pixels; lower it, or raise image"),
        ("image: {side: 9}", "image.side: input should be greater than or equal to 32, got 9"),
        ("seed: -1", "params.yaml: seed: input should be greater than or equal to 0, got -1"),
        ("runtime: {devices: gpu}", "params.yaml: runtime.devices: input should be 'automatic', 'one_gpu' or 'cpu'"),
        ("split: {test: 0.3}", "params.yaml: split.test is 0.3, which is not one k-th of the images"),
        ("split: {test: 0.5, validation: 0.5}", "so nothing is left to train on"),
        ("balance: {rows: all, per_class: 3}", "balance.rows is 'all', so balance.per_class and balance.blocks must"),
        ("evaluate: {alpha: 2}", "params.yaml: evaluate.alpha: input should be less than 0.5, got 2"),
        ("evaluate: {target: flu}", "evaluate.target is 'flu', which is none of the classes covid, normal, viral_pneu"),
    ],
)
def test_a_preset_that_a_stage_would_refuse_changes_nothing_and_says_what_the_stage_would(
    preset: str, sentence: str, tmp_path: Path, project: Path
) -> None:
    before = (ROOT / "params.yaml").read_text().replace("dropout: 0.2", "dropout: 0.0").replace("side: 48", "side: 32")
    before = before.replace("side: 128", "side: 32").replace("side: 64", "side: 32")
    (project / "params.yaml").write_text(before)
    (tmp_path / "bad.yaml").write_text(f"{preset}\n")
    result = run("preset", tmp_path / "bad.yaml", "--root", project)
    said = " ".join(result.stderr.split())
    assert result.exit_code == 1, said
    assert sentence in said
    assert "so nothing is changed" in said
    assert (project / "params.yaml").read_text() == before


@pytest.mark.parametrize("shipped", ["params.imagenet.yaml", "params.demo.yaml", "params.yaml"])
def test_what_ships_is_taken_as_a_preset_and_params_as_they_are_change_nothing(shipped: str, tmp_path: Path) -> None:
    before = (ROOT / "params.yaml").read_bytes()
    (tmp_path / "params.yaml").write_bytes(before)
    result = run("preset", ROOT / shipped, "--root", tmp_path)
    assert result.exit_code == 0, result.output
    assert ((tmp_path / "params.yaml").read_bytes() == before) == (shipped == "params.yaml")


def test_the_params_of_the_release_are_checked_by_themselves(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes((ROOT / "release/params.yaml").read_bytes())
    (tmp_path / "p.yaml").write_text("last_layer: {kept: 0.2}\ntrain_gate: {views: 3}\n")
    assert run("preset", tmp_path / "p.yaml", "--root", tmp_path).exit_code == 0
    (tmp_path / "p.yaml").write_text("last_layer: {kept: 1.2}\n")
    result = run("preset", tmp_path / "p.yaml", "--root", tmp_path)
    assert "last_layer.kept: input should be less than 1, got 1.2" in " ".join(result.stderr.split())


def test_sample_draws_what_the_options_say(tmp_path: Path, monkeypatch) -> None:
    drawn: dict[str, object] = {}
    monkeypatch.setattr("cxr.phantom.sample.write_sample", lambda root, **options: drawn.update(options, root=root))
    result = run("sample", tmp_path / "s", "--per-class", "2", "--per-opacity", "1", "--seed", "3")
    assert drawn == {"root": tmp_path / "s", "seed": 3, "per_class": 2, "per_opacity": 1}
    assert "holds a synthetic release" in result.stdout
    assert run("sample", tmp_path / "s", "--per-class", "0").exit_code == 2


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; import cxr.cli.data; print(*{'pandas', 'numpy', 'tensorflow', 'dvc', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_a_preset_of_recipes_is_checked_without_tensorflow(tmp_path: Path) -> None:
    code = (
        "import sys; from cxr.cli.data import app; app(sys.argv[1:], standalone_mode=False); "
        "print('tensorflow' in sys.modules)"
    )
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "preset.yaml").write_text(
        "train_vgg16: {side: 64}\ntrain_cnn1: {epochs: 3}\nevaluate: {target: covid}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "preset", "preset.yaml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.split()[-1]) == (0, "False"), done.stderr
