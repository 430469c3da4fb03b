"""Pieces of Markdown that report and model card share."""

from collections.abc import Iterable, Sequence

from cxr.files import JsonObject

RESEARCH_ONLY = "For research. Not a medical device; it supports professionals and never decides."


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; the first column is left-aligned, the others right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def synthetic_warning(data: JsonObject) -> str:
    """Return a warning where drawn phantoms were among the data, else the empty string."""
    if not data["synthetic_images"]:
        return ""
    return (
        f"> **Drawn phantoms.** {data['synthetic_images']} of {data['images']} images are drawn by this software. "
        "The figures show that the pipeline runs; they mean nothing for patients.\n\n"
    )


def metrics_rows(metrics: JsonObject, classes: Sequence[str]) -> list[list[str]]:
    """Return rows of class, sensitivity and specificity, with four decimals."""
    return [[name, f"{metrics['sensitivity'][name]:.4f}", f"{metrics['specificity'][name]:.4f}"] for name in classes]
