"""On real radiographs, at most 300 files; skipped where ../shared/data is absent."""

import csv
import shutil

import pytest
from typer.testing import CliRunner

from cxr.dataset.appearance import appearance_features, border_features
from cxr.dataset.audits import audit_release, audit_split
from cxr.dataset.audits.formats import read_headers
from cxr.dataset.decoding import decode_release
from cxr.dataset.prepare import DuplicateParams, PrepareParams, prepare_table
from cxr.dataset.release import chosen_classes, read_patients, read_release, read_sources
from cxr.dataset.sampling import BalanceParams, SplitParams, assign_splits, balance_rows
from cxr.evaluation.audits.subject import describe_baseline, fit_shortcut_baseline
from cxr.evaluation.stats.intervals import draw_weights
from cxr.imaging.formats import SUFFIXES
from tests.evaluation.cases import CLASSES, saved
from tests.imports import ROOT

DATA = ROOT.parent / "shared/data"
SUBSET = DATA / "covid19-radiography-subset"
EACH = 90
pytestmark = [pytest.mark.real, pytest.mark.skipif(not SUBSET.is_dir(), reason="../shared/data is not on this machine")]


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    """Give a release of ninety files a class, evenly spread over the names, with the sheets of the whole."""
    root = tmp_path_factory.mktemp("release")
    for folder in ("COVID", "Normal", "Viral Pneumonia"):
        (root / folder / "images").mkdir(parents=True)
        files = sorted((SUBSET / folder / "images").iterdir())
        for path in files[:: len(files) // EACH][:EACH]:
            (root / folder / "images" / path.name).symlink_to(path)
        shutil.copy(SUBSET / f"{folder}.metadata.xlsx", root)
    shutil.copy(SUBSET / "patients.csv", root)
    return root


@pytest.fixture(scope="module")
def prepared(some, tmp_path_factory):
    release = read_release(some)
    images = chosen_classes(release, CLASSES, ())
    params = PrepareParams(expected_files=1, duplicates=DuplicateParams(max_distance=51, min_correlation=0.97))
    decoded = decode_release(some, images, [128], tmp_path_factory.mktemp("planes"))
    return prepare_table(decoded, read_sources(some), read_patients(some), params)


@pytest.fixture(scope="module")
def audited(some, prepared):
    """Give what `prepare` and `split` report, and the split table."""
    labels = dict(zip(prepared.table["file"], prepared.table["label"], strict=True))
    report = audit_release(prepared, read_headers(some, list(labels)), labels, {}, {})
    table = assign_splits(balance_rows(prepared.table, BalanceParams(), seed=7), SplitParams(), seed=7)
    return report, audit_split(prepared.table, table, report.flow, 7, {}), table


def test_prepare_reads_every_file_with_its_source_and_patient(prepared):
    table = prepared.table
    assert len(table) == 3 * EACH
    assert (table["source"] != "").all()
    assert ((table["patient"] != "") == (table["label"] == "viral_pneumonia")).all()
    assert (table["synthetic"] == 0).all()
    assert prepared.images.std(axis=(1, 2)).min() > 10  # no file came out flat


def test_audits_find_what_even_a_small_part_shows(audited):
    results = {audit.id: audit for report in audited[:2] for audit in report.audits}
    assert len(results) == 11
    assert [id for id, audit in results.items() if audit.result == "fail"] == []
    for id in ("class_by_source", "class_by_source_sample"):
        assert results[id].result == "warn"
        assert results[id].values["cramers_v"] > 0.8
        assert results[id].values["oracle_accuracy"] > 0.9
    assert results["format_leak_header"].result == "warn"  # by the size in bytes
    assert results["format_leak_decoded"].values["balanced_accuracy"] < 0.36
    assert results["leak_across_splits"].result == "pass"


def test_the_pixels_show_where_the_normal_films_of_children_end(audited):
    changes = audited[0].change_points
    assert [label for label, change in changes.items() if change.found] == ["normal"]
    # The last file of the part before the change, which lies behind Normal-1341.
    assert 1300 <= changes["normal"].number <= 1410
    assert changes["normal"].auc > 0.85


def test_the_flow_adds_up_to_the_split(audited):
    *steps, train, validation, test = audited[1].flow
    totals = [sum(step.images.values()) for step in steps]
    assert totals[0] == 3 * EACH
    assert totals[1:] == [before - step.dropped for before, step in zip(totals, steps[1:], strict=False)]
    for label, left in steps[-1].images.items():
        assert left == sum(split.images[label] for split in (train, validation, test))
    assert len(audited[2]) == totals[-1]


def test_the_look_of_a_film_gives_more_of_its_class_away_than_chance(prepared, audited):
    table = audited[2]
    said = saved(table)
    looks, borders = (features(prepared.images[said.index]) for features in (appearance_features, border_features))
    floor = describe_baseline(fit_shortcut_baseline(said, looks, borders, seed=7), draw_weights(*_of_test(said), 7))
    assert floor.appearance.value > 0.6
    assert floor.source > 0.9


def _of_test(said):
    test = said.of("test")
    return test.truth, test.group


@pytest.mark.parametrize("folder", ["some", "full-size"])
def test_the_packaged_model_gives_every_image_file_its_row(folder, some, tmp_path):
    from cxr.cli.batch import app

    screened = some if folder == "some" else DATA / folder
    output = tmp_path / "results.csv"
    done = CliRunner().invoke(app, [str(screened), "-o", str(output)])
    assert done.exit_code in (0, 3), done.output
    expected = sorted(
        path.relative_to(screened).as_posix() for path in screened.rglob("*") if path.suffix.lower() in SUFFIXES
    )
    with output.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == expected
    # Radiographs of many hospitals: all are decoded, and the gate may take a few for something else.
    assert {row["status"] for row in rows} <= {"ok", "rejected"}
    rejected = [row["reason"] for row in rows if row["status"] != "ok"]
    assert set(rejected) <= {"not_a_radiograph"}
    assert len(rejected) <= 0.03 * len(rows)
    assert done.exit_code == (3 if rejected else 0)
