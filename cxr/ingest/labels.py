"""Read a table of labels: which image is of which class and, if known, of which patient and collection."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cxr.core.errors import DataError
from cxr.core.tabular_files import PATH_NAMES, bare, read_table
from cxr.dataset.release import LABEL_NAMES, PATIENT_NAMES, is_image, is_mask, known_column
from cxr.dataset.spelling import class_named, label_key, label_of
from cxr.ingest.archive import is_junk, is_unprintable

SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".xls")
COLLECTION_NAMES = ("collection",)
LONGEST = 100  # characters of a collection: its films lie in a folder that is called so
_ROWS_SHOWN, _FAULTS_SHOWN = 3, 5


@dataclass(frozen=True, slots=True)
class Labels:
    """What a label may say.

    Attributes:
        classes: Those of params.yaml.
        discarded: Labels whose images are left aside later, as prepare.discard says.
        renamed: Label by the key of another word for it, see `label_key`.
    """

    classes: tuple[str, ...]
    discarded: tuple[str, ...]
    renamed: Mapping[str, str]

    def label(self, said: str) -> str | None:
        """Return the class, or discarded label, that a cell names in any case; None where it names none.

        A sign beside the name may be a word for 'no': `covid-` and `covid?` name none, unless somebody said what they
        mean.
        """
        label = self.renamed.get(label_key(said)) or class_named(said)
        return label if label in (*self.classes, *self.discarded) else None


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """A row of the table; `patient` and `collection` are empty where they are not known.

    Attributes:
        source: The file.
        place: Where it goes below images/ of its class: its path in the table, in a folder of its collection.
    """

    source: Path
    place: PurePosixPath
    label: str
    patient: str
    collection: str


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """What a table says.

    Attributes:
        images: In the order of its rows, each once.
        repeated: How many rows say again what an earlier one says.
        passed_over: Columns that might have been meant too, in words; empty where there are none.
    """

    images: tuple[LabelledImage, ...]
    repeated: int
    passed_over: str


class _Said(NamedTuple):
    row: int
    path: str
    label: str
    patient: str
    collection: str


def is_label_table(path: Path) -> bool:
    """Tell by its name whether a file is a table of labels, and no archive."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def read_label_table(path: Path, labels: Labels) -> LabelledImages:
    r"""Read and check a whole table.

    Args:
        path: Text or a workbook, with columns for path and label, if known patient and collection, and any others.
            Paths are relative to its folder and may be written with `\`.
        labels: What its labels may be.

    Raises:
        DataError: A column is absent; or naming rows: a file is absent, no image or in two rows that differ, or a label
            is unknown.
    """
    faults: dict[str, list[int]] = {}
    found: dict[str, tuple[_Said, LabelledImage]] = {}
    repeated = 0
    header = _header(path)
    for said in _rows(path, header):
        fault = _fault(said, path.parent, labels)
        if not fault and (before := found.get(_key(said))):
            if before[1] == _image(said, path.parent, labels):
                repeated += 1
                continue
            fault = _again(said, before[0])
        if fault:
            faults.setdefault(fault, []).append(said.row)
        else:
            found[_key(said)] = said, _image(said, path.parent, labels)
    if faults:
        raise DataError(_sentence(path, faults, labels))
    if not found:
        raise DataError(f"{path} names no image; give it a row for each image, with its path and its label")
    return LabelledImages(tuple(image for _, image in found.values()), repeated, _passed_over(path.name, header))


def _rows(path: Path, header: Sequence[str]) -> Iterator[_Said]:
    names = _columns(path.name, header)
    table, _ = read_table(path, tuple(filter(None, names[:2])), path.name)
    places = [table.header.index(name) if name else None for name in names]
    for number, cells in table.rows:
        said = ["" if place is None else bare(cells[place]) for place in places]
        yield _Said(number, PurePosixPath(said[0].replace("\\", "/")).as_posix(), *said[1:])


def _header(path: Path) -> Sequence[str]:
    table, _ = read_table(path, name=path.name, is_header=lambda names: None not in _known_columns(names)[:2])
    return table.header


_NAMES = (PATH_NAMES, LABEL_NAMES, PATIENT_NAMES, COLLECTION_NAMES)


def _known_columns(header: Sequence[str]) -> list[str | None]:
    return [known_column(header, names) for names in _NAMES]


def _passed_over(name: str, header: Sequence[str]) -> str:
    """Say which columns of the table `name` are read where others have a name of the same meaning."""
    chosen = _known_columns(header)
    others = [
        column
        for names, one in zip(_NAMES, chosen, strict=True)
        for column in header
        if label_of(column) in names and column != one
    ]
    read = ", ".join(filter(None, chosen))
    return f"{name}: read are the columns {read}, not {', '.join(others)}" if others else ""


def _columns(name: str, header: Sequence[str]) -> list[str | None]:
    """Return the columns of path, label, patient and collection, as the table `name` spells them."""
    found = _known_columns(header)
    if None in found[:2]:
        shown = ", ".join(column or "one without a name" for column in header)
        raise DataError(
            f"{name} has the columns {shown}; expected one of {', '.join(PATH_NAMES)} for the files and one of "
            f"{', '.join(LABEL_NAMES)} for what they show. Name its columns so in its first row"
        )
    return found


def _fault(said: _Said, folder: Path, labels: Labels) -> str:
    """Return what is wrong with a row alone, as words that follow its number; empty where nothing is."""
    inside, file = PurePosixPath(said.path), folder / said.path
    if said.path == "." or not said.label:
        return f"no {'path' if said.path == '.' else 'label'}"
    if inside.is_absolute() or ".." in inside.parts or said.path[1:2] == ":":
        return f"{said.path} is not below the folder of the table, {folder.absolute()}"
    if is_unprintable(said.path) or is_junk(inside) or is_mask(Path(said.path)):
        return f"{said.path!r} is hidden, in a folder of masks, or has unprintable characters"
    if not file.is_file():
        return f"{said.path} does not exist in {folder.absolute()}"
    if file.is_symlink():
        return f"{said.path} is a symbolic link, which is not followed"
    if not is_image(file):
        return f"{said.path} is no image by its name"
    if len(said.collection) > LONGEST:
        return f"the collection {said.collection[:20]!r}... has {len(said.collection)} characters; at most {LONGEST}"
    if labels.label(said.label) is None:
        return f"the label {said.label!r} is neither a class nor discarded"
    return ""


def _again(said: _Said, before: _Said) -> str:
    """Return what is wrong where an earlier row says something else of the same file."""
    apart = [
        f"{name} {old or 'empty'!r} there and {new or 'empty'!r} here"
        for name, old, new in zip(_Said._fields[1:], before[1:], said[1:], strict=True)
        if old != new
    ]
    return f"{said.path} is in row {before.row} too: {', '.join(apart)}"


def _key(said: _Said) -> str:
    return said.path.casefold()  # a disk of Windows or macOS does not tell them apart


def _image(said: _Said, folder: Path, labels: Labels) -> LabelledImage:
    label = labels.label(said.label)
    assert label is not None
    place = PurePosixPath(label_of(said.collection), said.path)
    return LabelledImage(folder / said.path, place, label, said.patient, said.collection)


def _sentence(path: Path, faults: Mapping[str, list[int]], labels: Labels) -> str:
    named = "; ".join(f"{_numbered(rows)}: {what}" for what, rows in list(faults.items())[:_FAULTS_SHOWN])
    more = f"; and {len(faults) - _FAULTS_SHOWN} other faults" if len(faults) > _FAULTS_SHOWN else ""
    return (
        f"{path.name} cannot be used. {named}{more}. Nothing was imported. Correct the table. The classes are "
        f"{', '.join(labels.classes)}; where a label is another word for one, say so with --rename WORD=CLASS, and "
        "list a label whose images are to be left aside in prepare.discard of params.yaml"
    )


def _numbered(rows: list[int]) -> str:
    shown = ", ".join(map(str, rows[:_ROWS_SHOWN]))
    more = f" and {len(rows) - _ROWS_SHOWN:,} more" if len(rows) > _ROWS_SHOWN else ""
    return f"row{'s' if len(rows) > 1 else ''} {shown}{more}"
