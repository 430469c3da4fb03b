"""docs/evaluation.md names every audit that the code can produce, and no other."""

import re

import pytest

from cxr.core.records import Result
from cxr.dataset.audits import AUDITS as DATA_AUDITS
from cxr.evaluation.audits import AUDITS as NETWORK_AUDITS
from tests.imports import ROOT

PAGE = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
AUDITS = {
    (stage, audit.id): audit
    for stage, audits in {**DATA_AUDITS, "evaluate": NETWORK_AUDITS}.items()
    for audit in audits
}


def in_docs():
    """Return the cell `stops` by stage and id."""
    found = {}
    for stage, rows in re.findall(r"In `(\w+)`[^\n]*\n\n\| id \|(.*?)\n\n", PAGE, re.DOTALL):
        for row in rows.splitlines()[2:]:
            id, *_, stops = row.strip("| ").split(" | ")
            found[stage, id.strip("`")] = stops
    return found


def test_the_page_names_every_audit_and_none_that_does_not_exist():
    assert sorted(in_docs()) == sorted(AUDITS)


@pytest.mark.parametrize(("stage", "id"), AUDITS)
def test_power_to_stop_is_that_of_the_code(stage, id):
    assert in_docs()[stage, id].startswith("yes") == AUDITS[stage, id].fixable


@pytest.mark.parametrize("result", Result)
def test_every_result_is_explained_once(result):
    assert PAGE.count(f"\n| `{result}` |") == 1


def test_examples_of_waivers_name_audits_that_can_stop():
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    named = re.findall(r"waivers:\n\s+(\w+):", PAGE) + re.findall(r"waivers: \{(\w+):", params)
    assert len(named) == 2
    assert all(any(id == name and audit.fixable for (_, id), audit in AUDITS.items()) for name in named)
