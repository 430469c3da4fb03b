"""Processes of the project that the command line starts."""

import signal

import pytest

from cxr.cli.dvc_process import project_python


@pytest.fixture
def in_the_background():
    """Ignore Ctrl-C, as what a shell starts in the background does."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("in_the_background")
def test_what_is_started_hears_ctrl_c_where_this_process_does_not(tmp_path):
    asked = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    assert project_python(tmp_path, "-c", asked) == (0, "True\n")
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
