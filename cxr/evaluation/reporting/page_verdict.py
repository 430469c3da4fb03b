"""The head of the page: what the numbers can and cannot show, before any of them."""

from dataclasses import dataclass

from cxr.evaluation.reporting.blocks import Cell
from cxr.evaluation.reporting.cells import badge
from cxr.evaluation.reporting.pieces import Piece, Printed
from cxr.files import JsonObject

LEVELS = {"stop": "an audit failed", "warn": "read with care", "fine": "no audit warns"}
NO_VERDICT = "These figures have no verdict: what they can show was not judged."


@dataclass(frozen=True, slots=True)
class Head:
    """What stands above everything else."""

    headline: str
    badge: Cell
    sentences: tuple[str, ...]
    banner: tuple[tuple[Piece, ...], ...]
    waivers: tuple[tuple[str, str], ...]
    images: tuple[Piece, ...]


def head(report: JsonObject) -> Head:
    """Return headline, sentences, permanent banner and waivers."""
    verdict, data = report.get("verdict") or {}, report.get("data") or {}
    level = str(verdict.get("level") or "warn")
    banner: list[tuple[Piece, ...]] = [(str(one),) for one in report.get("banner") or []]
    if data.get("synthetic_images"):
        banner.insert(0, _phantoms(data))
    return Head(
        str(verdict.get("headline") or NO_VERDICT),
        badge(f"level-{level}", LEVELS.get(level, level)),
        tuple(map(str, verdict.get("sentences") or [])),
        tuple(banner),
        tuple((f"{one['stage']}: {one['audit']}", str(one["why"])) for one in report.get("waivers") or []),
        (_count(data["images"]), " images, data set ", str(data["sha256"])[:12]) if data.get("sha256") else (),
    )


def _phantoms(data: JsonObject) -> tuple[Piece, ...]:
    return (
        "Drawn phantoms: ",
        _count(data["synthetic_images"]),
        " of ",
        _count(data["images"]),
        " images are drawn by this software. The figures show that the pipeline runs; they mean nothing for patients.",
    )


def _count(number: int) -> Printed:
    return Printed(number, f"{number:,}")
