"""Runs whose first network has a gate: bytes, manifest, going on, joining, checking."""

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxr.core.errors import DataError, ResumeError
from cxr.core.files import read_json, sha256_of, write_json
from cxr.core.image import Plane, pixels_digest
from cxr.imaging.decode import read_plane
from cxr.inference.decisions import DECISIONS_FILE, PIXEL_DIGITS, ReferReason, read_decisions
from cxr.inference.gate import GATE_FILE, GATE_NETWORK_FILE, GATE_WEIGHTS_FILE, Sign, gate_fingerprint, limits_form
from cxr.inference.network import DESCRIPTION_FILE
from cxr.screening.discovery import Shard
from cxr.screening.merge import merge
from cxr.screening.run_manifest import read_run_result
from cxr.screening.tables import Format, OutputFiles
from cxr.screening.verify import rescore, verify_models, verify_table
from tests.decision_forms import with_decisions
from tests.screening.drawings import save
from tests.screening.fakes import (
    LIMITS,
    SIDE,
    FakeGate,
    FakeModel,
    FakeNetwork,
    Logits,
    by_brightness,
    by_corner,
    deciding_model,
)
from tests.screening.test_predict import coloured, gated, save_signed
from tests.screening.works import run_in, work_on

IDENTITY = "fake-0123456789ab"


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Give 24 pictures that pass, some with each sign, and pictures that do not."""
    folder = tmp_path / "scans"
    folder.mkdir()
    random, signs = np.random.default_rng(5), list(Sign)[1:]
    for number in range(24):
        levels = random.integers(60, 200, 4).tolist()
        save_signed(folder, f"{number:02}.png", *signs[number % 8 : number % 8 + 1], levels=levels)
    for number in range(3):
        save_signed(folder, f"{number:02}-cat.png", Sign.NOT_A_RADIOGRAPH)
    coloured(folder, "07-red.png")
    save(folder, "09-blank.png", (99, 99, 99))
    save_signed(folder, "11-dark.png", levels=(40, 20, 0, 10))
    (folder / "empty.png").write_bytes(b"")
    return folder


@pytest.fixture
def table(scans: Path, tmp_path: Path) -> Path:
    run_in(tmp_path / "r.csv", work_on(scans, [gated()]))
    return tmp_path / "r.csv"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def opposed(planes: Plane) -> Logits:
    """Two members, of which one says the opposite of the other."""
    logits = by_brightness(planes)
    return np.stack([logits, -logits], axis=1)


def findings(table: Path) -> list[str]:
    return [finding for check in verify_table(read_run_result(table)) for finding in check.findings]


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (7, 3), (64, 2)])
def test_batch_size_and_workers_change_no_byte(
    batch: int, workers: int, table: Path, scans: Path, tmp_path: Path
) -> None:
    run_in(tmp_path / "s.csv", work_on(scans, [gated()], workers=workers, batch=batch))
    assert (tmp_path / "s.csv").read_bytes() == table.read_bytes()


def test_the_manifest_says_what_judged_and_what_came_of_it(table: Path) -> None:
    manifest = read_json(OutputFiles(table).manifest)
    assert manifest["gate"] == {
        "sha256": "6a" * 32,
        "limits": {
            **{"min_side": 10, "max_aspect": 4, "max_colour": 0.1, "min_spread": 0.02},
            **{"dark": 0.1, "bright": 0.8, "max_clipped": 0.4},
        },
        "thresholds": dict.fromkeys(map(str, Sign), 0.9),
    }
    assert manifest["fingerprint"]["gate"] == "6a" * 32
    counts = manifest["counts"]
    assert counts["reasons"] == {"blank": 1, "colour_photo": 1, "empty_file": 1, "not_a_radiograph": 3}
    assert (counts["ok"], counts["rejected"], counts["error"]) == (25, 5, 1)
    flags = dict.fromkeys(("cropped", "inverted", "out_of_distribution", "rotated_180", "rotated_90"), 3)
    assert counts["flags"] == flags | {"underexposed": 1}
    rows = read(table)
    assert counts["decisions"][IDENTITY]["refer_reasons"] == {
        reason: Counter(row["refer_reason"] for row in rows)[reason] for reason in ReferReason
    }
    assert counts["decisions"][IDENTITY]["refer_reasons"]["out_of_distribution"] == 3


def test_a_picture_without_an_answer_tells_whether_the_network_was_trained_on_it(scans: Path, tmp_path: Path) -> None:
    learnt = ("00.png", "07-red.png", "09-blank.png")
    pixels = sorted(pixels_digest(read_plane(scans / name, SIDE)[0])[:PIXEL_DIGITS] for name in learnt)
    model = replace(deciding_model(training_pixels=pixels), gate=FakeGate())
    broken = FakeNetwork(lambda planes: np.full((len(planes), 3), np.nan))
    for name, network, answered in (("r", model.network, 25), ("s", broken, 0)):
        _, tally, _ = run_in(tmp_path / f"{name}.csv", work_on(scans, [replace(model, network=network)]))
        rows = read(tmp_path / f"{name}.csv")
        assert {row["path"] for row in rows if row["in_training_set"] == "yes"} == set(learnt)
        assert {row["path"] for row in rows if not row["in_training_set"]} == {"empty.png"}
        assert (tally.ok, tally.in_training_set[0]) == (answered, {"yes": 3, "no": 27})
        assert findings(tmp_path / f"{name}.csv") == []


def test_without_a_gate_manifest_and_rows_say_so(scans: Path, tmp_path: Path) -> None:
    files, tally, _ = run_in(tmp_path / "r.csv", work_on(scans, [deciding_model()]))
    manifest = read_json(files.manifest)
    assert manifest["gate"] is None
    assert manifest["fingerprint"]["gate"] is None
    assert tally.statuses == {"ok": 30, "error": 1}
    assert tally.flags == {"flat": 1}
    assert findings(files.results) == []


def test_a_gate_of_a_further_network_is_not_asked(scans: Path, tmp_path: Path) -> None:
    second = replace(gated(), identity="second-1")
    files, tally, _ = run_in(tmp_path / "r.csv", work_on(scans, [deciding_model(), second]))
    assert read_json(files.manifest)["gate"] is None
    assert tally.statuses["rejected"] == 0
    assert second.gate is not None
    assert second.gate.batches == []


def test_the_rows_of_a_model_without_a_gate_are_those_of_passed_pictures_but_for_what_the_gate_says(
    table: Path, scans: Path, tmp_path: Path
) -> None:
    run_in(tmp_path / "s.csv", work_on(scans, [deciding_model()]))
    without = {row["path"]: row for row in read(tmp_path / "s.csv")}
    for row in read(table):
        if row["status"] == "ok" and not {*row["flags"].split()} & {*ReferReason}:
            assert row | {"flags": ""} == without[row["path"]]


@pytest.mark.parametrize("gate", [FakeGate(sha256="7b" * 32), None])
def test_an_earlier_run_with_another_gate_is_refused_and_named(gate: FakeGate | None, table: Path, scans: Path) -> None:
    now = "7b7b7b7b7b7b" if gate else "none"
    with pytest.raises(ResumeError, match=rf"another gate \(then 6a6a6a6a6a6a, now {now}\)\. Rows of both") as refused:
        run_in(table, work_on(scans, [replace(deciding_model(), gate=gate)]))
    assert "another model" not in str(refused.value)
    run_in(table, work_on(scans, [replace(deciding_model(), gate=gate)]), overwrite=True)
    with pytest.raises(ResumeError, match=rf"another gate \(then {now}, now 6a6a6a6a6a6a\)"):
        run_in(table, work_on(scans, [gated()]))


def test_a_run_that_goes_on_reads_nothing_again_that_the_gate_rejected(table: Path, scans: Path) -> None:
    before = table.read_bytes()
    _, _, notes = run_in(table, work_on(scans, [gated()]))
    assert (notes.kept, notes.retried, notes.screened_names) == (30, 1, ["empty.png"])
    assert table.read_bytes() == before


def test_shards_joined_are_the_bytes_and_counts_of_one_run(table: Path, scans: Path, tmp_path: Path) -> None:
    parts = [tmp_path / f"{number}.csv" for number in (1, 2)]
    for number, part in enumerate(parts, start=1):
        run_in(part, work_on(scans, [gated()], shard=Shard(number, 2)))
    joined = OutputFiles(tmp_path / "j.csv")
    merge([read_run_result(part) for part in parts], joined, Format.CSV)
    assert joined.results.read_bytes() == table.read_bytes()
    one, other = (read_json(OutputFiles(path).manifest) for path in (joined.results, table))
    assert (one["counts"], one["gate"]) == (other["counts"], other["gate"])
    assert findings(joined.results) == []


def test_shards_of_two_gates_are_not_joined(scans: Path, tmp_path: Path) -> None:
    for number, sha256 in ((1, "6a" * 32), (2, "7b" * 32)):
        run_in(tmp_path / f"{number}.csv", work_on(scans, [gated(sha256=sha256)], shard=Shard(number, 2)))
    with pytest.raises(DataError, match="were made with different gate"):
        merge([read_run_result(tmp_path / f"{n}.csv") for n in (1, 2)], OutputFiles(tmp_path / "j.csv"), Format.CSV)


@pytest.mark.parametrize("form", Format)
def test_every_form_holds_in_every_check_and_when_judged_and_screened_again(
    form: Format, scans: Path, tmp_path: Path
) -> None:
    if form is Format.PARQUET:
        pytest.importorskip("pyarrow")
    run_in(tmp_path / f"r.{form}", work_on(scans, [gated()], format=form))
    assert findings(tmp_path / f"r.{form}") == []
    described = read_run_result(tmp_path / f"r.{form}")
    model = gated()
    assert rescore(described, [model], None, b"", 99, seed=1).holds
    assert model.gate is not None
    assert sum(model.gate.batches) == 28
    stricter = gated(thresholds=dict.fromkeys(Sign, 0.9) | {Sign.INVERTED: 1.1, Sign.NOT_A_RADIOGRAPH: 1.1})
    again = rescore(described, [stricter], None, b"", 99, seed=1)
    assert "00.png: flags was 'inverted', is ''" in again.findings
    assert "00-cat.png: reason was 'not_a_radiograph', is ''" in again.findings


def test_another_digit_of_a_gates_score_is_no_difference_on_another_processor(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = read_run_result(table)
    machine = gated(judge=lambda planes: by_corner(planes) * 0.9994)
    assert not rescore(described, [machine], None, b"", 99, seed=1).holds
    monkeypatch.setattr("cxr.screening.verify.instructions", lambda: "another")
    assert rescore(described, [machine], None, b"", 99, seed=1).holds
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace("grey levels have a", "grey levels had a"), encoding="utf-8")
    (finding,) = rescore(described, [machine], None, b"", 99, seed=1).findings
    assert "09-blank.png: detail was 'grey levels had a" in finding


class TestChangedCells:
    """Of a table whose manifest was left as it is, so that the rules of a row find the change."""

    def changed(self, table: Path, path: str, **cells: str) -> list[str]:
        rows = read(table)
        (row,) = (row for row in rows if row["path"] == path)
        assert any(row[name] != value for name, value in cells.items())
        row |= cells
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        (check,) = (check for check in verify_table(read_run_result(table)) if check.name == "rows")
        return list(check.findings)

    @pytest.mark.parametrize(
        ("path", "cells", "words"),
        [
            ("04.png", {"flags": ""}, "refer_reason is 'out_of_distribution', the prediction set and the flags give"),
            ("04.png", {"refer_reason": "empty_set"}, "the flags give 'out_of_distribution'"),
            ("04.png", {"decision": "not_suspected"}, "decision is 'not_suspected', the probabilities give 'refer'"),
            ("05.png", {"flags": "out_of_distribution"}, "the flags give 'out_of_distribution'"),
            ("05.png", {"flags": "flat"}, "flags has flat, which is said only where no gate judges"),
            ("05.png", {"flags": "overexposed underexposed"}, "flags has underexposed, but brightness is 0."),
            ("05.png", {"flags": "elongated"}, "flags is 'elongated', but the picture has 16 x 16 pixels"),
            ("05.png", {"flags": "lateral"}, "only a DICOM header says, but format is 'PNG'"),
            ("05.png", {"flags": "cropped inverted"}, "expected each word once, in the order of docs/results-csv.md"),
            ("05.png", {"flags": "cropped cropped"}, "expected each word once, in the order of docs/results-csv.md"),
            ("empty.png", {"flags": "small"}, "flags is 'small', but nothing was decoded"),
            ("05.png", {"flags": "lopsided"}, "flags has lopsided, not in the vocabulary"),
            ("05.png", {"brightness": "0.900000"}, "flags lacks overexposed, which brightness 0.900000 gives"),
            ("11-dark.png", {"flags": ""}, "flags lacks underexposed, which brightness 0."),
            ("05.png", {"width": "9"}, "reason is '', width and height give 'too_small'"),
            ("05.png", {"width": "99"}, "reason is '', width and height give 'extreme_aspect'"),
            ("05.png", {"status": "rejected", "reason": "blank"}, f"reason is 'blank', but {IDENTITY} has an answer"),
            ("09-blank.png", {"reason": "too_small"}, "reason is 'too_small', width and height give ''"),
            ("09-blank.png", {"status": "error"}, "status is 'error', but reason 'blank' gives 'rejected'"),
            ("09-blank.png", {"flags": "inverted"}, "flags has inverted, but the gate has not passed it"),
            ("empty.png", {"flags": "cropped"}, "flags has cropped, but the gate has not passed it"),
            ("09-blank.png", {"brightness": ""}, "reason is 'blank', but width, height or brightness is empty"),
        ],
    )
    def test_a_combination_that_cannot_be_is_found_and_named(
        self, path: str, cells: dict[str, str], words: str, table: Path
    ) -> None:
        assert any(words in finding for finding in self.changed(table, path, **cells))

    def test_overexposed_by_what_is_white_may_have_any_brightness(self, table: Path) -> None:
        assert self.changed(table, "05.png", flags="overexposed") == []

    @pytest.mark.parametrize(
        ("cells", "words"),
        [
            ({"flags": "inverted"}, "flags has inverted, but no gate judged"),
            ({"flags": "underexposed"}, "flags has underexposed, but no gate judged"),
            ({"status": "rejected", "reason": "blank"}, "reason is 'blank', but no gate judged"),
        ],
    )
    def test_what_only_a_gate_says_is_found_where_there_is_none(
        self, cells: dict[str, str], words: str, scans: Path, tmp_path: Path
    ) -> None:
        run_in(tmp_path / "s.csv", work_on(scans, [deciding_model()]))
        assert any(words in finding for finding in self.changed(tmp_path / "s.csv", "06.png", **cells))

    @pytest.mark.parametrize("members", [[], ["cnn1", "cnn3"]])
    def test_disagreement_can_be_of_an_ensemble_alone(self, members: list[str], scans: Path, tmp_path: Path) -> None:
        model: FakeModel = gated()
        model.description["members"] = members
        model.network = FakeNetwork(members=opposed if members else None)
        files, _, _ = run_in(tmp_path / "e.csv", work_on(scans, [model]))
        assert read_json(files.manifest)["models"][0]["members"] == members
        assert findings(files.results) == []
        (sure, *_) = (
            row
            for row in read(files.results)
            if row["prediction_set"] in ("covid", "normal") and not {*row["flags"].split()} & {*ReferReason}
        )
        if members:
            assert sure["refer_reason"] == "disagreement"
            return
        found = self.changed(files.results, sure["path"], decision="refer", refer_reason="disagreement")
        assert any(f"refer_reason is 'disagreement', but {IDENTITY} is no ensemble" in finding for finding in found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"limits": {"min_side": 10}}, "it is no RunManifest.*max_aspect"),
        ({"thresholds": {}}, "expected one for each sign"),
        ({"sha256": "6a"}, "sha256 is '6a'; expected 64 digits"),
    ],
)
def test_a_manifest_whose_gate_was_garbled_is_an_error_that_names_it(
    change: dict[str, object], words: str, table: Path
) -> None:
    path = OutputFiles(table).manifest
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"gate": facts["gate"] | change}))
    with pytest.raises(DataError, match=words):
        verify_table(read_run_result(table))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give the packaged model with decisions, and with files of a gate that nobody compiles."""
    folder = with_decisions(tmp_path / "m")
    (folder / GATE_NETWORK_FILE).write_text("<net/>")
    (folder / GATE_WEIGHTS_FILE).write_bytes(b"")
    form = {"gate": 1, "limits": limits_form(LIMITS), "thresholds": dict.fromkeys(map(str, Sign), 0.9)}
    write_json(folder / GATE_FILE, form)
    description = read_json(folder / DESCRIPTION_FILE)
    write_json(folder / DESCRIPTION_FILE, description | {"gate": {"sha256": gate_fingerprint(folder)}})
    return folder


def test_the_gate_in_the_models_folder_must_be_the_manifests(folder: Path, scans: Path, tmp_path: Path) -> None:
    description, decisions = read_json(folder / DESCRIPTION_FILE), read_decisions(folder / DECISIONS_FILE)
    model = replace(
        gated(sha256=gate_fingerprint(folder)),
        description=description,
        decisions=decisions,
        network_sha256=description["network"]["sha256"],
        description_sha256=sha256_of(folder / DESCRIPTION_FILE),
    )
    run_in(tmp_path / "r.csv", work_on(scans, [model]))
    table = read_run_result(tmp_path / "r.csv")
    assert verify_models(table, [folder]).findings == ()
    gate = table.manifest.gate
    changes = {"sha256": "6a" * 32, "limits": replace(LIMITS, dark=0), "thresholds": dict.fromkeys(Sign, 0.8)}
    for name, value in changes.items():
        other = replace(table, manifest=replace(table.manifest, gate=replace(gate, **{name: value})))
        assert verify_models(other, [folder]).findings == (f"{folder} has another gate than the manifest says",)
    other = replace(table, manifest=replace(table.manifest, gate=None))
    assert verify_models(other, [folder]).findings == (f"{folder} has another gate than the manifest says",)
    first = replace(table.manifest.models[0], members=("cnn1", "cnn3"))
    other = replace(table, manifest=replace(table.manifest, models=(first,)))
    assert verify_models(other, [folder]).findings == (
        f"{folder} has other members than the manifest says of {model.identity}",
    )
    (folder / GATE_WEIGHTS_FILE).unlink()
    assert not verify_models(table, [folder]).holds


def test_a_manifest_without_a_gate_section_is_refused(table: Path) -> None:
    path = OutputFiles(table).manifest
    facts = json.loads(path.read_text())
    del facts["gate"]
    path.write_text(json.dumps(facts))
    with pytest.raises(DataError, match="lacks gate"):
        read_run_result(table)


def test_other_limits_in_the_manifest_than_those_in_force_are_found_in_the_rows(table: Path) -> None:
    path = OutputFiles(table).manifest
    facts = json.loads(path.read_text())
    facts["gate"]["limits"]["min_side"] = LIMITS.min_side * 4
    path.write_text(json.dumps(facts))
    assert any("width and height give 'too_small'" in finding for finding in findings(table))
