"""What the benchmarks compare with, and that they still find what they import."""

import ast
import subprocess
import sys

import pytest

from tests.imports import ROOT

BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = {"keras_script", "train_plain"}  # no part of a benchmark imports them: they run as scripts
MAKE = "import sys, pathlib; import screening_files; screening_files.keras_model(pathlib.Path(sys.argv[1]))"
LOAD = "import sys, keras; print(keras.models.load_model(sys.argv[1]).output_shape)"


@pytest.mark.long
@pytest.mark.slow
def test_the_network_of_the_keras_script_needs_keras_alone(tmp_path):
    subprocess.run([sys.executable, "-c", MAKE, tmp_path], cwd=BENCHMARKS, check=True)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, tmp_path / "cnn1.keras"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "(None, 3)\n"


def test_every_name_that_a_benchmark_imports_from_here_exists():
    ours = {path.stem for path in BENCHMARKS.glob("*.py")} | {"cxr", "tests"}
    lines = set()
    for path in BENCHMARKS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ours - SCRIPTS:
                lines |= {f"from {node.module} import {alias.name}" for alias in node.names}
    assert len(lines) > 50
    code = f"import sys; sys.path.append({str(ROOT)!r}); " + "; ".join(sorted(lines))
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
