"""`--explain`: maps of where the score of some rows comes from, from the finished table and the files it names."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from cxr.cam import Maps, class_maps
from cxr.files import whole_file
from cxr.head import Head, read_head
from cxr.model_folder import NETWORK_FILE
from cxr.planes import Plane
from cxr.processor import available_cores
from cxr.screening.ahead import work_ahead
from cxr.screening.candidates import Candidate
from cxr.screening.explain_index import Shown, remove_others, write_index
from cxr.screening.explain_picture import SIDE, picture_of
from cxr.screening.explain_words import stamp_lines, worth_of
from cxr.screening.names import PathStyle
from cxr.screening.reading import read

if TYPE_CHECKING:
    from cxr.model_folder import ScreeningModel
    from cxr.screening.work import Work

Record = Mapping[str, str]

BLOCK = 32  # pictures at a time
DIGITS = 16  # of a file's SHA-256, in the name of its picture
STEM = 80  # characters of a file's own name in it, at most


@dataclass(frozen=True, slots=True)
class Explained:
    """What came of it.

    Attributes:
        drawn: Number of pictures.
        changed: Cells of files that are not those of the table any more, or that cannot be read any more.
        more: Number of rows that were left aside by the limit.
    """

    drawn: int
    changed: tuple[str, ...]
    more: int


@dataclass(frozen=True, slots=True)
class _Seen:
    record: Record
    stem: str
    plane: Plane | None
    film: Plane | None


def explain(folder: Path, records: Sequence[Record], more: int, work: "Work", model: "ScreeningModel") -> Explained:
    """Write one picture for each of `records`, and the index of the folder.

    Pictures that an earlier call has listed in the index there, and this one has not drawn, are removed.

    Args:
        folder: Made where it is absent.
        records: Rows with an answer, of the table of `work`.
        more: Number of rows that were left aside; for the index.
        work: Knows where the files are.
        model: The first network.

    Raises:
        ModelError: The network does not end in one linear layer.
        OSError: The folder cannot be written.
    """
    shown: list[Shown] = []
    changed: list[str] = []
    worth, names = worth_of(model.description), Counter[str]()
    folder.mkdir(parents=True, exist_ok=True)
    head = _head_of(model)
    for block in _blocks(_seen(records, work, model.plane_side)):
        changed += [seen.record["path"] for seen in block if seen.plane is None]
        there = [seen for seen in block if seen.plane is not None]
        for seen, map_ in zip(there, _maps(model, head, there), strict=True):
            assert seen.film is not None, "decoded with its plane"
            name = _file_name(seen, names)
            with whole_file(folder / name) as temporary:
                temporary.write_bytes(
                    picture_of(seen.film, map_, stamp_lines(seen.record, worth, blank=not map_.any()))
                )
            shown.append(Shown(name, seen.record))
    remove_others(folder, {one.name for one in shown})
    write_index(folder, shown, changed, more, model.identity, worth)
    return Explained(len(shown), tuple(changed), more)


def _seen(records: Sequence[Record], work: "Work", side: int) -> Iterator[_Seen]:
    """Decode the files again, some ahead; one that is another file now has no plane."""
    wanted = {record["path"] for record in records}
    candidates = {one.cell: one for one in work.selection.candidates if one.cell in wanted}
    naming = work.asked.naming
    hashed = naming.style is PathStyle.HASHED

    def decoded(record: Record) -> _Seen:
        candidate: Candidate = candidates[record["path"]]
        reading = read(candidate, naming.root, [side, SIDE])
        stem = "" if hashed else PurePosixPath(candidate.relative).stem
        if reading.sha256 != record["sha256"] or not reading.planes:
            return _Seen(record, stem, None, None)
        return _Seen(record, stem, reading.planes[side], reading.planes[SIDE])

    return work_ahead(decoded, records, work.workers or available_cores(), 2 * BLOCK)


def _blocks(seen: Iterator[_Seen]) -> Iterator[list[_Seen]]:
    while block := list(islice(seen, BLOCK)):
        yield block


def _maps(model: "ScreeningModel", head: Head, block: Sequence[_Seen]) -> Maps:
    """Return the map of each picture for the class that was predicted, float32 (n, side, side)."""
    if not block:
        return np.zeros((0, model.plane_side, model.plane_side), np.float32)
    planes = np.stack([seen.plane for seen in block if seen.plane is not None])
    classes = np.array([model.classes.index(seen.record["prediction"]) for seen in block], np.int64)
    return class_maps(model.network, head, planes, classes)


def _head_of(model: "ScreeningModel") -> Head:
    """Read the last layer, and prove it on a ramp: a plane of one grey could agree by chance."""
    ramp = np.linspace(0, 255, model.plane_side**2).astype(np.uint8)
    said = model.network.predict(ramp.reshape(1, model.plane_side, model.plane_side))
    return read_head(model.folder / NETWORK_FILE, said.features, said.logits)


def _file_name(seen: _Seen, names: "Counter[str]") -> str:
    """Return a name that any file system takes; equal files of one name are told apart by a number."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", seen.stem)[:STEM]
    name = "-".join(part for part in (seen.record["sha256"][:DIGITS], stem) if part)
    names[name] += 1
    return f"{name}.png" if names[name] == 1 else f"{name}-{names[name]}.png"
