"""An item of a reporting standard is called reported only where the report holds it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape

import pytest

from cxr.core.records import as_json
from cxr.dataset.audits.sources import UNKNOWN, SourceCount
from cxr.evaluation.records import Report, StandardItem
from cxr.evaluation.reporting.model_card import describe_for_card, render_card
from cxr.evaluation.reporting.page import render_html
from cxr.evaluation.reporting.standards import CARD, STATUSES, standards
from tests.evaluation.reporting.fake import description, report
from tests.evaluation.reporting.test_page import small

PLACE = re.compile(r'([a-z_.-]+): "([^"]+)"')


def clinic() -> Report:
    """Return the report of one network on images of a clinic: nothing to compare it with, and no source is stated."""
    found = report(1)
    unknown = tuple(SourceCount(name, UNKNOWN, 1225) for name in found.data.classes)
    maps = replace(found.models[0].cam, similarity_randomised=None, void=None)
    model = replace(found.models[0], cam=maps)
    data = replace(found.data, sources=unknown, patients_known=0)
    found = replace(found, data=data, models=(model,), comparisons=())
    return replace(found, standards=standards(found))


def sections(page: str) -> dict[str, str]:
    """Return the words of each section of the page by its id, and those of its head."""
    parts = re.findall(r'<(?:section|header) id="([^"]+)".*?>(.*?)</(?:section|header)>', page, re.DOTALL)
    return {name: " ".join(unescape(re.sub("<[^>]+>", "", words)).split()) for name, words in parts}


def card_of(found: Report) -> str:
    measured = {"evaluation": {"card": as_json(describe_for_card(found, found.screening_model))}, "commit": ""}
    return render_card(description() | measured)


def items(found: Report, status: str) -> Iterator[tuple[str, StandardItem]]:
    for one in standards(found):
        yield from ((f"{one.standard} {item.item}", item) for item in one.items if item.status == status)


def places(found: Report) -> dict[str, str]:
    return {name: item.where for name, item in items(found, "reported")}


@pytest.mark.parametrize("make", [report, clinic, small], ids=["five networks", "a clinic", "little"])
def test_every_place_of_what_is_reported_is_in_the_report_and_holds_the_words(make) -> None:
    found = make()
    said = sections(render_html(found, {})) | {CARD: " ".join(card_of(found).split())}
    reported = list(items(found, "reported"))
    assert len(reported) > 20
    for name, item in reported:
        named = PLACE.findall(item.where)
        assert named, (name, item)
        for place, words in named:
            assert words in said[place], (name, place, words)


def test_the_text_of_standards_names_no_place_of_another_form() -> None:
    known = {*sections(render_html(report(), {})), CARD}
    for found in (report(), clinic(), small()):
        for name, item in items(found, "reported"):
            assert {place for place, _ in PLACE.findall(item.where)} <= known, name
            assert not re.search(r"README|MODEL_CARD", item.where), name


COMPARED = {"CLAIM 2024 21", "CLAIM 2024 29", "TRIPOD+AI 10", "STARD-AI 22"}


def test_without_comparisons_a_stated_source_or_checked_maps_their_items_are_not_reported() -> None:
    whole, alone = places(report()), places(clinic())
    assert whole["CLAIM 2024 21"] == 'comparisons: "smallest gap"; no size was planned'
    sources, maps, ensemble = {"CLAIM 2024 7", "STARD-AI 11"}, {"CLAIM 2024 31"}, {"CLAIM 2024 27"}
    assert set(whole) - set(alone) == COMPARED | sources | maps | ensemble
    assert not set(alone) - set(whole)
    assert dict(items(clinic(), "not applicable"))["CLAIM 2024 27"].where == "none is used"


def test_of_data_of_ones_own_nothing_is_said_that_this_software_cannot_know() -> None:
    said = " ".join(item.where for one in standards(clinic()) for item in one.items)
    for claim in ("repository", "collections", "retrospective", "convenience", "there was none", "it is not"):
        assert claim not in said, claim


def test_every_item_is_there_with_a_status_and_a_word_on_where_or_why_not() -> None:
    for found in (report(), small()):
        named = {one.standard: len(one.items) for one in standards(found)}
        assert named == {"CLAIM 2024": 44, "TRIPOD+AI": 27, "STARD-AI": 40}
        for one in standards(found):
            assert sum(one.counts.values()) == len(one.items)
            assert [item.item for item in one.items] == [str(number + 1) for number in range(len(one.items))]
            assert all(item.status in STATUSES and item.where and item.title for item in one.items)
