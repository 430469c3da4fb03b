"""A comparison of two models for people: figures beside each other, and a yes or no for each condition."""

from rich.table import Table

from cxr.files import JsonObject


def comparison_tables(report: JsonObject) -> list[Table]:
    """Return the tables of `cxr.release.comparing.compare`'s report."""
    return [_figures(report), _costs(report), _conditions(report)]


def remarks(report: JsonObject) -> list[str]:
    """Return what has to be said beside the tables."""
    half = report["half_precision"]
    left_out = report["known_to_old"]
    may_know = ["the old model does not say what it was trained on; it may have seen test images"]
    return [
        f"{report['images']:,} test images; {left_out:,} more were left out, because the old model was trained on them",
        *(may_know if report["old_may_know"] else []),
        f"16-bit weights: a probability changes by at most {half['largest_change']:.2g}, {half['decisions_changed']:,} "
        f"of {half['images']:,} decisions change, {half['speed']['ratio']['median']:.2f} times as fast, "
        f"{half['bytes']:,} bytes instead of {half['bytes_float32']:,}: {'taken' if half['taken'] else 'not taken'}",
    ]


def _figures(report: JsonObject) -> Table:
    table = Table("on the same images", "new", "old", "difference", "95 % interval")
    for name, figure in report["figures"].items():
        gap = figure["difference"]
        bounds = "-" if gap["low"] is None else f"{gap['low']:+.4f} to {gap['high']:+.4f}"
        table.add_row(name, f"{figure['new']:.4f}", f"{figure['old']:.4f}", f"{gap['value']:+.4f}", bounds)
    return table


def _costs(report: JsonObject) -> Table:
    new, old, speed = report["new"], report["old"], report["speed"]
    table = Table("stated and weighed", "new", "old")
    table.add_row("model", new["model"], old["model"])
    for name in ("worst_source_recall", "lift_over_frame", "lung_dependence", "gflop"):
        table.add_row(name, *("-" if one[name] is None else f"{one[name]:.3f}" for one in (new, old)))
    table.add_row("failed audits", *(_audits(one["failed_audits"]) for one in (new, old)))
    table.add_row("bytes", f"{new['bytes']:,}", f"{old['bytes']:,}")
    table.add_row("milliseconds an image", *(f"{speed[name]['median']:.3f}" for name in ("new", "old")))
    ratio = speed["ratio"]
    table.add_row(
        "times as fast as the old one", f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]", ""
    )
    return table


def _audits(failed: list[str] | None) -> str:
    return "not stated" if failed is None else ", ".join(failed) or "none"


def _conditions(report: JsonObject) -> Table:
    table = Table("the new one may ship where", "found", "holds")
    for line in report["conditions"]:
        table.add_row(line["condition"], line["found"], "yes" if line["holds"] else "no")
    table.add_section()
    table.add_row("not worse", "", "yes" if report["not_worse"] else "no", style="bold")
    return table
