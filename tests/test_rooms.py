"""Who may import whom: docs/architecture.md, checked."""

import pytest

from tests.imports import ROOT, imported_modules

GROUND = {path.stem for path in (ROOT / "cxr").glob("*.py")} - {"__init__"}
MAY_IMPORT = {
    "ground": set(),
    "models": set(),
    "dataset": set(),
    "screening": set(),
    "training": {"dataset", "models"},
    "evaluation": {"dataset"},
    "release": {"dataset", "evaluation"},
    "remote": {"screening"},
    "cluster": {"screening"},
    "cli": {"dataset", "models", "training", "evaluation", "screening", "release", "remote", "cluster"},
}
HEAVY = {"tensorflow", "keras"}


def files():
    return sorted(path.relative_to(ROOT) for path in (ROOT / "cxr").rglob("*.py"))


def room(module):
    part = module.split(".")[1] if "." in module else ""
    return "ground" if part in GROUND or not part or part.startswith("__") else part


def test_the_document_names_every_module_of_the_ground_floor():
    (row,) = (line for line in (ROOT / "docs/architecture.md").read_text().splitlines() if line.startswith("| ground"))
    assert set(row.split("`")[1].split()) == GROUND


@pytest.mark.parametrize("path", files(), ids=str)
def test_a_room_imports_only_what_it_may(path):
    own = "ground" if len(path.parts) == 2 else path.parts[1]
    others = {room(module) for module in imported_modules(path)} - {own, "ground"}
    assert others <= MAY_IMPORT[own]


@pytest.mark.parametrize("path", files(), ids=str)
def test_tensorflow_stays_in_training_and_models(path):
    import ast

    tree = ast.parse((ROOT / path).read_text())
    names = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    names |= {node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert not names & HEAVY or path.parts[1] in ("training", "models")


def test_nothing_imports_stages():
    for path in files():
        assert "import stages" not in (ROOT / path).read_text()
