"""The reporting standards, item by item, and where this report answers them."""

import json
from functools import cache
from importlib import resources

from cxr.files import JsonObject

STATUSES = ("reported", "missing", "not applicable")


def standards() -> list[JsonObject]:
    """Return CLAIM 2024, TRIPOD+AI and STARD-AI with the status of every item."""
    return [dict(standard) for standard in _read()]


@cache
def _read() -> list[JsonObject]:
    text = resources.files("cxr.evaluation.reporting").joinpath("standards.json").read_text(encoding="utf-8")
    found: list[JsonObject] = json.loads(text)["standards"]
    return found
