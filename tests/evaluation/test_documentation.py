"""docs/evaluation.md names every audit that the code can produce, and no other."""

import ast
import re
from functools import cache

import pytest

from cxr.core.audit import Result
from cxr.evaluation.audits import ORDER
from tests.imports import ROOT

PAGE = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
STAGES = {"prepare": "dataset", "split": "dataset", "evaluate": "evaluation"}


def functions():
    """Give every outermost function of the rooms that audit."""
    for room in sorted(set(STAGES.values())):
        for path in sorted((ROOT / "cxr" / room).rglob("*.py")):
            body = ast.parse(path.read_text(encoding="utf-8")).body
            yield from ((room, node) for node in body if isinstance(node, ast.FunctionDef))


def texts(node):
    return [one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def members(function):
    """Give name and value of every keyword argument and every item of a dictionary in a function."""
    for node in ast.walk(function):
        if isinstance(node, ast.keyword):
            yield node.arg, node.value
        if isinstance(node, ast.Dict):
            yield from ((key.value, value) for key, value in zip(node.keys, node.values, strict=True) if is_text(key))


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def calls(function, name):
    nodes = (node for node in ast.walk(function) if isinstance(node, ast.Call))
    return [node for node in nodes if isinstance(node.func, ast.Name) and node.func.id == name]


def ids_of(function):
    """Return the ids of the audits that a function makes: given by place, by name, or as its own parameter."""
    found = [value.value for key, value in members(function) if key == "id" and is_text(value)]
    found += [call.args[0].value for call in calls(function, "audit") if call.args and is_text(call.args[0])]
    arguments = function.args
    defaults = zip(arguments.args[len(arguments.args) - len(arguments.defaults) :], arguments.defaults, strict=True)
    return found + [value.value for argument, value in defaults if argument.arg == "id"]


@cache
def in_code():
    """Return room and whether a failure can be put right by id; `class_by_source` makes a second one of its own."""
    audits = {
        id: (room, fixable)
        for room, function in functions()
        if calls(function, "audit")
        for id in ids_of(function)
        for key, value in members(function)
        if key == "fixable"
        for fixable in [ast.literal_eval(value)]
    }
    others = [call.args[1].value for _, f in functions() for call in calls(f, "class_by_source") if len(call.args) > 1]
    return audits | dict.fromkeys(others, audits["class_by_source"])


def in_docs():
    """Return room and the cell `stops` by id."""
    found = {}
    for table in re.findall(r"In `(\w+)`[^\n]*\n\n\| id \|(.*?)\n\n", PAGE, re.DOTALL):
        stage, rows = table
        for row in rows.splitlines()[2:]:
            id, *_, stops = row.strip("| ").split(" | ")
            found[id.strip("`")] = (STAGES[stage], stops)
    return found


def test_the_page_names_every_audit_and_none_that_does_not_exist():
    code, docs = in_code(), in_docs()
    assert len(code) > 15
    assert sorted(docs) == sorted(code)


@pytest.mark.parametrize("id", sorted(in_code()))
def test_room_and_power_to_stop_are_those_of_the_code(id):
    room, fixable = in_code()[id]
    documented, stops = in_docs()[id]
    assert documented == room
    assert stops.startswith("yes") == fixable


def test_every_audit_of_networks_has_its_place_in_the_report():
    assert sorted(ORDER) == sorted(id for id, (room, _) in in_code().items() if room == "evaluation")


@pytest.mark.parametrize("result", Result)
def test_every_result_is_explained_once(result):
    assert PAGE.count(f"\n| `{result}` |") == 1


def test_examples_of_waivers_name_audits_that_can_stop():
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    named = re.findall(r"waivers:\n\s+(\w+):", PAGE) + re.findall(r"waivers: \{(\w+):", params)
    assert len(named) == 2
    assert all(in_code()[id][1] for id in named)
