"""Stages as functions, for the server of `tests.faults`."""

import os
import runpy
import sys
from pathlib import Path

STAGES = Path(__file__).parents[2] / "stages"


def prepare() -> None:
    os.chdir(sys.argv.pop())
    runpy.run_path(str(STAGES / "prepare.py"), run_name="__main__")
