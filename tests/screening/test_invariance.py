"""A table does not depend on how the work was divided, to the byte.

`tests/core/test_process.py` runs this file again with other instructions, whose kernels compute other shapes.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cxr.cli.tables import merge_app, verify_app
from cxr.inference.ensemble import ensemble, read_members, write_ensemble
from tests.cli.batches import read, run
from tests.dicoms import save_dicom
from tests.drawn_networks import drawn_model
from tests.ensembles import member
from tests.screening.hostile import deep, drawn

NUMBER = 56  # more than the largest batch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give different pictures of different sizes and forms, and some that are none."""
    scans = tmp_path_factory.mktemp("invariance") / "scans"
    scans.mkdir()
    generator = np.random.default_rng(0)
    for number in range(NUMBER):
        side = int(generator.integers(90, 400))
        angle, kind = float(generator.uniform(-20, 20)), ("png", "jpg", "tif")[number % 3]
        Image.fromarray(drawn()).rotate(angle).resize((side, side)).save(scans / f"{number:02}.{kind}")
    (scans / "03-empty.png").write_bytes(b"")
    (scans / "40-notes").write_text("no picture")
    return scans


@pytest.fixture(scope="module")
def expected(folder: Path) -> bytes:
    assert run(folder, "-o", folder.parent / "expected.csv").exit_code == 3
    return (folder.parent / "expected.csv").read_bytes()


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an ensemble of random members."""
    models = tmp_path_factory.mktemp("models")
    member(models, "cnn1", 1, cells=4, depth=5)
    member(models, "cnn3", 2, cells=2, depth=7, bias=False)
    write_ensemble(models / "ensemble", ensemble(read_members([models / "cnn1", models / "cnn3"])))
    return models / "ensemble"


@pytest.mark.parametrize("other", ["drawn", "ensemble"])
def test_other_networks_keep_it_too(other: str, joined: Path, folder: Path, tmp_path: Path) -> None:
    model = ["--model", joined if other == "ensemble" else drawn_model(tmp_path / "drawn")]
    tables = []
    divisions = [["--batch-size", str(number)] for number in (1, 7, 8, 32)]
    divisions += [["--batch-size", "50", "--workers", "3"], ["--threads", "2"], ["--processes", "2"]]
    for number, division in enumerate(divisions):
        assert run(folder, "-o", tmp_path / f"{number}.csv", *model, *division).exit_code == 3
        tables.append((tmp_path / f"{number}.csv").read_bytes())
    assert set(tables) == {tables[0]}


@pytest.mark.parametrize(
    "division",
    [
        *(["--batch-size", str(number)] for number in (1, 7, 8, 32, 50)),
        *(["--workers", str(number)] for number in (1, 2, 4)),
        *(["--threads", str(number)] for number in (1, 2)),
        ["--batch-size", "7", "--workers", "4", "--threads", "1"],
        *(["--processes", str(number)] for number in (1, 2, 5)),
        ["--batch-size", "7", "--processes", "3"],
        pytest.param(["--engine", "ray", "--workers", "2"], marks=pytest.mark.long),
    ],
    ids=" ".join,
)
def test_batch_workers_threads_and_processes_change_no_byte(
    division: list[str], folder: Path, expected: bytes, tmp_path: Path
) -> None:
    if "ray" in division:
        pytest.importorskip("ray")
    run(folder, "-o", tmp_path / "r.csv", *division)
    assert (tmp_path / "r.csv").read_bytes() == expected


def test_three_shards_joined_are_the_bytes_of_one_run(folder: Path, expected: bytes, tmp_path: Path) -> None:
    parts = [tmp_path / f"{number}.csv" for number in (1, 2, 3)]
    for number, part in enumerate(parts, start=1):
        run(folder, "-o", part, "--shard", f"{number}/3")
        assert 0 < len(read(part)) < NUMBER
    joined = CliRunner().invoke(merge_app, [*map(str, parts), "-o", str(tmp_path / "r.csv")])
    assert joined.exit_code == 0, joined.output
    assert (tmp_path / "r.csv").read_bytes() == expected
    again = CliRunner().invoke(merge_app, [*map(str, parts), "-o", str(tmp_path / "r.csv")])
    assert again.exit_code == 1
    assert "exists already" in again.stderr


def test_a_stream_has_the_bytes_of_the_file(folder: Path, expected: bytes) -> None:
    assert run(folder, "-o", "-").stdout_bytes == expected


def test_a_list_in_any_order_gives_the_bytes_of_the_folder(folder: Path, expected: bytes, tmp_path: Path) -> None:
    names = [str(path) for path in folder.iterdir() if path.name != "40-notes"]
    np.random.default_rng(1).shuffle(names)
    (tmp_path / "list").write_text("\n".join(names))
    run("--files-from", tmp_path / "list", "-o", tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_bytes() == expected


def test_verify_holds_with_rows_screened_again(folder: Path, expected: bytes) -> None:
    table = folder.parent / "expected.csv"
    assert table.read_bytes() == expected
    done = CliRunner().invoke(verify_app, [str(table), "--rescore", "20"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        *("ok    bytes", "ok    columns", "ok    rows", "ok    counts", "ok    models", "ok    20 rows screened again")
    ]


def test_verify_finds_another_model(folder: Path, expected: bytes, tmp_path: Path) -> None:
    import json
    import shutil

    from cxr.inference.model_folder import packaged_folder
    from cxr.inference.network import fingerprint

    other = tmp_path / "other"
    shutil.copytree(packaged_folder(), other)
    network = (other / "network.xml").read_text()
    (other / "network.xml").write_text(network + "\n")
    description = json.loads((other / "model.json").read_text())
    description["network"]["sha256"] = fingerprint(other)
    (other / "model.json").write_text(json.dumps(description))
    done = CliRunner().invoke(verify_app, [str(folder.parent / "expected.csv"), "--model", str(other)])
    assert expected
    assert done.exit_code == 1
    assert "FAIL  models" in done.stdout
    assert "name its folder with --model" in done.stdout


def test_pairs_of_one_picture_get_one_answer(tmp_path: Path) -> None:
    twelve = {"BitsStored": 12, "HighBit": 11}
    scans = tmp_path / "scans"
    scans.mkdir()
    save_dicom(scans / "1.dcm", deep(12), **twelve)
    save_dicom(scans / "2.dcm", 4095 - deep(12), PhotometricInterpretation="MONOCHROME1", **twelve)
    Image.fromarray(deep(16)).save(scans / "3.png")
    Image.fromarray(drawn()).save(scans / "4.png")
    assert run(scans, "-o", tmp_path / "r.csv").exit_code == 0
    names = ("probability_covid", "probability_normal", "probability_viral_pneumonia")
    answers = np.array([[float(row[name]) for name in names] for row in read(tmp_path / "r.csv")])
    assert np.abs(answers - answers[3]).max() <= 1e-3
