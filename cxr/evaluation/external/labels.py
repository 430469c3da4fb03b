"""Labels of external images: from a table, or from the folders that they lie in."""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cxr.dataset.release import read_release
from cxr.errors import DataError

COLUMNS = ("path", "label")
OPTIONAL = ("group", "source")


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of a file.

    Attributes:
        label: Its class.
        group: Equal for images of one patient; empty where unknown.
        source: Where it comes from; empty where unknown.
    """

    label: str
    group: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of files.

    Attributes:
        name: Of the file or folder that they come from.
        files: For each file the paths that it may have in a table, the first one its name in messages, and its label.
    """

    name: str
    files: tuple[tuple[tuple[str, ...], Label], ...]


def read_labels(path: Path, cell: Callable[[str], str]) -> Labels:
    """Read labels from a CSV file, or from a folder whose first-level folders are classes.

    Args:
        path: The file, with the columns path, label and, if known, group and source, or the folder.
        cell: Turns a path into the form that it has in a table.

    Raises:
        DataError: It is neither, or a path has two labels.
    """
    if path.is_dir():
        return Labels(path.name, tuple(_folder(path, cell)))
    return Labels(path.name, tuple(_table(path)))


def _folder(root: Path, cell: Callable[[str], str]) -> Iterator[tuple[tuple[str, ...], Label]]:
    images = read_release(root).images
    if not any(images.values()):
        raise DataError(f"{root} has no images in class folders; expected a folder for each class, such as covid/")
    for label, files in images.items():
        for relative in files:
            places = (relative, root / relative, (root / relative).absolute(), (root / relative).resolve())
            yield tuple(dict.fromkeys(cell(place.as_posix()) for place in places)), Label(label)


def _table(path: Path) -> Iterator[tuple[tuple[str, ...], Label]]:
    seen = set()
    for number, row in enumerate(_rows(path), start=1):
        name, label = row["path"], row["label"]
        if not name or not label:
            raise DataError(f"{path}, row {number}: path or label is empty; leave out files without a label")
        if name in seen:
            raise DataError(f"{path}, row {number}: {name} is named twice; give each file one label")
        seen.add(name)
        yield (name,), Label(label, row.get("group", ""), row.get("source", ""))


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True, restval=None)
            header = rows.fieldnames or ()
            unknown = sorted(set(header) - {*COLUMNS, *OPTIONAL})
            if unknown or not set(header) >= set(COLUMNS):
                raise DataError(
                    f"{path} has the columns {', '.join(header) or 'none'}; "
                    f"expected path,label and, if known, group and source"
                )
            for number, row in enumerate(rows, start=1):
                if None in row or None in row.values():
                    raise DataError(f"{path}, row {number} has not as many cells as the header")
                yield row
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table of labels: {error}") from error
