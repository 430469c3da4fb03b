"""On real radiographs, at most 300 files; skipped where ../shared/data is absent."""

import csv
import shutil

import pytest
from typer.testing import CliRunner

from cxr.dataset.preparing import DuplicateParams, PrepareParams, decode_release, prepare_table
from cxr.dataset.release import chosen_classes, read_release
from cxr.dataset.sources import read_patients, read_sources
from cxr.formats import SUFFIXES
from tests.imports import ROOT

DATA = ROOT.parent / "shared/data"
SUBSET = DATA / "covid19-radiography-subset"
pytestmark = [pytest.mark.real, pytest.mark.skipif(not SUBSET.is_dir(), reason="../shared/data is not on this machine")]


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    """Give a release of ninety files a class, the first of each by name, with the sheets of the whole."""
    root = tmp_path_factory.mktemp("release")
    for folder in ("COVID", "Normal", "Viral Pneumonia"):
        (root / folder / "images").mkdir(parents=True)
        for path in sorted((SUBSET / folder / "images").iterdir())[:90]:
            (root / folder / "images" / path.name).symlink_to(path)
        shutil.copy(SUBSET / f"{folder}.metadata.xlsx", root)
    table = (SUBSET / "patients.csv").read_text().splitlines()
    (root / "patients.csv").write_text("\n".join(table))
    return root


def test_prepare_reads_every_file_with_its_source_and_patient(some):
    release = read_release(some)
    images = chosen_classes(release, ("covid", "normal", "viral_pneumonia"), ())
    params = PrepareParams(expected_files=1, duplicates=DuplicateParams(max_distance=51, min_correlation=0.97))
    prepared = prepare_table(decode_release(release, images, 128), read_sources(some), read_patients(some), params)
    table = prepared.table
    assert len(table) == 270
    assert (table["source"] != "").all()
    assert ((table["patient"] != "") == (table["label"] == "viral_pneumonia")).all()
    assert (table["synthetic"] == 0).all()
    assert prepared.images.std(axis=(1, 2)).min() > 10  # no file came out flat


@pytest.mark.parametrize("folder", ["some", "full-size"])
def test_the_packaged_model_gives_every_image_file_its_row(folder, some, tmp_path):
    from cxr.cli.batch import app

    screened = some if folder == "some" else DATA / folder
    output = tmp_path / "results.csv"
    done = CliRunner().invoke(app, [str(screened), "-o", str(output)])
    assert done.exit_code == 0, done.output
    expected = sorted(
        path.relative_to(screened).as_posix() for path in screened.rglob("*") if path.suffix.lower() in SUFFIXES
    )
    with output.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == expected
    assert {row["status"] for row in rows} == {"ok"}
