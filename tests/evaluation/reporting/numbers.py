"""The figures that a page prints, and those that the JSON holds."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

NUMBER = re.compile(r"(?<![\w.])[-+\u2212]?\d[\d,]*(?:\.\d+)?(?:e[-+\u2212]?\d+)?(?![\w.]*\d)")
SILENT = {"script", "style", "title"}


PERCENT = "\N{NO-BREAK SPACE}%"  # so that no line is broken before the sign


class Page(HTMLParser):
    """Collects `figures` (value, text) of data elements, and `words`: all other text but what is marked fixed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.figures: list[tuple[str, str]] = []
        self.words: list[str] = []
        self._open: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "data":
            self._open.append(("data", found["value"] or ""))
        elif tag in SILENT or found.get("class") == "fixed":
            self._open.append((tag, ""))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1][0] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if not self._open:
            self.words.append(data)
        elif self._open[-1][0] == "data":
            self.figures.append((self._open[-1][1], data))


def leaves(value: Any) -> Iterator[Any]:
    """Yield every number and string of a JSON value, keys of objects as well."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from leaves(one)
    else:
        yield value


def mismatches(html: str, report: dict[str, Any]) -> list[str]:
    """Return every printed figure that is no rounding of a number of the report, and every other number not in it."""
    page, found = Page(html), list(leaves(report))
    numbers = {json.dumps(one) for one in found if isinstance(one, int | float) and not isinstance(one, bool)}
    strings = {one for one in found if isinstance(one, str)}
    in_strings = {number for one in strings for number in NUMBER.findall(one)}
    wrong = [f"{value} printed as {text}" for value, text in page.figures if not rounds(value, text, numbers)]
    loose = [number for words in page.words for number in NUMBER.findall(words)]
    return wrong + [f"{number} in words" for number in loose if number not in in_strings | numbers]


def rounds(value: str, text: str, numbers: set[str]) -> bool:
    """Tell whether `value` is a number of the report and `text` that number, or a percentage of it, rounded."""
    plain = text.replace("\u2212", "-").replace(",", "").replace("+", "")
    scale = 100 if plain.endswith(PERCENT) else 1
    shown = plain.removesuffix(PERCENT)
    exact = float(value) * scale
    if "e" in shown:
        return value in numbers and f"{exact:.0e}" == shown
    digits = len(shown.partition(".")[2])
    return value in numbers and f"{exact:.{digits}f}" == shown
