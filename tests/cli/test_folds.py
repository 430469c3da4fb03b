"""cxr-folds from its command line: what it refuses, what it says, and one cross-validation in a copy of the project."""

import json
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from cxr.cli.folds import FOLLOWED, FoldLines, app, last_words, pipelines, project_python, tables
from cxr.validation.crossval import measure_folds, pool, with_groups
from tests.dvc import copy_of_the_repository, environment, run
from tests.imports import ROOT
from tests.test_pipeline import resolved
from tests.validation.drawn import answers

COMMITTED, CHANGED = "train_cnn1: {epochs: 1}\n", "train_cnn1: {epochs: 2}\n"
FILES = [one if one != "release" else "release/params.yaml" for one in FOLLOWED]  # one in each of what is followed
FOLDS = [sys.executable, "-c", "from cxr.cli.folds import app; app()"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["cnn9"], "no network is called cnn9; expected one or more of cnn1, cnn3, vgg16, resnet50"),
        (["cnn1", "cnn1"], "a network is named twice"),
        (["cnn1", "--seeds", "7,7"], "got '7,7'; expected different whole numbers, such as 7,8"),
        (["cnn1", "--seeds", "7,"], "got '7,'; expected different whole numbers"),
        (["cnn1", "--folds", "1"], "1 is not in the range 2<=x<=20"),
        ([], "Missing argument 'NETWORK...'"),
        (["cnn1", "-o", "folds.csv"], "--output folds.csv: JSON is written there, and no .csv; name it folds.json"),
        (["cnn1", "--predictions", "a.xlsx"], "CSV is written there, and no .xlsx; name it a.csv"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_trained(arguments, sentence):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.replace("│", " ").split())


def test_each_network_is_trained_by_the_first_pipeline_that_has_it():
    found = pipelines(ROOT)
    assert (found["cnn1"], found["resnet50"]) == (Path(), Path())
    assert "lite0" not in found  # only train_teachers trains it
    for network, folder in found.items():
        assert (folder / "models" / network).as_posix() in resolved(
            f"{folder / 'dvc.yaml'}", f"train_{network}", "outs"
        )


def test_outside_of_a_project_it_says_where_to_run(tmp_path):
    done = subprocess.run([*FOLDS, "cnn1"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "run in the project's folder" in " ".join(done.stderr.split())


@pytest.fixture
def committed(tmp_path, monkeypatch):
    """Give a git repository with what a training follows from, and work there."""
    (tmp_path / "release").mkdir()
    for one in FILES:
        (tmp_path / one).write_text(COMMITTED)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        run(tmp_path, "git", *command)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_what_a_clone_would_not_have_is_to_be_committed_first(name, committed):
    (committed / name).write_text(CHANGED)
    done = CliRunner().invoke(app, ["cnn1"])
    assert done.exit_code == 1
    assert f"{name} differ from the last commit" in " ".join(done.stderr.split())
    assert (committed / name).read_text() == CHANGED


def test_what_is_only_in_gits_index_is_to_be_committed_too(committed):
    (committed / "params.yaml").write_text(CHANGED)
    run(committed, "git", "add", "params.yaml")
    done = CliRunner().invoke(app, ["cnn1"])
    assert done.exit_code == 1
    assert "params.yaml differ from the last commit" in " ".join(done.stderr.split())
    assert run(committed, "git", "show", ":params.yaml").stdout == CHANGED


def test_the_time_left_goes_by_folds_that_were_trained_and_not_by_those_from_the_run_cache():
    times = iter([0.0, 5.0, 10.0, 610.0])
    lines = FoldLines(2, 2, clock=lambda: next(times))
    assert lines.after(0, 7) == "seed 7, fold 1 of 2: 0:00:05, 1 of 4 done, left 0:00:15"
    assert lines.after(1, 7).endswith("2 of 4 done, left 0:00:10")
    assert lines.after(0, 8) == "seed 8, fold 1 of 2: 0:10:00, 3 of 4 done, left 0:05:02"


def test_the_tables_keep_the_uncertainties_apart_and_fit_into_eighty_columns():
    report = measure_folds(pool(with_groups(answers(networks=(("cnn1", 2.0), ("cnn3", 1.0)), n=120))))
    text = StringIO()
    for table in tables(report):
        Console(file=text, width=80).print(table)
    said = text.getvalue()
    assert "…" not in said
    for name in ("cnn1", "cnn3", "cnn1 less cnn3"):
        assert f"\n{name} " in f"\n{said}"
    found = report.networks["cnn1"]["log_loss"]
    cells = [f"{value:.3f}" for value in (found.mean, found.low, found.high)]
    spreads = f"{found.spread_over_seeds:.3f} {found.spread_over_folds:.3f}"
    line = f"log_loss {cells[0]} {cells[1]} to {cells[2]} {spreads} {found.out_of_fold[0]:.3f}, "
    assert line in " ".join(said.split())


@pytest.mark.slow
@pytest.mark.long
def test_folds_are_trained_pooled_found_again_and_leave_the_workspace_as_it_was(tmp_path):
    clone = tmp_path / "clone"
    clone.mkdir()
    copy_of_the_repository(clone)
    params = (clone / "params.yaml").read_text()
    first, rest = params.split("train_cnn1:", 1)
    (clone / "params.yaml").write_text(first + "train_cnn1:" + rest.replace("epochs: 40", "epochs: 1", 1))
    run(clone, "git", "commit", "-qam", "one epoch")
    run(clone, "dvc", "pull", "-q", "data")
    (clone / "notes.txt").write_text("untracked")
    (clone / "README.md").write_text("not yet committed")

    command = [*FOLDS, "cnn1", "--folds", "2", "--seeds", "7,8", "-o", "folds.json", "--predictions", "folds.csv"]
    before = state(clone)
    interrupted = subprocess.Popen(
        command, cwd=clone, env=environment(tmp_path / "site"), stderr=subprocess.PIPE, text=True
    )
    assert "1 of 4 done" in interrupted.stderr.readline()
    assert state(clone) == before
    interrupted.terminate()
    interrupted.communicate()
    assert interrupted.returncode != 0
    assert state(clone) == before
    assert not list((clone / ".dvc/tmp").glob("folds-*"))
    assert not (clone / "folds.json").exists()
    assert len(run(clone, "dvc", "exp", "list", "--names-only").stdout.split()) == 1

    done = run(clone, *command)
    assert "4 of 4 done, left 0:00:00" in done.stderr
    (clone / "folds.json").rename(tmp_path / "first.json")
    (clone / "folds.csv").rename(tmp_path / "first.csv")
    assert state(clone) == before
    table = pd.read_csv(tmp_path / "first.csv")
    assert (table.groupby(["seed", "fold"]).size() > 0).sum() == 4
    assert table.groupby(["seed", "file"]).size().max() == 1
    assert table.groupby("group")["fold"].nunique().max() <= 2
    report = json.loads((tmp_path / "first.json").read_text())
    assert (report["folds"], report["seeds"], list(report["networks"])) == (2, [7, 8], ["cnn1"])
    assert len(run(clone, "dvc", "exp", "list", "--names-only").stdout.split()) == 4

    trained = set((clone / ".dvc/cache/runs").rglob("*"))
    run(clone, *command)
    assert (clone / "folds.json").read_bytes() == (tmp_path / "first.json").read_bytes()
    assert (clone / "folds.csv").read_bytes() == (tmp_path / "first.csv").read_bytes()
    assert set((clone / ".dvc/cache/runs").rglob("*")) == trained
    assert len(run(clone, "dvc", "exp", "list", "--names-only").stdout.split()) == 4

    wrong = (clone / "params.yaml").read_text().replace("train_cnn1:\n  side: 128", "train_cnn1:\n  side: 256")
    (clone / "params.yaml").write_text(wrong)
    run(clone, "git", "commit", "-qam", "enlarging")
    failed = run(clone, *command, check=False)
    assert failed.returncode == 1
    assert "train_cnn1.side is 256, but the planes have 128 pixels" in " ".join(failed.stderr.split())


def state(clone):
    """Return what git knows of a project but experiments, and the files that it does not."""
    commands = ("git status --porcelain --branch", "git for-each-ref refs/heads refs/stash refs/exps/stash")
    files = [path for path in clone.rglob("*") if not {".git", ".dvc", ".cache"} & set(path.relative_to(clone).parts)]
    said = [run(clone, *command.split()).stdout for command in commands]
    return said, {path: path.read_bytes() for path in files if path.is_file() and "folds." not in path.name}


@pytest.fixture
def in_the_background():
    """Ignore Ctrl-C, as what a shell starts in the background does."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("in_the_background")
def test_what_is_started_hears_ctrl_c_where_this_process_does_not(tmp_path):
    request = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    assert project_python(tmp_path, "-c", request) == (0, "True\n")
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_process_runs_in_the_folder_and_its_words_come_back(tmp_path):
    code = "import os, sys; print(os.getcwd(), os.environ['WORD']); sys.exit(4)"
    status, said = project_python(tmp_path, "-c", code, variables={"WORD": "hello"})
    assert (status, said.split()) == (4, [str(tmp_path), "hello"])
    assert last_words("\n".join(map(str, range(20)))) == " | ".join(map(str, range(12, 20)))
    assert last_words(" \n") == "nothing"
