"""CLAIM 2024, TRIPOD+AI and STARD-AI: which of their items a report holds, and where; found in the report itself."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from cxr.evaluation.records import Report, Standard, StandardItem
from cxr.evaluation.reporting.document import Block, Chart, Fold, Grid
from cxr.evaluation.reporting.page import head_words, markdown, plain, sections

STATUSES = REPORTED, MISSING, NOT_APPLICABLE = "reported", "missing", "not applicable"
CARD = "model_card.md"  # beside the report, and no part of it: its headings are always there, as a test checks

# What a place does not show by its words alone: they stand there where nothing was measured too.
FACTS: Mapping[str, Callable[[Report], bool]] = {
    "maps": lambda report: report.model(report.screening_model).cam.similarity_randomised is not None,
}


def standards(report: Report) -> tuple[Standard, ...]:
    """Return the standards with the status of every item.

    An item is reported where each place that it names is a section of this report and holds the words that it quotes.

    Args:
        report: Its own `standards` are not looked at.
    """
    said = {section.id: "\n".join(_each(section.blocks)) for section in sections(report, {})}
    said["verdict"] = head_words(report)
    return tuple(_standard(stated, report, said) for stated in _stated())


@cache
def _stated() -> Sequence[Mapping[str, Any]]:
    """Return what standards.json asks of a report.

    An item has a `status` and `where`, which hold for every report; or `places`, pairs of section and words, perhaps a
    fact that must hold too (`if`), and what is said and (`otherwise`) its status where it does not.
    """
    text = resources.files("cxr.evaluation.reporting").joinpath("standards.json").read_text(encoding="utf-8")
    found: Sequence[Mapping[str, Any]] = json.loads(text)["standards"]
    return found


def _standard(stated: Mapping[str, Any], report: Report, said: Mapping[str, str]) -> Standard:
    items = tuple(StandardItem(one["item"], one["title"], *_resolved(one, report, said)) for one in stated["items"])
    found = Counter(item.status for item in items)
    return Standard(stated["standard"], items, {status: found[status] for status in STATUSES if found[status]})


def _resolved(item: Mapping[str, Any], report: Report, said: Mapping[str, str]) -> tuple[str, str]:
    """Return status and where."""
    if "places" not in item:
        return item["status"], item["where"]
    fact = item.get("if")
    is_there = all(place == CARD or words in said.get(place, "") for place, words in item["places"])
    if is_there and (fact is None or FACTS[fact](report)):
        places = [f'{place}: "{words}"' for place, words in item["places"]]
        return REPORTED, "; ".join([*places, *([item["how"]] if "how" in item else [])])
    return item.get("otherwise", MISSING), item["else"]


def _each(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        yield from _words(block)


def _words(block: Block) -> Iterator[str]:
    """Yield the words of a block, of charts their captions."""
    match block:
        case Chart():
            yield block.caption
        case Fold():
            yield plain(block.title)
            yield from _each(block.blocks)
        case Grid():
            yield from _each(block.blocks)
        case _:
            yield from markdown(block)
