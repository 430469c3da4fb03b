"""What `cxr-data import` tells about a release before it takes it."""

from collections import Counter
from collections.abc import Iterator

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from cxr.dataset.importing import Staged
from cxr.dataset.inspection import UNKNOWN

SHOWN = 8  # most frequent values for a class


def tables(release: Staged) -> Iterator[Table]:
    """Yield the counts per class and, where metadata sheets tell, the sources per class; both fit 80 columns."""
    counts = _table("Images to import", "class", "images", "masks", "pixels", "width x height")
    sources = _table("Sources", "class", "images", "source")
    for label, found in release.counts.items():
        name = escape(label if label in release.project.data.classes else f"{label} (discarded)")
        masks = str(release.layout.masks[label])
        counts.add_row(name, str(found.images), masks, _lines(found.kinds), _lines(found.sizes))
        for source, number in _shown(found.sources):
            sources.add_row(name, str(number), escape(source))
            name = ""
    yield counts
    if any(set(found.sources) - {UNKNOWN} for found in release.counts.values()):
        yield sources


def remarks(release: Staged) -> Iterator[str]:
    """Yield a sentence for everything that stays behind, as Rich markup."""
    for name, images in release.layout.unknown.items():
        if images:
            yield (
                f"Left out: the folder {escape(name)} with {images} images; "
                "it is neither in 'classes' nor in 'prepare.discard' of params.yaml."
            )
    if release.layout.ignored:
        yield f"Left out: {release.layout.ignored} files of class folders that are not images by their names."
    if release.lost_patients:
        yield f"Left out: {release.lost_patients} lines of patients.csv that name no imported file."
    unreadable = sum(counts.unreadable for counts in release.counts.values())
    if unreadable:
        yield f"Imported all the same: {unreadable} unreadable images; see prepare.unreadable in params.yaml."


def _table(title: str, *headings: str) -> Table:
    result = Table(title=title, title_justify="left", box=SIMPLE)
    for heading in headings:
        result.add_column(heading, justify="right" if heading in ("images", "masks") else "left", overflow="fold")
    return result


def _lines(counter: Counter[str]) -> str:
    return "\n".join(f"{escape(value)}: {number}" for value, number in _shown(counter))


def _shown(counter: Counter[str]) -> list[tuple[str, int]]:
    common = counter.most_common()
    rest = common[SHOWN:]
    return common[:SHOWN] + ([(f"{len(rest)} others", sum(number for _, number in rest))] if rest else [])
