import copy
import json
import re
from itertools import pairwise
from typing import Any

import pytest

from cxr.evaluation.report import add_derived_figures
from cxr.evaluation.reporting.document import STATUSES, standards
from cxr.evaluation.reporting.model_card import describe_for_card, render_card
from cxr.evaluation.reporting.render import render_html, render_markdown
from tests.evaluation.reporting.fake import HOSTILE, description, pictures, report
from tests.evaluation.reporting.numbers import Page, mismatches

ORDER = (
    "data",
    "audits",
    "models",
    "each-model",
    "learning",
    "comparisons",
    "errors",
    "reproducibility",
    "standards",
    "limitations",
)
MODEL_KEYS = (
    *("calibration", "operating_points", "selective", "conformal", "decision_curve", "roc", "pr", "distributions"),
    *(
        "lift",
        "dependence",
        "subgroups",
        "robustness",
        "shuffle",
        "frequencies",
        "cam",
        "sources",
        "errors",
        "examples",
    ),
    *("classes", "confusion"),
)


def small() -> dict[str, Any]:
    """Return a report as of a sample without masks: one model, little measured."""
    found = report(1)
    for key in ("waivers", "comparisons", "learning_curves", "flow", "audits"):
        found[key] = []
    found["data"]["sources"] = []
    found["floor"] = {"floor": None, "frame": None, "oracle": None, "chance": 0.333333}
    found["reproducibility"] |= {"commit": None, "params": {}}
    found["models"] = [{key: None if key in MODEL_KEYS else value for key, value in found["models"][0].items()}]
    return add_derived_figures(found)


def test_every_number_of_the_page_stands_in_the_report(whole: dict[str, Any], html: str) -> None:
    assert len(Page(html).figures) > 1000
    assert mismatches(html, whole) == []


@pytest.mark.parametrize("change", ["wrong value", "wrong rounding", "loose number"])
def test_a_number_that_is_not_in_the_report_is_noticed(whole: dict[str, Any], html: str, change: str) -> None:
    value, text = Page(html).figures[-1]
    planted = {
        "wrong value": f'<data value="0.123321">{text}</data>',
        "wrong rounding": f'<data value="{value}">{text}9</data>',
        "loose number": "<p>0.9137</p>",
    }
    assert len(mismatches(html + planted[change], whole)) == 1


def test_equal_input_gives_equal_bytes_of_less_than_eight_megabytes(html: str) -> None:
    again = report()
    assert render_html(again, pictures(again)) == html
    assert len(html.encode()) < 8_000_000


def test_what_it_cannot_show_and_the_audits_come_before_accuracy(html: str) -> None:
    body = html[html.index("<body>") :]
    assert re.findall(r'<section id="([^"]+)"', body) == list(ORDER)
    assert body.index("these data cannot show") < body.index("Classes by split")
    assert body.index("do not show that a network detects disease") < body.index("macro AUC")
    assert body.index("Leak across splits") < body.index("macro AUC")


def test_waivers_and_the_purpose_are_in_the_head(html: str) -> None:
    head = html[html.index("<header") : html.index("</header>")]
    assert "leak_across_splits</strong>: known twin 0.97 apart" in head
    assert "Not a medical device" in head


def test_drawn_phantoms_are_announced_first(whole: dict[str, Any]) -> None:
    page = render_html(whole | {"data": whole["data"] | {"synthetic_images": 3675}}, {})
    assert page.index("Drawn phantoms: ") < page.index("do not show that a network")


def test_what_was_not_measured_says_so() -> None:
    page = render_html(small(), {})
    words = " ".join(Page(page).words)
    for what in ("Audits", "Learning curves", "Comparisons", "Calibration", "Subgroups", "Heat maps", "Robustness"):
        assert f"{what}: not measured" in words
    assert "nan" not in words.lower().split()
    assert "None" not in words


@pytest.mark.parametrize("key", MODEL_KEYS)
def test_any_part_of_a_model_may_be_absent(key: str) -> None:
    found = report(1)
    del found["models"][0][key]
    render_html(found, {})


@pytest.mark.parametrize("key", ["waivers", "flow", "audits", "floor", "comparisons", "standards", "limitations"])
def test_any_part_of_the_report_may_be_absent(key: str) -> None:
    found = report(1)
    del found[key]
    assert mismatches(render_html(found, {}), found) == []


def test_no_name_can_become_an_element_or_end_a_script(whole: dict[str, Any]) -> None:
    found = copy.deepcopy(whole)
    found["models"][0]["errors"][0]["file"] = HOSTILE
    found["models"][0]["robustness"][0]["text"] = HOSTILE
    found["audits"][0]["found"] = found["data"]["sources"][0]["source"] = HOSTILE
    found["verdict"]["headline"] = found["title"] = HOSTILE
    page = render_html(found, {})
    assert "<img src=x" not in page
    assert page.count("</script>") == page.count("<script")


def test_every_chart_has_its_own_id_and_readable_rows(html: str) -> None:
    specs = re.findall(r'<script type="application/json" id="([^"]+)-spec">(.*?)</script>', html)
    names = [name for name, _ in specs]
    assert len(names) == len(set(names)) > 40
    for name, text in specs:
        assert f'id="{name}"' in html
        assert json.loads(text)["data"]["values"], name


def test_headings_follow_one_another_without_a_gap(html: str) -> None:
    levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", html[html.index("<body>") : html.index("<script>")])]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_ids_are_given_once_and_contents_lead_somewhere(html: str) -> None:
    body = html[html.index("<body>") : html.index("<script>")]
    ids = re.findall(r'\bid="([^"]+)"', body)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', body)) <= set(ids)


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
    assert add_derived_figures(whole) == whole


def test_completing_adds_rows_shares_and_totals(whole: dict[str, Any]) -> None:
    first = whole["models"][0]
    assert first["confusion_rows"][0][0] == round(first["confusion"][0][0] / sum(first["confusion"][0]), 6)
    assert whole["flow"][0]["total"] == 4733
    assert whole["audit_counts"] == {"fail": 1, "warn": 4, "pass": 3, "not_measurable": 1, "not_applicable": 1}
    assert whole["data"]["images_per_split"]["test"] == 735
