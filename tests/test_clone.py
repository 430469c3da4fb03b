"""What a user meets in a fresh clone: the sample arrives, bad objects do not, and nothing fills the repository."""

import pytest

from tests.dvc import copy_of_the_repository, run


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user") / "clone"
    folder.mkdir()
    return copy_of_the_repository(folder)


def test_a_push_of_the_users_own_data_stops_for_want_of_a_remote(clone):
    (clone / "mine.bin").write_bytes(b"mine")
    run(clone, "dvc", "add", "-q", "mine.bin")
    pushed = run(clone, "dvc", "push", "mine.bin", check=False)
    assert pushed.returncode != 0
    assert "no remote" in pushed.stderr.lower()


@pytest.mark.parametrize("words", [["data"], ["--allow-missing"]])
def test_what_the_readme_says_of_dvc_pull_ends_well_in_a_fresh_clone(words, tmp_path):
    folder = tmp_path / "clone"
    folder.mkdir()
    run(copy_of_the_repository(folder), "dvc", "pull", "-q", *words)
    assert len(list((folder / "data/COVID/images").iterdir())) == 60


def test_the_sample_arrives_and_the_first_stages_run(clone):
    run(clone, "dvc", "pull", "-q", "data")
    run(clone, "dvc", "repro", "-q", "split")
    assert (clone / "work/split.csv").is_file()
    written = ("data.dvc", "reports/data.json", "reports/split.json")
    assert run(clone, "git", "status", "--porcelain", *written).stdout == ""


def test_a_half_finished_pull_stops_prepare_with_the_remedy(clone):
    for path in sorted((clone / "data/COVID/images").iterdir())[:5]:
        path.unlink()
    stopped = run(clone, "dvc", "repro", "prepare", check=False)
    assert stopped.returncode != 0
    assert "git checkout data.dvc && dvc pull data" in stopped.stdout + stopped.stderr
    run(clone, "git", "checkout", "-q", "data.dvc")
    run(clone, "dvc", "pull", "-q", "data")
    assert len(list((clone / "data/COVID/images").iterdir())) == 60


def test_a_corrupt_object_of_the_sample_is_refused(clone, tmp_path_factory):
    import shutil

    broken = tmp_path_factory.mktemp("broken") / "clone"
    shutil.copytree(clone, broken, ignore=shutil.ignore_patterns("data", "cache", "work"))
    objects = sorted(
        path for path in (broken / ".dvc/sample-store").rglob("*") if path.is_file() and path.suffix != ".dir"
    )
    objects[0].chmod(0o644)
    objects[0].write_bytes(objects[0].read_bytes() + b"x")
    assert run(broken, "dvc", "pull", "data", check=False).returncode != 0
