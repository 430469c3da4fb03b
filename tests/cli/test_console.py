import errno
import os

import numpy as np
import pytest
import typer

from cxr.cli.console import REMEDIES, user_errors
from cxr.errors import DataError


def raised(error):
    with user_errors():
        raise error


def test_a_users_error_is_one_line_and_status_1(capsys):
    with pytest.raises(SystemExit) as status:
        raised(DataError("data/[left] is gone; fetch it"))
    assert status.value.code == 1
    assert capsys.readouterr().err.strip() == "error: data/[left] is gone; fetch it"


def test_a_missing_extra_is_named_with_the_remedy(capsys):
    with pytest.raises(SystemExit):
        raised(ModuleNotFoundError("No module named 'pandas'", name="pandas"))
    assert "pip install '.[pipeline]'" in capsys.readouterr().err


@pytest.mark.parametrize("bug", [ValueError("bug"), ModuleNotFoundError("x", name="cxr.nothing")])
def test_a_bug_keeps_its_trace(bug):
    with pytest.raises(type(bug)):
        raised(bug)


def test_commands_pass_their_own_exit_status_through():
    with pytest.raises(typer.Exit):
        raised(typer.Exit(3))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_what_the_system_refuses_to_write_is_one_line_with_the_file_and_the_remedy(number, capsys):
    with pytest.raises(SystemExit) as status:
        raised(OSError(number, "HDF5 says more than a person wants", "models/cnn1/model.weights.h5"))
    assert status.value.code == 1
    said = f"{os.strerror(number)}; {REMEDIES[number]}, then run the same command again"
    assert capsys.readouterr().err.strip() == f"error: models/cnn1/model.weights.h5: {said}"


def test_a_full_disk_is_named_also_where_numpy_loses_its_number(tmp_path, capsys):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(SystemExit), user_errors(), (tmp_path / "images.npy").open("wb") as file:
            np.save(file, np.zeros(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert capsys.readouterr().err.strip() == (
        "error: No space left on device; free some space, then run the same command again"
    )


def test_ctrl_c_is_one_line_and_status_130_within_a_command_and_around_one(capsys):
    for interrupted in (KeyboardInterrupt(), SystemExit(130)):
        with pytest.raises(SystemExit) as status, user_errors():
            raised(interrupted)
        assert status.value.code == 130
        assert capsys.readouterr().err == "interrupted; run the same command again\n"


def test_the_loss_of_another_file_is_a_bug(tmp_path):
    with pytest.raises(FileNotFoundError):
        raised(FileNotFoundError(errno.ENOENT, "No such file", str(tmp_path)))
