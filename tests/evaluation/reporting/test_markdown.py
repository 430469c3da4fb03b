import copy
import re
from typing import Any

from cxr.evaluation.card import render_card
from cxr.evaluation.reporting.card_figures import describe_for_card
from cxr.evaluation.reporting.completing import complete_report
from cxr.evaluation.reporting.markdown_page import render_markdown
from cxr.evaluation.reporting.standards import STATUSES, standards
from tests.evaluation.reporting.fake import HOSTILE, description
from tests.evaluation.reporting.test_html import small


def card_of(whole: dict[str, Any]) -> str:
    return render_card(description() | {"evaluation": {"card": describe_for_card(whole, "cnn1")}, "commit": "abc123"})


def test_markdown_begins_with_the_verdict_and_has_audits_before_accuracy(whole: dict[str, Any]) -> None:
    text = render_markdown(whole)
    assert text.index("these data cannot show") < text.index("Exact duplicates") < text.index("macro AUC")
    assert "> Waived: split: leak_across_splits: known twin" in text


def test_markdown_prints_the_same_intervals_as_the_page(whole: dict[str, Any], html: str) -> None:
    found = whole["models"][0]["metrics"]["balanced_accuracy"]
    shown = "{value:.3f} [{low:.3f}, {high:.3f}]".format(**found)
    assert shown in render_markdown(whole)
    assert shown in re.sub("</?data[^>]*>", "", html)


def test_every_row_of_every_table_has_as_many_cells_as_its_head(whole: dict[str, Any]) -> None:
    found = copy.deepcopy(whole)
    found["audits"][0]["found"] = HOSTILE
    blocks = [block for block in render_markdown(found).split("\n\n") if block.startswith("|")]
    assert len(blocks) > 15
    for block in blocks:
        cells = {line.replace("\\|", "").count("|") for line in block.splitlines()}
        assert len(cells) == 1, block


def test_markdown_of_little_says_what_was_not_measured() -> None:
    text = render_markdown(small())
    assert "Calibration: not measured." in text
    assert "None" not in text


def test_the_card_puts_out_of_scope_first_and_has_the_reports_figures(whole: dict[str, Any]) -> None:
    card = card_of(whole)
    headings = [line for line in card.splitlines() if line.startswith("#")]
    assert headings[1:4] == ["## Out of scope", "## Network", "## Data"]
    found = whole["models"][0]["classes"][0]["sensitivity"]
    assert "{value:.3f} [{low:.3f}, {high:.3f}]".format(**found) in card
    assert whole["verdict"]["headline"] in card
    assert "in this order, calibrated" in card
    assert "commit `abc123`" in card


def test_the_card_of_little_says_what_was_not_measured() -> None:
    assert "Figures by class: not measured." in card_of(small())


def test_the_card_has_no_curves_so_that_the_description_stays_small(whole: dict[str, Any]) -> None:
    assert len(str(describe_for_card(whole, "cnn1"))) < 8000


def test_every_item_of_the_standards_is_resolved_and_points_somewhere() -> None:
    found = {one["standard"]: one["items"] for one in standards()}
    assert {name: len(items) for name, items in found.items()} == {"CLAIM 2024": 44, "TRIPOD+AI": 27, "STARD-AI": 40}
    for items in found.values():
        assert [item["item"] for item in items] == [str(number + 1) for number in range(len(items))]
        assert all(item["status"] in STATUSES and item["where"] and item["title"] for item in items)


def test_completing_twice_changes_nothing(whole: dict[str, Any]) -> None:
    assert complete_report(whole) == whole


def test_completing_adds_rows_shares_and_totals(whole: dict[str, Any]) -> None:
    first = whole["models"][0]
    assert first["confusion_rows"][0][0] == round(first["confusion"][0][0] / sum(first["confusion"][0]), 6)
    assert whole["flow"][0]["total"] == 4733
    assert whole["audit_counts"] == {"fail": 1, "warn": 4, "pass": 3, "not_measurable": 1, "not_applicable": 1}
    assert whole["data"]["images_per_split"]["test"] == 735
