"""Who may import whom: docs/architecture.md, checked."""

from graphlib import TopologicalSorter

import pytest

from tests.imports import ROOT, imported_modules, module_file

MAY_IMPORT = {
    "": {"core", "imaging", "inference", "screening"},
    "core": set(),
    "imaging": {"core"},
    "inference": {"core", "imaging"},
    "models": {"core", "inference"},
    "dataset": {"core", "imaging"},
    "ingest": {"core", "imaging", "dataset"},
    "phantom": {"core", "dataset"},
    "training": {"core", "inference", "models"},
    "evaluation": {"core", "imaging", "inference", "dataset"},
    "validation": {"core", "inference", "dataset", "evaluation"},
    "screening": {"core", "imaging", "inference"},
    "remote": {"core", "imaging", "inference", "screening"},
    "cli": {
        "core",
        "imaging",
        "inference",
        "models",
        "dataset",
        "ingest",
        "phantom",
        "training",
        "evaluation",
        "validation",
        "screening",
        "remote",
    },
}
HEAVY = {"tensorflow", "keras"}


def files():
    return sorted(path.relative_to(ROOT) for path in (ROOT / "cxr").rglob("*.py"))


def room(module):
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("path", files(), ids=str)
def test_a_room_imports_only_what_it_may(path):
    own = "" if len(path.parts) == 2 else path.parts[1]
    others = {room(module) for module in imported_modules(path)} - {own, "", "__version__"}
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


def test_no_module_imports_itself_through_others_not_even_within_a_function():
    graph = {path: {module_file(name) for name in imported_modules(path)} - {None, path} for path in files()}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle
    assert set(order) == set(files())
