"""Where the images come from, and what became of each."""

from collections.abc import Sequence

from cxr.evaluation.reporting.blocks import Block, Cell, Row, Section, Table
from cxr.evaluation.reporting.cells import count, not_measured, percent, table, text
from cxr.evaluation.reporting.charts_data import split_chart
from cxr.files import JsonObject


def data_section(report: JsonObject) -> Section:
    """Flow of the images, classes by split, classes by source."""
    data = report["data"]
    blocks: list[Block] = [_flow(report.get("flow") or [], list(data["classes"]))] if report.get("flow") else []
    if not blocks:
        blocks.append(not_measured("Flow of the images"))
    blocks += [_splits(data), split_chart(data)]
    blocks.append(_sources(data) if data.get("sources") else not_measured("Classes by source", "no source is known"))
    return Section("data", "Where the images come from", blocks)


def labels_of(steps: Sequence[JsonObject], classes: Sequence[str]) -> list[str]:
    """Return the classes in their order, then other labels that a step counts."""
    others = {label for step in steps for label in step["images"]} - set(classes)
    return [*classes, *sorted(others)]


def _flow(steps: Sequence[JsonObject], classes: Sequence[str]) -> Table:
    labels = labels_of(steps, classes)
    rows = [
        [
            text(step["step"]),
            *(count(step["images"].get(label)) if label in step["images"] else Cell(("",)) for label in labels),
            _or_blank(step.get("total")),
            count(step.get("dropped")),
            Cell((str(step.get("why") or ""),)),
        ]
        for step in steps
    ]
    return table("Every step, and why images were dropped", ["step", *labels, "all", "dropped", "why"], rows)


def _or_blank(value: int | None) -> Cell:
    return Cell(("",)) if value is None else count(value)


def _splits(data: JsonObject) -> Table:
    classes, shares = list(data["classes"]), data.get("shares") or {}
    totals = data.get("images_per_split") or {}
    rows: list[Row | list[Cell]] = [
        [text(split), *(count(counts.get(label)) for label in classes), _or_blank(totals.get(split))]
        for split, counts in data["classes_by_split"].items()
    ]
    rows.append([text("all"), *(count(number) for number in data["classes"].values()), count(data["images"])])
    if shares:
        rows.append([text("share"), *(percent(shares.get(label)) for label in classes), Cell(("",))])
    return table("Images by split and class", ["split", *classes, "all"], rows)


def _sources(data: JsonObject) -> Table:
    classes, cells = list(data["classes"]), {}
    for entry in data["sources"]:
        cells[entry["source"], entry["label"]] = entry["images"]
    rows = [
        [text(source or "unknown"), *(count(cells.get((source, label), 0)) for label in classes)]
        for source in sorted({source for source, _ in cells}, key=str)
    ]
    caption = "Images by source collection and class: where a row has one class only, the source gives the class away"
    return table(caption, ["source", *classes], rows)
