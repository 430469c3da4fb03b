"""The long checks of the whole pipeline; `make check-slow` runs them."""

import pytest

from tests.dvc import copy_of_the_repository, run

pytestmark = [pytest.mark.long, pytest.mark.slow]


def test_a_fresh_clone_rebuilds_the_same_bytes_and_changed_params_show_in_the_diff(tmp_path):
    """Holds on the class of machine that wrote dvc.lock; elsewhere weights differ, and DVC shows it."""
    clone = tmp_path / "clone"
    clone.mkdir()
    copy_of_the_repository(clone)
    run(clone, "dvc", "pull", "-q", "data")
    run(clone, "dvc", "repro", "-q")
    assert run(clone, "dvc", "status", "-q", check=False).returncode == 0
    assert run(clone, "git", "status", "--porcelain").stdout == ""
    assert run(clone, "dvc", "metrics", "diff").stdout == ""
    run(clone, "dvc", "exp", "run", "-q", "-S", "train_cnn1.learning_rate=0.0005", "-S", "train_cnn1.epochs=3")
    assert "reports/metrics/cnn1.json" in run(clone, "dvc", "metrics", "diff").stdout
