import pytest
import typer

from cxr.cli.console import user_errors
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
