"""cxr-folds from its command line: what it refuses, what it says, and one cross-validation in a copy of the project."""

import json
import signal
import subprocess
import sys
from io import StringIO

import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from cxr.cli import folds
from cxr.cli.folds import KEPT, STASH, FoldLines, app, project_python, tables
from cxr.core.errors import DataError
from cxr.validation.crossval import measure_folds, pool, with_groups
from tests.dvc import copy_of_the_repository, environment, run
from tests.validation.drawn import answers

FOLDS = [sys.executable, "-c", "from cxr.cli.folds import app; app()"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["cnn9"], "no network is called cnn9; expected one or more of cnn1, cnn3, vgg16, resnet50, lite0"),
        (["cnn1", "cnn1"], "a network is named twice"),
        (["cnn1", "--seeds", "7,7"], "got '7,7'; expected different whole numbers, such as 7,8"),
        (["cnn1", "--seeds", "7,"], "got '7,'; expected different whole numbers"),
        (["cnn1", "--folds", "1"], "1 is not in the range 2<=x<=20"),
        ([], "Missing argument 'NETWORK...'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_trained(arguments, sentence):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.replace("│", " ").split())


def test_outside_of_a_project_it_says_where_to_run(tmp_path):
    done = subprocess.run([*FOLDS, "cnn1"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "run in the project's folder" in " ".join(done.stderr.split())


@pytest.fixture
def committed(tmp_path):
    """Give a git repository with what a cross-validation changes."""
    for one in ("dvc.yaml", *KEPT):
        (tmp_path / one).parent.mkdir(exist_ok=True)
        (tmp_path / one).write_text("as committed\n")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        run(tmp_path, "git", *command)
    return tmp_path


@pytest.mark.parametrize("name", KEPT)
def test_what_git_has_not_seen_is_not_put_at_risk(name, committed):
    (committed / name).write_text("changed\n")
    done = run(committed, *FOLDS, "cnn1", check=False)
    assert done.returncode == 1
    assert f"{name} differ from the last commit" in " ".join(done.stderr.split())
    assert (committed / name).read_text() == "changed\n"


def test_what_is_only_in_gits_index_is_not_put_at_risk(committed):
    (committed / "params.yaml").write_text("changed\n")
    run(committed, "git", "add", "params.yaml")
    (committed / "params.yaml").write_text("as committed\n")
    done = run(committed, *FOLDS, "cnn1", check=False)
    assert done.returncode == 1
    assert "params.yaml differ from the last commit" in " ".join(done.stderr.split())
    assert run(committed, "git", "show", ":params.yaml").stdout == "changed\n"


@pytest.mark.parametrize("detached", [False, True])
def test_what_a_killed_dvc_leaves_in_git_is_put_back(detached, committed, monkeypatch):
    if detached:
        run(committed, "git", "checkout", "-q", "--detach")
    before = run(committed, "git", "status", "--porcelain", "--branch").stdout
    monkeypatch.setattr(folds, "dvc", lambda *_: (0, ""))
    with folds.put_back(committed, ["cnn1"]):
        run(committed, "git", "checkout", "-q", "--detach")
        for name in KEPT:
            (committed / name).write_text("of a fold\n")
        run(committed, "git", "add", "-A")
    assert run(committed, "git", "status", "--porcelain", "--branch").stdout == before


def test_an_experiment_that_dvc_would_run_along_is_not_taken_for_a_fold(committed):
    run(committed, "git", "update-ref", STASH, "HEAD")
    done = run(committed, *FOLDS, "cnn1", check=False)
    assert done.returncode == 1
    assert "remove it with: git update-ref -d refs/exps/stash" in " ".join(done.stderr.split())
    assert run(committed, "git", "for-each-ref", STASH).stdout


def test_answers_of_another_experiment_in_the_workspace_are_not_taken_for_the_folds(committed, monkeypatch):
    """Stands for a second `dvc exp run` at the same time, which leaves its own params behind."""
    monkeypatch.setattr(folds, "_require_dvc", lambda *_: None)
    (committed / "params.yaml").write_text("seed: 8\nsplit: {folds: 5, fold: 1}\n")
    folds.train_fold(committed, ["cnn1"], folds=5, fold=1, seed=8)
    for other in ({"fold": 2}, {"folds": 4}, {"seed": 7}):
        with pytest.raises(DataError, match="the workspace holds another experiment"):
            folds.train_fold(committed, ["cnn1"], **({"folds": 5, "fold": 1, "seed": 8} | other))


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
    found = report["networks"]["cnn1"]["log_loss"]
    cells = [f"{found[key]:.3f}" for key in ("mean", "low", "high", "spread_over_seeds", "spread_over_folds")]
    mean, low, high, seeds, folds = cells
    assert f"log_loss {mean} {low} to {high} {seeds} {folds} {found['out_of_fold'][0]:.3f}, " in " ".join(said.split())


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
    interrupted = subprocess.Popen(
        command, cwd=clone, env=environment(tmp_path / "site"), stderr=subprocess.PIPE, text=True
    )
    assert "1 of 4 done" in interrupted.stderr.readline()
    interrupted.terminate()
    interrupted.communicate()
    assert interrupted.returncode != 0
    status = "M README.md\n?? notes.txt"
    assert run(clone, "git", "status", "--porcelain").stdout.strip() == status
    assert not (clone / "folds.json").exists()

    done = run(clone, *command)
    assert "4 of 4 done, left 0:00:00" in done.stderr
    (clone / "folds.json").rename(tmp_path / "first.json")
    (clone / "folds.csv").rename(tmp_path / "first.csv")
    assert run(clone, "git", "status", "--porcelain").stdout.strip() == status
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
    assert (clone / "params.yaml").read_text() == wrong
    assert "params.yaml" not in run(clone, "git", "status", "--porcelain").stdout


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
