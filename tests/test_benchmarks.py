"""What the benchmarks compare with."""

import subprocess
import sys

import pytest

from tests.imports import ROOT

MAKE = "import sys, pathlib; import screening_files; screening_files.keras_model(pathlib.Path(sys.argv[1]))"
LOAD = "import sys, keras; print(keras.models.load_model(sys.argv[1]).output_shape)"


@pytest.mark.slow
def test_the_network_of_the_keras_script_needs_keras_alone(tmp_path):
    subprocess.run([sys.executable, "-c", MAKE, tmp_path], cwd=ROOT / "benchmarks", check=True)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, tmp_path / "cnn1.keras"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "(None, 3)\n"
