"""--help of the networks' train stages explains every parameter; and what stops one before it trains."""

import subprocess
import sys

import pytest

from cxr.cli.train import fields, limits_of, print_params, recipe_kind
from cxr.core.params import CommonParams
from cxr.models import NAMES
from tests.imports import ROOT


def help_text(name, folder=ROOT, columns=100):
    command = [sys.executable, str(ROOT / f"stages/train_{name}.py"), "--help"]
    environment = {"COLUMNS": str(columns), "PATH": "", "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def cells(text):
    """Return value, limits and meaning by name, put together again where a cell has several lines."""
    rows, starts = {}, []
    for line in text.splitlines():
        if line.startswith("name "):
            starts = [line.index(title) for title in ("name", "value", "may be", "meaning")]
        elif not line.strip():
            starts = []
        elif starts:
            name, *rest = (line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True))
            if name:
                rows[name] = rest
            else:
                last = next(reversed(rows))
                rows[last] = [" ".join(filter(None, pair)) for pair in zip(rows[last], rest, strict=True)]
    return rows


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_explained_with_its_limits_and_meaning(name):
    text = help_text(name)
    expected = {
        key: [limits_of(field), field.description]
        for kind in (recipe_kind(name), CommonParams)
        for key, field in fields(kind)
    }
    assert {key: rest for key, (_, *rest) in cells(text).items()} == expected
    assert "--cache" in text
    assert "CXR_RUNS" in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_values_are_those_of_params_yaml_or_the_default_in_brackets(tmp_path, capsys):
    path = tmp_path / "params.yaml"
    path.write_text("seed: 11\nruntime: {deterministic: false}\ntrain_cnn1: {epochs: 31, augment: {zoom: 0.25}}\n")
    print_params("cnn1", path)
    shown = cells(capsys.readouterr().out)
    values = {"seed": "11", "epochs": "31", "augment.zoom": "0.25", "runtime.deterministic": "false"}
    values |= {"batch_size": "(32)", "runtime.precision": "(float32)", "classes": "", "learning_rate": ""}
    assert {key: shown[key][0] for key in values} == values


@pytest.mark.parametrize(
    ("text", "fault"), [(None, "run in the project"), ("a: [1", "is not YAML"), ("sed: 1", "seed?")]
)
def test_help_is_given_beside_a_broken_file_and_says_so(text, fault, tmp_path, capsys):
    path = tmp_path / "params.yaml"
    if text is not None:
        path.write_text(text)
    print_params("vgg16", path)
    printed = " ".join(capsys.readouterr().out.split())
    assert fault in printed
    assert "fine_tune.learning_rate" in printed
