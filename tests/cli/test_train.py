"""One script for all networks: `python -m stages.train NETWORK`."""

import subprocess
import sys

from tests.imports import ROOT
from tests.networks import NAMES


def said(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "stages.train", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_every_network_is_a_subcommand_and_no_other_module_of_theirs() -> None:
    status, words = said("--help")
    assert status == 0
    commands = words.partition("Commands")[2].split()
    assert set(NAMES) <= set(commands)
    assert not {"gate", "lungs", "layers", "keras_applications"} & set(commands)


def test_its_help_is_the_docstring_of_the_network_with_folders_of_its_name() -> None:
    status, words = said("lite0", "--help")
    assert status == 0
    assert "The first eleven of EfficientNet-Lite0's sixteen blocks" in words
    assert "weights/lite0" in words
    assert "models/lite0" in words


def test_a_network_that_is_not_there_is_refused() -> None:
    status, words = said("lite9")
    assert status == 2
    assert "No such command 'lite9'" in words
