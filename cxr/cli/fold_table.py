"""The figures of a cross-validation as tables for people."""

from collections.abc import Iterator, Mapping

from rich.table import Table

from cxr.files import JsonObject

HEADER = ("figure", "mean", "95 % interval", "spread\nof seeds", "spread\nof folds", "by seed")


def tables(report: JsonObject) -> Iterator[Table]:
    """Give a table for each network and each pair of networks of what `measure_folds` returned."""
    seeds = ", ".join(map(str, report["seeds"]))
    caption = f"{report['folds']} folds, seeds {seeds}; {report['images']:,} images, {report['groups']:,} groups"
    for name, figures in (*report["networks"].items(), *report["differences"].items()):
        yield _table(name, figures, caption)


def _table(name: str, figures: Mapping[str, JsonObject], caption: str) -> Table:
    table = Table(title=name, caption=caption, box=None, pad_edge=False, title_justify="left", header_style="dim")
    for number, column in enumerate(HEADER):
        table.add_column(column, justify="right" if number else "left", no_wrap=column != HEADER[-1])
    for figure, found in figures.items():
        bounds = "-" if found["low"] is None else f"{_short(found['low'])} to {_short(found['high'])}"
        spreads = [_short(found[key]) for key in ("spread_over_seeds", "spread_over_folds")]
        table.add_row(figure, _short(found["mean"]), bounds, *spreads, ", ".join(map(_short, found["out_of_fold"])))
    return table


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
