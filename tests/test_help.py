"""--help, and importing a command, load nothing heavy."""

import subprocess
import sys

import pytest

from tests.imports import ROOT
from tests.test_pipeline import STAGES, script

HEAVY = ["tensorflow", "keras", "pandas", "sklearn", "matplotlib", "openvino", "dvc", "fsspec", "pydantic", "scipy"]
CHECK = """
import runpy, sys
sys.argv = [{script!r}, "--help"]
try:
    {run}
except SystemExit as status:
    assert not status.code, status.code
print("LOADED", *sorted(set({heavy!r}) & set(sys.modules)))
"""
COMMANDS = {
    **{path: f"runpy.run_path({path!r}, run_name='__main__')" for path in {script(*one): None for one in STAGES}},
    **{f"cxr-{name}": f"from cxr.cli.{name} import app; app()" for name in ("batch", "data", "eval", "folds", "model")},
    "cxr-batch-merge": "from cxr.cli.tables import merge_app; merge_app()",
    "cxr-verify": "from cxr.cli.tables import verify_app; verify_app()",
}


def test_every_command_of_the_package_is_tried():
    import tomllib

    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert {name for name in COMMANDS if name.startswith("cxr-")} == set(scripts)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command):
    code = CHECK.format(script=command, run=COMMANDS[command], heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["LOADED"]
    assert "Usage" in done.stdout


@pytest.mark.parametrize("command", [name for name in COMMANDS if name.startswith("cxr-")])
def test_help_is_readable_at_80_columns_and_has_examples(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code = CHECK.format(script=command, run=COMMANDS[command], heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    examples = lines[lines.index(f"{' Examples':80}") :]
    assert [line for line in examples if line.startswith(f"  {command} ")], "an example stands on its own line"
    assert any("Exit status:" in line for line in examples)
    cut = [line for line in lines if line.startswith("│ ") and line.rstrip("│ ").endswith(("|", "<"))]
    assert not cut


def test_help_tells_the_defaults_that_are_words():
    from typer.testing import CliRunner

    from cxr.cli.batch import app

    said = " ".join(CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout.replace("│", " ").split())
    for default in ("packaged", "the network's own", "as --output ends, else csv", "HEAD", "suspected"):
        assert f"[default: {default}]" in said


def test_evaluation_and_screening_never_load_tensorflow():
    code = (
        "import sys, pkgutil, importlib, cxr.evaluation, cxr.screening\n"
        "for package in (cxr.evaluation, cxr.screening):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "assert {'cxr.evaluation.stats.decisions', 'cxr.evaluation.audits.attention'} <= set(sys.modules)\n"
        "import cxr.inference.network; cxr.inference.network.openvino_module()\n"
        "print('LOADED', *sorted({'tensorflow', 'keras', 'openvino_telemetry.main'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["LOADED"]
