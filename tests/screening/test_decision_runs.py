"""Runs whose network has decisions: what they do to rows, counts, manifest and checks."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr.core.errors import ResumeError
from cxr.core.files import read_json
from cxr.core.image import pixels_digest
from cxr.core.records import as_json
from cxr.imaging.decode import read_plane
from cxr.inference.decisions import PIXEL_DIGITS
from cxr.inference.network import softmax
from cxr.screening.discovery import Shard
from cxr.screening.journal import create_journal, fingerprint_of
from cxr.screening.merge import merge
from cxr.screening.run_manifest import read_run_result
from cxr.screening.tables import Format, OutputFiles
from cxr.screening.verify import rescore, verify_table
from tests.decision_forms import CLASSES, reference_form
from tests.screening.drawings import save
from tests.screening.fakes import SIDE, FakeModel, FakeNetwork, by_brightness, deciding_model
from tests.screening.works import run_in, work_on

RANDOM = np.random.default_rng(7)
REFERENCE = reference_form(RANDOM.uniform(0.3, 1, 90), RANDOM.uniform(0.3, 0.6, 90), np.full(90, 24.0), (30, 30, 30))


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Give 40 pictures of which some are decided either way and some are referred, and a broken file."""
    folder = tmp_path / "scans"
    random = np.random.default_rng(0)
    for number in range(40):
        save(folder, f"{number:02}.png", random.integers(0, 256, 3).tolist())
    (folder / "empty.png").write_bytes(b"")
    return folder


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_is_decided_as_its_logits_say(scans: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "r.csv", work_on(scans, [deciding_model(temperature=0.5)]))
    rows = [row for row in read(tmp_path / "r.csv") if row["status"] == "ok"]
    minimum = np.array([0.25, 0.32, 0.3])
    seen = set()
    for row in rows:
        plane = np.asarray(Image.open(scans / row["path"]).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        probabilities = softmax(by_brightness(plane[np.newaxis])[0] / 0.5)
        members = [name for name, one, least in zip(CLASSES, probabilities, minimum, strict=True) if one >= least]
        word = "refer" if len(members) != 1 else "covid_suspected" if probabilities[0] >= 0.4 else "not_suspected"
        assert [row[f"probability_{name}"] for name in CLASSES] == [f"{one:.6f}" for one in probabilities]
        assert (row["prediction_set"], row["decision"]) == (" ".join(members) or "empty", word)
        assert row["refer_reason"] == ("" if word != "refer" else "several_classes" if members else "empty_set")
        assert row["brightness"] == f"{plane.mean() / 255:.6f}"
        seen.add(word)
    assert seen == {"covid_suspected", "not_suspected", "refer"}


def test_a_failed_row_and_a_network_without_decisions_have_empty_cells(scans: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "r.csv", work_on(scans, [deciding_model()]))
    (failed,) = (row for row in read(tmp_path / "r.csv") if row["status"] == "error")
    assert {failed[name] for name in ("prediction_set", "decision", "refer_reason", "in_training_set")} == {""}
    run_in(tmp_path / "s.csv", work_on(scans))
    assert {row["decision"] + row["prediction_set"] + row["in_training_set"] for row in read(tmp_path / "s.csv")} == {
        ""
    }


def test_an_empty_set_is_told_from_no_decision(scans: Path, tmp_path: Path) -> None:
    model = deciding_model(conformal={"alpha": 0.05, "minimum": dict.fromkeys(CLASSES, 1.0)})
    run_in(tmp_path / "r.csv", work_on(scans, [model]))
    first = read(tmp_path / "r.csv")[0]
    assert (first["prediction_set"], first["decision"], first["refer_reason"]) == ("empty", "refer", "empty_set")


@pytest.mark.parametrize("batch", [1, 7])
def test_batch_size_changes_no_byte_and_no_decision(batch: int, scans: Path, tmp_path: Path) -> None:
    for name, number in (("r", 32), ("s", batch)):
        model = deciding_model(reference=REFERENCE, training_pixels=["0" * 16])
        run_in(tmp_path / f"{name}.csv", work_on(scans, [model], batch=number))
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "s.csv").read_bytes()
    one, other = (read_json(OutputFiles(tmp_path / f"{name}.csv").manifest) for name in "rs")
    assert (one["counts"], one["drift"]) == (other["counts"], other["drift"])


def test_pictures_of_the_training_set_are_recognised_and_no_others(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(510):
        Image.fromarray(random.integers(0, 256, (20, 18), np.uint8)).save(folder / f"{number:03}.png")
    planted = {f"{number:03}.png" for number in range(5, 510, 51)}
    pixels = [pixels_digest(read_plane(folder / name, SIDE)[0])[:PIXEL_DIGITS] for name in planted]
    others = [f"{number:016x}" for number in range(2000)]
    first = sorted(planted)[0]
    Image.open(folder / first).save(folder / first.replace("png", "bmp"))  # another file of the same pixels
    model = deciding_model(training_pixels=sorted([*pixels, *others]))
    _, tally, _ = run_in(tmp_path / "r.csv", work_on(folder, [model]))
    rows = read(tmp_path / "r.csv")
    assert {row["path"] for row in rows if row["in_training_set"] == "yes"} == planted | {first.replace("png", "bmp")}
    assert tally.in_training_set[0] == {"yes": 11, "no": 500}
    assert len(planted) == 10


def test_two_networks_decide_each_for_itself(scans: Path, tmp_path: Path) -> None:
    second = replace(deciding_model("covid_spec95"), identity="other-ffffffffffff", network_sha256="ff" * 32)
    second.description["name"] = "other"
    run_in(tmp_path / "r.csv", work_on(scans, [deciding_model(), second]))
    rows = [row for row in read(tmp_path / "r.csv") if row["status"] == "ok"]
    for row in rows:
        suspected = float(row["other_probability_covid"]) >= 0.8
        assert row["other_decision"] in ("refer", "covid_suspected" if suspected else "not_suspected")
    assert any(row["decision"] != row["other_decision"] for row in rows)
    assert all(check.holds for check in verify_table(read_run_result(tmp_path / "r.csv")))


def test_the_manifest_says_what_decided_and_how_often(scans: Path, tmp_path: Path) -> None:
    model = deciding_model("covid_spec95", reference=REFERENCE)
    files, tally, _ = run_in(tmp_path / "r.csv", work_on(scans, [model]))
    manifest = read_json(files.manifest)
    assert manifest["models"][0]["decisions"] == {
        "operating_point": "covid_spec95",
        "target": "covid",
        "threshold": 0.8,
        "temperature": 1.0,
        "alpha": 0.05,
        "minimum": {"covid": 0.25, "normal": 0.32, "viral_pneumonia": 0.3},
        "sha256": "45" * 32,
    }
    counts = manifest["counts"]["decisions"]["fake-0123456789ab"]
    decided = [row["decision"] for row in read(tmp_path / "r.csv") if row["decision"]]
    assert {word: counts[word] for word in sorted(set(decided))} == {w: decided.count(w) for w in sorted(set(decided))}
    assert counts["refer"] == sum(counts["refer_reasons"].values()) == tally.decisions[0]["refer"]
    drift = manifest["drift"]["fake-0123456789ab"]
    assert (drift["images"], drift["validation_images"]) == (40, 90)
    # Its films have one size, of which nothing is said.
    assert [one["figure"] for one in drift["figures"]] == ["class_mix", "confidence", "brightness"]
    assert list(manifest)[-1] == "references"


def test_a_run_that_was_resumed_compares_all_its_rows(scans: Path, tmp_path: Path) -> None:
    model = deciding_model(reference=REFERENCE)
    run_in(tmp_path / "r.csv", work_on(scans, [model], limit=15))
    files, _, notes = run_in(tmp_path / "r.csv", work_on(scans, [model]))
    whole, _, _ = run_in(tmp_path / "s.csv", work_on(scans, [model]))
    assert notes.kept == 15
    assert read_json(files.manifest)["drift"] == read_json(whole.manifest)["drift"]


def test_shards_joined_have_decisions_and_drift_of_one_run(scans: Path, tmp_path: Path) -> None:
    model = deciding_model(reference=REFERENCE)
    parts = [tmp_path / f"{number}.csv" for number in (1, 2)]
    for number, part in enumerate(parts, start=1):
        run_in(part, work_on(scans, [model], shard=Shard(number, 2)))
    whole, _, _ = run_in(tmp_path / "r.csv", work_on(scans, [model]))
    joined = OutputFiles(tmp_path / "j.csv")
    merge([read_run_result(part) for part in parts], joined, Format.CSV)
    assert joined.results.read_bytes() == whole.results.read_bytes()
    one, other = read_json(joined.manifest), read_json(whole.manifest)
    assert (one["counts"], one["drift"]) == (other["counts"], other["drift"])
    assert all(check.holds for check in verify_table(read_run_result(joined.results)))


@pytest.mark.parametrize("form", Format)
def test_every_form_of_the_table_holds_in_every_check_and_when_screened_again(
    form: Format, scans: Path, tmp_path: Path
) -> None:
    if form is Format.PARQUET:
        pytest.importorskip("pyarrow")
    model = deciding_model("covid_spec95", reference=REFERENCE, training_pixels=["0" * 16])
    run_in(tmp_path / f"r.{form}", work_on(scans, [model], format=form))
    table = read_run_result(tmp_path / f"r.{form}")
    assert [finding for check in verify_table(table) for finding in check.findings] == []
    assert rescore(table, [model], None, b"", 99, seed=1).holds
    assert not rescore(table, [replace(model, operating_point="covid_sens95")], None, b"", 99, seed=1).holds


def test_an_earlier_run_at_another_operating_point_is_refused_and_named(scans: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "r.csv", work_on(scans, [deciding_model()]))
    with pytest.raises(ResumeError, match=r"another operating point \(then covid_sens95, now covid_spec95\)"):
        run_in(tmp_path / "r.csv", work_on(scans, [deciding_model("covid_spec95")]))


def test_a_journal_of_an_older_table_is_refused_for_its_version(scans: Path, tmp_path: Path) -> None:
    work = work_on(scans, [deciding_model()])
    older = as_json(fingerprint_of(work.models, work.request.naming, ())) | {"schema": 2}
    del older["operating_points"]
    with create_journal(OutputFiles(tmp_path / "r.csv").journal, older) as journal:
        path = journal.path
    path.write_bytes(path.read_bytes() + b"0123 torn")
    with pytest.raises(ResumeError, match=r"with another version of the table \(then 2, now 4\)\. Rows"):
        run_in(tmp_path / "r.csv", work)


CELLS = ",covid,refer,contradiction,"  # covid is the most probable class, and a hair below the threshold


class TestChangedCells:
    @pytest.fixture
    def table(self, tmp_path: Path) -> Path:
        """Give a table of one picture whose probability of covid is the threshold but for rounding."""
        folder = tmp_path / "one"
        save(folder, "a.png")
        # Logits of one picture: probabilities 0.4 - 2e-7, 0.3, 0.3; only covid is in the set.
        logits = np.log([[0.4 - 2e-7, 0.3 + 1e-7, 0.3 + 1e-7]])
        conformal = {"alpha": 0.05, "minimum": {"covid": 0.4 - 4e-7, "normal": 0.5, "viral_pneumonia": 0.5}}
        model: FakeModel = deciding_model(conformal=conformal)
        model = replace(model, network=FakeNetwork(lambda _: logits))
        run_in(tmp_path / "r.csv", work_on(folder, [model]))
        return tmp_path / "r.csv"

    def findings(self, table: Path, old: str, new: str) -> list[str]:
        text = table.read_text()
        assert old in text
        table.write_text(text.replace(old, new, 1))
        (rows,) = (check for check in verify_table(read_run_result(table)) if check.name == "rows")
        return list(rows.findings)

    def test_the_decision_is_made_before_rounding_and_verified_after_it(self, table: Path) -> None:
        (row,) = read(table)
        assert (row["probability_covid"], row["decision"]) == ("0.400000", "refer")
        assert all(check.holds for check in verify_table(read_run_result(table)))

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            (CELLS, ",normal,refer,contradiction,", "prediction_set has normal, whose probability"),
            (CELLS, ",empty,refer,empty_set,", None),
            (CELLS, ",empty,refer,,", "refer_reason is '', the prediction set and the flags give 'empty_set'"),
            (CELLS, ",covid normal,refer,contradiction,", "prediction_set has normal"),
            (CELLS, ",normal covid,refer,contradiction,", "expected classes in order, or empty"),
            (CELLS, ",covid,not_suspected,,", "decision is 'not_suspected', the probabilities give"),
            (CELLS, ",covid,suspected,,", "decision is 'suspected'"),
            (CELLS, f"{CELLS}maybe", "in_training_set is"),
            (CELLS, ",covid,refer,several_classes,", "the prediction set and the flags give 'contradiction'"),
        ],
    )
    def test_a_changed_decision_is_found_and_named(self, old: str, new: str, words: str | None, table: Path) -> None:
        if words is None:  # a minimum within rounding: both are possible
            assert self.findings(table, old, new) == []
            return
        assert any(words in finding for finding in self.findings(table, old, new))

    def test_a_decision_within_rounding_of_the_threshold_may_be_either(self, table: Path) -> None:
        assert self.findings(table, CELLS, ",covid,covid_suspected,,") == []

    def test_a_decision_beyond_rounding_may_not(self, table: Path) -> None:
        text = table.read_text().replace("0.400000", "0.400002").replace("0.300000", "0.299999")
        table.write_text(text)
        assert any("'covid_suspected'" in finding for finding in self.findings(table, "ok", "ok"))

    def test_another_drift_than_the_rows_give_is_found(self, scans: Path, tmp_path: Path) -> None:
        files, _, _ = run_in(tmp_path / "d.csv", work_on(scans, [deciding_model(reference=REFERENCE)]))
        manifest = read_json(files.manifest)
        manifest["drift"]["fake-0123456789ab"]["figures"][2]["far_off"] ^= True
        files.manifest.write_text(json.dumps(manifest))
        (counts,) = (check for check in verify_table(read_run_result(files.results)) if check.name == "counts")
        assert "drift of fake-0123456789ab" in counts.findings[0]
