"""Every hostile file gets the right row, and changes no other."""

import os
from pathlib import Path

import numpy as np
import pytest

from cxr.core.errors import ImageError
from cxr.core.image import Plane
from cxr.imaging.decode import read_plane
from cxr.inference.network import Floats, Network
from cxr.screening import storage as local
from cxr.screening.paths import escape
from tests.cli.batches import read, run
from tests.screening.hostile import FILES, NO_ROW, Hostile, frames, make_files, put
from tests.shipped import ungated

WITH_ROW = [file for file in FILES if file.status != NO_ROW]
GOOD = ("a-good.png", "m-good.png", "z-good.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile") / "scans"


@pytest.fixture(scope="module")
def rows(folder: Path) -> dict[str, dict[str, str]]:
    """Screen everything, without a gate, which would keep much of it from the network; trouble is made on the way."""
    make_files(folder)
    model = ungated(folder.parent / "model")
    for name in GOOD:
        put(frames[1])(folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "open_regular", lambda path, real=local.open_regular: troubled(path, real))
        patch.setattr(Network, "logits", poisoned(folder, Network.logits))
        result = run(folder, "-o", folder.parent / "r.csv", "--batch-size", 8, "--model", model)
    assert result.exit_code == 3, result.output
    return {row["path"]: row for row in read(folder.parent / "r.csv")}


def troubled(path: Path, real: object) -> object:
    if path.name == "locked.png":
        raise PermissionError(13, "Permission denied")
    if path.name == "vanishing.png":
        path.unlink()
    return real(path)  # type: ignore[operator]


def poisoned(folder: Path, real: object) -> object:
    poison, crash = (read_plane(folder / name, 128)[0] for name in ("nan.png", "crash.png"))

    def logits(self: Network, planes: Plane) -> Floats:
        if any(np.array_equal(plane, crash) for plane in planes):
            raise RuntimeError("primitive failed")
        values: Floats = real(self, planes)  # type: ignore[operator]
        values[[np.array_equal(plane, poison) for plane in planes]] = np.nan
        return values

    return logits


def test_there_are_sixty_of_them() -> None:
    assert len(WITH_ROW) >= 60
    assert len({file.name for file in FILES}) == len(FILES)


@pytest.mark.parametrize("file", WITH_ROW, ids=lambda file: ascii(file.name))
def test_a_hostile_file_has_its_row(file: Hostile, rows: dict[str, dict[str, str]]) -> None:
    row = rows[escape(file.name)]
    keys = ("status", "reason", "format", "bit_depth", "steps", "flags")
    assert {key: row[key] for key in keys} == {key: getattr(file, key) for key in keys}, row["detail"]
    assert bool(row["prediction"]) == (file.status == "ok")
    assert bool(row["detail"]) == (file.status != "ok")
    assert bool(row["width"]) == (file.bit_depth != "")


def test_processes_change_no_byte(folder: Path, rows: dict[str, dict[str, str]], tmp_path: Path) -> None:
    assert rows
    tables = []
    for processes in (1, 3):
        output = tmp_path / f"{processes}.csv"
        assert run(folder, "-o", output, "--processes", processes).exit_code == 3
        tables.append(output.read_bytes())
    assert tables[0] == tables[1]


def test_no_other_file_has_a_row(rows: dict[str, dict[str, str]]) -> None:
    assert set(rows) == {escape(file.name) for file in WITH_ROW} | set(GOOD)


def test_the_rows_of_good_files_beside_them_are_those_they_get_alone(
    rows: dict[str, dict[str, str]], folder: Path, tmp_path: Path
) -> None:
    for name in GOOD:
        (tmp_path / "alone" / name).parent.mkdir(exist_ok=True)
        os.link(folder / name, tmp_path / "alone" / name)
    model = folder.parent / "model"
    assert run(tmp_path / "alone", "-o", tmp_path / "r.csv", "--model", model).exit_code == 0
    assert read(tmp_path / "r.csv") == [rows[name] for name in GOOD]


def test_what_has_no_row_is_named_in_the_manifest(rows: dict[str, dict[str, str]], folder: Path) -> None:
    import json

    facts = json.loads((folder.parent / "r.manifest.json").read_text())
    assert facts["aside"]["not_an_image"] == sorted(file.name for file in FILES if file.status == NO_ROW)
    assert facts["aside"]["special"] == ["pipe.png"]
    assert facts["aside"]["folders"] == [{"path": "left/loop", "because": "link"}]
    counts = facts["counts"]
    assert counts["discovered"] == counts["ok"] + counts["rejected"] + counts["error"] + counts["skipped"]
    assert counts["discovered"] == len(FILES) + len(GOOD) + 1
    assert len(rows) == counts["ok"] + counts["rejected"] + counts["error"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12-bit.dcm", "inverted.dcm"),
        ("12-bit.dcm", "rle.dcm"),
        ("12-bit.dcm", "8-bit.dcm"),
        ("16-bit.png", "new\nline.png"),
    ],
)
def test_the_same_picture_in_two_forms_gets_the_same_answer(
    one: str, other: str, rows: dict[str, dict[str, str]]
) -> None:
    first, second = rows[escape(one)], rows[escape(other)]
    names = [name for name in first if name.startswith("probability_")]
    assert [float(first[name]) for name in names] == pytest.approx([float(second[name]) for name in names], abs=1e-3)


def test_a_decoder_that_fails_in_an_unforeseen_way_is_named_by_the_file(folder: Path) -> None:
    with pytest.raises(ImageError):
        read_plane(folder / "nowhere.png", 128)
