"""What is known of external images: files with labels and other columns, and what the labels mean to a network."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath

from cxr.core.errors import DataError
from cxr.core.files import real
from cxr.core.tabular_files import HEAD, PATH_NAMES, Table, bare, form_of, read_table, unreadable
from cxr.dataset.release import LABEL_NAMES, PATIENT_NAMES, is_image, is_mask, known_column
from cxr.dataset.spelling import class_named, composed, folded, label_key, label_of

GROUP_NAMES = (*PATIENT_NAMES, "group")

POSITIVE, NEGATIVE, LEAVE_OUT = "positive", "negative", "leave_out"
_MAPPING = ("label", "means")
_SHOWN = 3  # files in a sentence


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of a file.

    Attributes:
        label: As it is written, without blanks around it.
        group: Equal for images of one patient; empty where unknown.
        columns: Cells of all columns by name.
        beside: Those of the columns that are neither the file's name nor its label.
        row: As a spreadsheet shows it; None: of no table.
    """

    label: str
    group: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    row: int | None = None

    def says_the_same_as(self, other: "Label") -> bool:
        """Tell whether two rows about one file agree, in every column."""
        own, others = ([*map(composed, (one.group, *one.beside))] for one in (self, other))
        return label_key(self.label) == label_key(other.label) and own == others


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table of labels are read; None: the first of the names that the program knows.

    Attributes:
        path: Of the files' names.
        label: Of what they show.
        patient: Of whom they show; a table need not have it.
        sheet: Of a workbook; None: the first one with such columns.
        row: Of their names, where it is not the first.
    """

    path: str | None = None
    label: str | None = None
    patient: str | None = None
    sheet: str | None = None
    row: str | None = None


@dataclass(frozen=True, slots=True)
class LabelTable:
    """Labels of files.

    Attributes:
        name: Of the file or folder that they come from.
        files: For each file the paths that it may have in a table, the first one its name in messages, and its label.
        columns: Names of the columns.
        used: What was read as what; None for a folder.
        without_label: Paths whose label is empty.
        repeated: Paths of rows that say again what an earlier one says.
        decimal_comma: Whether semicolons stand between cells, as where the comma is the decimal point.
    """

    name: str
    files: tuple[tuple[tuple[str, ...], Label], ...]
    columns: tuple[str, ...] = ()
    used: Columns | None = None
    without_label: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    decimal_comma: bool = False


def read_labels(path: Path, plain: Callable[[str], str], wanted: Columns | None = None) -> LabelTable:
    """Read labels from a CSV file or a workbook, or from a folder whose first-level folders are classes.

    Args:
        path: The file or the folder.
        plain: Turns a cell of a table of results into the path that it stands for.
        wanted: Columns of the file.

    Raises:
        DataError: It is neither, a column is absent, or two rows say different things of one path.
    """
    if path.is_dir():
        return LabelTable(real(path).name, tuple(_folder(path)))
    return _table(path, plain, wanted or Columns())


def _folder(root: Path) -> Iterator[tuple[tuple[str, ...], Label]]:
    """Give the images below the folders of `root`, whose names are labels as they are written."""
    images = [image.relative_to(root) for image in sorted(_images(root))]
    if not images:
        raise DataError(f"{root} has no images in class folders; expected a folder for each class, such as covid/")
    for relative in images:
        places = (relative, root / relative, (root / relative).absolute(), real(root / relative))
        yield tuple(dict.fromkeys(place.as_posix() for place in places)), Label(bare(composed(relative.parts[0])))


def _images(root: Path) -> Iterator[Path]:
    """Give the images below the folders of `root`; masks, and hidden files and folders, are left aside."""
    for label in (path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for place, folders, names in os.walk(label, onerror=_refuse):
            folders[:] = [name for name in folders if not name.startswith(".")]
            files = (Path(place, name) for name in names if not name.startswith("."))
            yield from (file for file in files if _is_labelled(file.relative_to(root)) and file.is_file())


def _refuse(error: OSError) -> None:
    raise unreadable(str(error.filename), error) from error


def _is_labelled(relative: Path) -> bool:
    return is_image(relative) and not is_mask(relative)


def _table(path: Path, plain: Callable[[str], str], wanted: Columns) -> LabelTable:
    first, sheet = read_table(path, sheet=wanted.sheet, is_header=partial(_is_header, wanted))
    used = _chosen(path.name, first, wanted, sheet)
    table, _ = read_table(path, tuple(filter(None, (used.path, used.label))), sheet=sheet)
    files: dict[str, tuple[tuple[str, ...], Label]] = {}
    rows_of: dict[str, list[int]] = {}
    without_label, repeated, contradicting = [], [], set[str]()
    for number, cells in table.rows:
        row = {column: bare(cell) for column, cell in zip(table.header, cells, strict=True) if column}
        raw = cells[table.header.index(used.path or "")]  # blanks around a name may be a part of it
        name, label = row[used.path or ""], composed(row[used.label or ""])
        if not name:
            raise DataError(f"{path}, row {number}, names no file; fill in its cell '{used.path}', or remove the row")
        places = tuple(dict.fromkeys((name, raw, plain(name), _slashed(name))))
        rows_of.setdefault(places[-1], []).append(number)
        beside = tuple(cell for column, cell in row.items() if column not in (used.path, used.label))
        one = Label(label, row.get(used.patient or "", ""), row, beside, number)
        _, before = files.setdefault(places[-1], (places, one))
        if before is one:
            without_label += [name] if not label else []
        elif before.says_the_same_as(one):
            repeated.append(name)
        else:
            contradicting.add(places[-1])
    _check_twice(path, {name: rows for name, rows in rows_of.items() if name in contradicting})
    if not files:
        raise DataError(f"{path} has no rows below its header; expected a file and its label in each")
    if len(without_label) == len(files):
        raise DataError(
            f"{path} has no label in any of its {len(files):,} rows; fill in its column '{used.label}'. Where a "
            "workbook has formulas there, open it in Excel and save it, for no program has computed them yet"
        )
    labelled = tuple(one for one in files.values() if one[1].label)
    columns = tuple(filter(None, table.header))
    semicolons = sheet is None and _has_semicolons(path)
    return LabelTable(path.name, labelled, columns, used, tuple(without_label), tuple(repeated), semicolons)


def _has_semicolons(path: Path) -> bool:
    with path.open("rb") as file:
        return form_of(file.read(HEAD)).separator == ";"


def _check_twice(path: Path, twice: Mapping[str, Sequence[int]]) -> None:
    """Refuse a table that names a file in several rows, and say of the first few in which."""
    if not twice:
        return
    named = [f"{name} (rows {', '.join(map(str, found))})" for name, found in islice(twice.items(), _SHOWN)]
    more = f" and {len(twice) - _SHOWN:,} more" if len(twice) > _SHOWN else ""
    raise DataError(
        f"{path} names {'a file' if len(twice) == 1 else f'{len(twice):,} files'} in several rows "
        f"that differ: {', '.join(named)}{more}; give each file one row, and where files of several folders have one "
        "name, write the folders too"
    )


def _slashed(path: str) -> str:
    """Return a path of Windows as a table has it."""
    return PurePosixPath(path.replace("\\", "/")).as_posix()


def _is_header(wanted: Columns, names: Sequence[str]) -> bool:
    """Tell whether a row names the columns of the files' names and of the labels."""
    return bool(_column(names, wanted.path, PATH_NAMES) and _column(names, wanted.label, LABEL_NAMES))


def _chosen(name: str, table: Table, wanted: Columns, sheet: str | None) -> Columns:
    header = table.header
    path = _column(header, wanted.path, PATH_NAMES)
    label = _column(header, wanted.label, LABEL_NAMES)
    patient = _column(header, wanted.patient, GROUP_NAMES)
    asked = (
        (path, wanted.path, PATH_NAMES, "--path-column", "the files' names"),
        (label, wanted.label, LABEL_NAMES, "--label-column", "the labels"),
        (patient or not wanted.patient, wanted.patient, (), "--patient-column", "the patients"),
    )
    for found, one, known, option, what in asked:
        if not found:
            expected = f"'{one}'" if one else f"one of {', '.join(known)}"
            raise DataError(
                f"{name} has the columns {', '.join(column or 'one without a name' for column in header)}; expected "
                f"{expected} for {what}. Name the right one with {option}"
            )
    return Columns(path, label, patient, sheet, str(table.header_row) if table.header_row > 1 else None)


def _column(header: Sequence[str], wanted: str | None, known: Sequence[str]) -> str | None:
    """Return the column as the table spells it: `wanted`, or the first of the `known` ones."""
    if wanted is not None:
        return next((column for column in header if folded(column) == folded(bare(wanted))), None)
    return known_column(header, known)


Means = Mapping[str, str]  # by `_key` of the label: a class, POSITIVE, NEGATIVE or LEAVE_OUT


def read_meanings(
    mapping: Path | None = None,
    positive: Sequence[str] = (),
    negative: Sequence[str] = (),
    leave_out: Sequence[str] = (),
) -> Means:
    """Gather what labels mean that are not the name of a class.

    Args:
        mapping: A CSV file or workbook with the columns label and means.
        positive: Labels that mean the class that is looked for.
        negative: Labels that mean any other.
        leave_out: Labels of files that are not to be measured.

    Raises:
        DataError: The file cannot be read, or a label has two meanings.
    """
    found: dict[str, str] = {}
    stated = [(label, word) for label, word in _mapping_rows(mapping)] if mapping else []
    for word, labels in ((POSITIVE, positive), (NEGATIVE, negative), (LEAVE_OUT, leave_out)):
        stated += [(label, word) for label in labels]
    for label, word in stated:
        if found.setdefault(label_key(label), word) != word:
            raise DataError(
                f"the label '{label}' is said to mean {found[label_key(label)]} and {word}; say one of them"
            )
    return found


def _mapping_rows(path: Path) -> Iterator[tuple[str, str]]:
    table, _ = read_table(path, _MAPPING)
    columns = tuple(map(table.header.index, _MAPPING))
    for number, cells in table.rows:
        label, means = (bare(cells[column]) for column in columns)
        if not label or not means:
            raise DataError(f"{path}, row {number}, has no label or no meaning; fill in both, or remove the row")
        yield label, label_of(means)


def meaning_of(label: str, means: Means, classes: Sequence[str], target: str | None) -> str | None:
    """Return what a label means to a network: a class, NEGATIVE or LEAVE_OUT; None where nobody said.

    Args:
        label: As it is written.
        means: What was said of labels.
        classes: Of the network.
        target: The one that is looked for.
    """
    named = next((one for one in classes if label_key(one) == label_key(label)), class_named(label))
    word = means.get(label_key(label), named)
    if word in classes:
        return word
    if word == POSITIVE and label_key(label) in means:
        return target
    return word if word in (NEGATIVE, LEAVE_OUT) and label_key(label) in means else None


def said_positive(label: str, means: Means) -> bool:
    """Tell whether a label was said to be POSITIVE, which is the target class, whatever that is."""
    return means.get(label_key(label)) == POSITIVE


def require_meanings(name: str, network: str, labels: Iterable[str], means: Means, classes: Sequence[str]) -> None:
    """Refuse labels that nobody explained; `labels` has one entry a file.

    Raises:
        DataError: Naming each, with its number of files and what to do.
    """
    counts: dict[str, int] = {}
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
    unknown = {label: n for label, n in counts.items() if meaning_of(label, means, classes, classes[0]) is None}
    wrong = {label: means[label_key(label)] for label in unknown if label_key(label) in means}
    if wrong:
        said = ", ".join(f"'{label}' means '{word}'" for label, word in sorted(wrong.items()))
        raise DataError(
            f"the mapping says that {said}; expected a class of {network} ({', '.join(classes)}), {POSITIVE}, "
            f"{NEGATIVE} or {LEAVE_OUT}. Correct its column 'means'"
        )
    if unknown:
        named = ", ".join(f"'{label}' ({n:,} file{'s' * (n > 1)})" for label, n in sorted(unknown.items()))
        raise DataError(
            f"{name} has labels that are no class of {network} ({', '.join(classes)}): {named}. Say what each means: "
            "--positive LABEL if it is the class that is looked for, --negative LABEL if it is anything else, "
            "--leave-out LABEL if its files are not to be measured; or --mapping FILE with the columns label,means "
            f"(a class, {POSITIVE}, {NEGATIVE} or {LEAVE_OUT})"
        )
