import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from markupsafe import escape

from cxr.core.records import Result, as_json, from_json
from cxr.evaluation.records import Report
from cxr.evaluation.reporting.model_card import describe_for_card, render_card
from cxr.evaluation.reporting.page import render_html, render_markdown
from cxr.evaluation.stats.intervals import Interval
from cxr.evaluation.unseen import OutOfScopeFilms, UnseenFilms, UnseenHospitals
from tests.evaluation.reporting.fake import HOSTILE, MODELS, description, pictures, report, report_json
from tests.evaluation.reporting.numbers import PERCENT, Page, mismatches

ORDER = (
    "models",
    "audits",
    "data",
    "each-model",
    "learning",
    "comparisons",
    "errors",
    "reproducibility",
    "standards",
    "limitations",
)


def small() -> Report:
    """Return a report as of a sample without masks: one model, and what cannot be measured on so few images is not."""
    found = report_json(1)
    for key in ("waivers", "comparisons", "learning_curves", "flow", "audits"):
        found[key] = []
    found["audit_counts"] = {}
    found["data"]["sources"] = []
    found["floor"] |= {"oracle": None, "oracle_balanced_accuracy": None}
    found["reproducibility"] |= {"commit": None, "params": {}}
    model = found["models"][0]
    model |= {key: [] for key in ("subgroups", "sources", "roc", "pr")}
    model["dependence"]["lung_dependence"] = None
    model["cam"] = {"similarity_randomised": None, "void": None, "cells": [1, 1], "inside": None}
    model["metrics"] |= {"macro_auc": nothing(), "mcc": None}
    model["classes"][0] |= {"sensitivity": nothing(), "auc": nothing(), "lr_plus": None, "f1": None}
    model["conformal"]["referred"] |= {"share_of_errors_referred": None, "error_answered": None}
    return from_json(Report, found)


def nothing() -> dict[str, None]:
    return {"value": None, "low": None, "high": None}


def test_every_number_of_the_page_stands_in_the_report(whole: Report, html: str) -> None:
    assert len(Page(html).figures) > 500
    assert mismatches(html, as_json(whole)) == []


@pytest.mark.parametrize("change", ["wrong value", "wrong rounding", "loose number"])
def test_a_number_that_is_not_in_the_report_is_noticed(whole: Report, html: str, change: str) -> None:
    value, text = Page(html).figures[-1]
    planted = {
        "wrong value": f'<data value="0.123321">{text}</data>',
        "wrong rounding": f'<data value="{value}">{text}9</data>',
        "loose number": "<p>0.9137</p>",
    }
    assert len(mismatches(html + planted[change], as_json(whole))) == 1


def test_no_line_ends_between_a_number_and_its_sign(html: str) -> None:
    page = Page(html)
    assert not [text for text in (*page.words, *(text for _, text in page.figures)) if " %" in text]


def test_equal_input_gives_equal_bytes_of_less_than_eight_megabytes(html: str) -> None:
    again = report()
    assert render_html(again, pictures(again)) == html
    assert len(html.encode()) < 8_000_000


def test_what_it_cannot_show_comes_first_then_accuracy(html: str) -> None:
    body = html[html.index("<body>") :]
    assert re.findall(r'<section id="([^"]+)"', body) == list(ORDER)
    assert body.index("these data cannot show") < body.index("macro AUC")
    assert body.index("do not show that a network detects disease") < body.index("macro AUC")


def test_passed_audits_are_folded_and_failed_and_warned_ones_are_not(whole: Report, html: str) -> None:
    section = html[html.index('<section id="audits"') : html.index('<section id="data"')]
    shown, folded = section.split('<details class="fold" id="audits-passed">')
    for audit in whole.audits:
        is_worrying = audit.result in (Result.FAIL, Result.WARN)
        found = str(escape(audit.found)).replace(" %", PERCENT)
        assert (found in shown, found in folded) == (is_worrying, not is_worrying)


def test_an_audit_of_several_networks_stands_once_with_what_was_found_of_each(whole: Report) -> None:
    one = next(audit for audit in whole.audits if audit.model)
    each = [replace(one, model=name, found=f"Of {name}.", result=Result.WARN) for name in ("cnn1", "vgg16")]
    page = render_html(replace(whole, audits=tuple(each)), {})
    assert page.count(f'<th scope="row">{one.name}') == 1
    assert "Of cnn1." in page
    assert "Of vgg16." in page


def test_every_chart_can_be_saved(html: str) -> None:
    charts = re.findall(r'<div class="chart" id="([^"]+)"', html)
    assert sorted(re.findall(r'<button type="button" data-chart="([^"]+)"', html)) == sorted(2 * charts)


def test_waivers_and_the_purpose_are_in_the_head(html: str) -> None:
    head = html[html.index("<header") : html.index("</header>")]
    assert "leak_across_splits</strong>: known twin 0.97 apart" in head
    assert "Not a medical device" in head


def test_drawn_phantoms_are_announced_first(whole: Report) -> None:
    page = render_html(replace(whole, data=replace(whole.data, synthetic_images=3675)), {})
    assert page.index("Drawn phantoms: ") < page.index("do not show that a network")


def test_what_was_not_measured_says_so() -> None:
    page = render_html(small(), {})
    words = " ".join(Page(page).words)
    for what in ("Flow of the images", "Learning curves", "Comparisons", "Subgroups", "Share inside the lungs"):
        assert f"{what}: not measured" in words
    assert "nan" not in words.lower().split()
    assert "None" not in words


def test_no_name_can_become_an_element_or_end_a_script(whole: Report) -> None:
    found = as_json(whole)
    found["models"][0]["errors"][0]["file"] = HOSTILE
    found["models"][0]["robustness"][0]["text"] = HOSTILE
    found["audits"][0]["found"] = found["data"]["sources"][0]["source"] = HOSTILE
    found["verdict"]["headline"] = found["title"] = HOSTILE
    page = render_html(from_json(Report, found), {})
    assert "<img src=x" not in page
    assert page.count("</script>") == page.count("<script")


def test_every_chart_has_its_own_id_and_readable_rows(html: str) -> None:
    specs = re.findall(r'<script type="application/json" id="([^"]+)-spec">(.*?)</script>', html)
    names = [name for name, _ in specs]
    assert len(names) == len(set(names)) > 20
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


def card_of(whole: Report) -> str:
    evaluation = {"card": as_json(describe_for_card(whole, "cnn1"))}
    return render_card(description() | {"evaluation": evaluation, "commit": "abc123"})


def test_markdown_begins_with_the_verdict(whole: Report) -> None:
    text = render_markdown(whole)
    assert text.index("these data cannot show") < text.index("macro AUC") < text.index("Exact duplicates")
    assert "> Waived: split: leak_across_splits: known twin" in text


def test_markdown_prints_the_same_intervals_as_the_page(whole: Report, html: str) -> None:
    found = whole.models[0].metrics.balanced_accuracy
    shown = f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
    assert shown in render_markdown(whole)
    assert shown in re.sub("</?data[^>]*>", "", html)


def test_every_row_of_every_table_has_as_many_cells_as_its_head(whole: Report) -> None:
    found = as_json(whole)
    found["audits"][0]["found"] = HOSTILE
    blocks = [block for block in render_markdown(from_json(Report, found)).split("\n\n") if block.startswith("|")]
    assert len(blocks) > 15
    for block in blocks:
        cells = {line.replace("\\|", "").count("|") for line in block.splitlines()}
        assert len(cells) == 1, block


@pytest.mark.parametrize("models", [1, 5])
def test_no_heading_stands_twice_and_what_is_said_of_several_networks_is_said_of_several(models: int) -> None:
    lines = [line for line in render_markdown(report(models)).split("\n") if line]
    doubled = [one for one, after in pairwise(lines) if one.startswith("#") and after.rstrip(":") == one.strip("# ")]
    assert doubled == []
    text = "\n".join(lines)
    assert ("Intervals of two networks may overlap" in text) == (models > 1)
    assert ("An ensemble averages" in text) == (models == len(MODELS))


def test_markdown_of_little_says_what_was_not_measured() -> None:
    text = render_markdown(small())
    assert "Subgroups: not measured." in text
    assert "None" not in text


def test_the_card_puts_out_of_scope_first_and_has_the_reports_figures(whole: Report) -> None:
    card = card_of(whole)
    headings = [line for line in card.splitlines() if line.startswith("#")]
    assert headings[1:4] == ["## Out of scope", "## Network", "## Data"]
    found = whole.models[0].classes[0].sensitivity
    assert f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]" in card
    assert whole.verdict.headline in card
    error = whole.models[0].calibration.after.ece15
    assert f"The calibration error that remains (ECE, fifteen bins) is {error:.3f}. That is " in card
    assert "in this order, calibrated on validation." in card
    assert "commit `abc123`" in card


def test_hospitals_that_training_never_saw_come_first_in_page_and_card(whole: Report) -> None:
    share = Interval(0.123, 0.101, 0.147)
    films = UnseenFilms("north", "normal", 300, share, share, share, share, share, Interval(0.951, 0.94, 0.96))
    unseen = UnseenHospitals("lite0", "covid", (films,), (replace(films, hospital=""),), share)
    page = render_html(replace(whole, unseen=unseen), {})
    assert "north" in page
    assert page.index('id="hospitals"') < page.index('id="models"')
    card = card_of(replace(whole, unseen=unseen))
    assert "| north | normal | 300 | 0.123 [0.101, 0.147]" in card
    assert card.index("| north |") < card.index("balanced_accuracy")
    assert "0.951 [0.940, 0.960]" in card
    assert "called its class" not in card
    right = replace(films, recognised=Interval(0.877, 0.853, 0.899))
    card = card_of(replace(whole, unseen=replace(unseen, rows=(right,), overall=(replace(right, hospital=""),))))
    assert "| called covid | called its class |" in card
    assert "| north | normal | 300 | 0.123 [0.101, 0.147] | 0.877 [0.853, 0.899] |" in card


def test_a_card_says_what_decisions_were_fitted_on_and_whose_recalls_a_refitted_head_has(whole: Report) -> None:
    evaluation = {"card": as_json(describe_for_card(whole, "cnn1"))}
    own = description() | {"evaluation": evaluation, "commit": "abc123"}
    splits = {"images_per_split": {"train": 60, "validation": 20, "test": 20}}
    films = {"films": {"north": {"normal": 40}}, "sha256": "0" * 64}
    elsewhere = {"elsewhere": films, "data": own["data"] | splits}
    where = "validation and films of other hospitals"
    for card, on in ((render_card(own), "validation"), (render_card(own | elsewhere), where)):
        assert f", in this order, calibrated on {on}." in card
        assert f", fitted on {on}. The calibration error" in card
    assert "head refitted" not in render_card(own)
    refitted = replace(whole.models[0], sources=whole.models[1].sources)
    card = card_of(replace(whole, models=(refitted, *whole.models[1:])))
    assert "Both recalls are those of the regression and not the network's own" in card
    assert "| least recall on a source left out of training, by a head refitted |" in card


def test_films_of_no_class_stand_beside_them_with_what_each_was_called(whole: Report) -> None:
    share, none = Interval(0.171, 0.101, 0.247), Interval(0.0, 0.0, 0.02)
    called = {"covid": share, "normal": Interval(0.829, 0.753, 0.899)}
    films = OutOfScopeFilms("tuberculosis", "north", 41, called, none, share, share, none)
    found = replace(whole, out_of_scope=(films, replace(films, source="")))
    page, card = render_html(found, {}), card_of(found)
    assert page.index('id="out-of-scope"') < page.index('id="models"')
    row = "| tuberculosis | north | 41 | 0.171 [0.101, 0.247] | 0.829 [0.753, 0.899] | 0.000 [0.000, 0.020] |"
    assert row in card
    assert "| tuberculosis | unknown |" in card
    assert "Films of no class" not in card_of(whole)


def test_the_card_names_the_network_and_not_how_its_last_layer_was_fitted_alone(whole: Report) -> None:
    assert "- Architecture `cnn1`: " in card_of(whole)
    evaluation = {"card": as_json(describe_for_card(whole, "cnn1"))}
    named = {"name": "last_layer", "architecture": "lite0", "evaluation": evaluation, "commit": "abc123"}
    assert "- Architecture `lite0`, with its last layer fitted anew: " in render_card(description() | named)
    student = named | {"teachers": [{"seed": seed} for seed in (7, 8, 10)]}
    learnt = (
        "`lite0`, which learnt what 3 networks of this kind, trained with the seeds 7, 8 and 10, say together, with"
    )
    assert f"- Architecture {learnt} its last layer fitted anew: " in render_card(description() | student)
    calibrated = student | {"params": {"last_layer": {"calibrate": True}}}
    card = render_card(description() | calibrated)
    assert "its last layer fitted anew and calibrated, by a temperature and a bias for each class: " in card
    assert "that of the lowest validation loss, which is against the teachers' answers; the last layer was" in card


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (0, "one random split, near duplicates kept together; patients unknown."),
        (1233, "and patients where they are known, which is of 1,233 of 3,675 images."),
        (3675, "one random split, patients and near duplicates kept together."),
    ],
)
def test_the_card_says_of_how_many_images_the_patient_is_known(whole: Report, known: int, said: str) -> None:
    assert said in card_of(replace(whole, data=replace(whole.data, patients_known=known)))


def test_a_card_of_before_says_of_patients_what_holds_whatever_is_known(whole: Report) -> None:
    card = as_json(describe_for_card(whole, "cnn1"))
    del card["patients_known"]
    said = render_card(description() | {"evaluation": {"card": card}, "commit": "abc123"})
    assert "near duplicates kept together, and patients where they are known." in said


def test_the_card_of_little_says_what_was_not_measured() -> None:
    assert "Recall on sources left out: not measured." in card_of(small())


def test_the_card_has_no_curves_so_that_the_description_stays_small(whole: Report) -> None:
    assert len(json.dumps(as_json(describe_for_card(whole, "cnn1")))) < 8000


@pytest.mark.parametrize("classes", [("gesund", "tuberkulose"), ("a", "b", "c", "d", "e")])
def test_a_card_of_other_classes_speaks_of_them_and_of_no_others(classes: tuple[str, ...]) -> None:
    counts = {name: 100 * (number + 1) for number, name in enumerate(classes)}
    rates = dict.fromkeys(classes, 0.9)
    figures = dict.fromkeys(("balanced_accuracy", "accuracy", "macro_f1", "macro_auc", "log_loss"), 0.9)
    found = description() | {
        "classes": list(classes),
        "data": description()["data"] | {"images_per_class": counts},
        "evaluation": figures | {"sensitivity": rates, "specificity": rates, "test_images": 300},
    }
    card = render_card(found)
    assert f"{len(classes)} classes: {', '.join(classes)}" in card
    assert f"{classes[0]} {100 * 100 / sum(counts.values()):.1f} %" in card
    assert not re.search("covid|viral|pneumonia|children|balanced test", card, re.IGNORECASE)
