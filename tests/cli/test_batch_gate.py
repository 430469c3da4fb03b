"""`cxr-batch` with a network that has a gate: summary, log, page and exit status."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import cxr.model_folder
from cxr.cli.verify import app as verify_app
from cxr.dataset.phantom import draw_phantom
from cxr.dataset.phantom_findings import Finding
from cxr.files import read_json, write_json
from cxr.gate import Sign
from cxr.model_folder import DESCRIPTION_FILE
from cxr.model_parts import copy_gate
from tests.cli.batches import column, read, run
from tests.decision_forms import with_decisions
from tests.evaluation.toy_gates import THRESHOLDS, toy_gate
from tests.screening.fakes import FakeGate, FakeModel, deciding_model
from tests.screening.test_gating import coloured, save_signed


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """What `load_model` returns for any folder."""
    model = replace(deciding_model(), gate=FakeGate())
    monkeypatch.setattr(cxr.model_folder, "load_model", lambda *_: model)
    return model


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Three radiographs, of which one is unlike the others, two other pictures and a photograph."""
    folder = tmp_path / "album"
    for name, signs in (("a", ()), ("b", ()), ("c", (Sign.OUT_OF_DISTRIBUTION,)), ("d", (Sign.NOT_A_RADIOGRAPH,))):
        save_signed(folder, f"{name}.png", *signs)
    save_signed(folder, "e.png", Sign.NOT_A_RADIOGRAPH)
    coloured(folder, "f.png")
    return folder


@pytest.mark.usefixtures("guarded")
class TestGuarded:
    def test_the_summary_says_what_was_rejected_and_referred_for_which_reason(
        self, album: Path, tmp_path: Path
    ) -> None:
        result = run(album, "-o", tmp_path / "r.csv")
        assert result.exit_code == 3
        assert "gate     6a6a6a6a6a6a rejected 3 files: 1 colour_photo, 2 not_a_radiograph" in result.stderr
        assert "refer    1 files are for a person to decide: 1 because they are unlike what was learnt" in result.stderr
        assert "not_a_radiograph: d.png (the gate scores it 1.000 as no chest radiograph" in result.stderr
        assert "flags    out_of_distribution 1" in result.stderr

    def test_rejected_files_have_no_answer_for_the_exit_status(self, album: Path, tmp_path: Path) -> None:
        assert run(album, "-o", tmp_path / "r.csv", "--fail-on", "all").exit_code == 0
        (album / "only").mkdir()
        save_signed(album / "only", "cat.png", Sign.NOT_A_RADIOGRAPH)
        assert run(album / "only", "-o", tmp_path / "s.csv", "--fail-on", "all").exit_code == 3

    def test_the_log_names_the_gate_and_counts_reasons(self, album: Path, tmp_path: Path) -> None:
        stderr = run(album, "-o", tmp_path / "r.csv", "--log-json").stderr
        events = [json.loads(line) for line in stderr.splitlines()]
        assert [event["gate"] for event in events if event["event"] == "loaded"] == ["6a" * 32]
        failed = [(event["path"], event["status"], event["reason"]) for event in events if "reason" in event]
        assert failed[0] == ("d.png", "rejected", "not_a_radiograph")
        assert events[-1]["reasons"] == {"not_a_radiograph": 2, "colour_photo": 1}
        assert events[-1]["refer_reasons"] == {"fake-0123456789ab": {"out_of_distribution": 1}}

    def test_stream_and_file_have_equal_rows(self, album: Path, tmp_path: Path) -> None:
        run(album, "-o", tmp_path / "r.csv")
        assert run(album, "-o", "-").stdout == (tmp_path / "r.csv").read_text(encoding="utf-8")
        reasons = ["", "", "", "not_a_radiograph", "not_a_radiograph", "colour_photo"]
        assert column(tmp_path / "r.csv", "reason") == reasons

    def test_the_page_names_the_gate_and_shows_what_was_rejected(self, album: Path, tmp_path: Path) -> None:
        run(album, "-o", tmp_path / "r.csv", "--report", tmp_path / "r.html")
        page = (tmp_path / "r.html").read_text(encoding="utf-8")
        assert '["gate","6a6a6a6a6a6a"]' in page
        assert page.count("UklGR") == 6  # every picture, of rejected ones too

    def test_another_gate_is_refused(
        self, album: Path, tmp_path: Path, guarded: FakeModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run(album, "-o", tmp_path / "r.csv")
        other = replace(guarded, gate=FakeGate(sha256="7b" * 32))
        monkeypatch.setattr(cxr.model_folder, "load_model", lambda *_: other)
        result = run(album, "-o", tmp_path / "r.csv")
        assert result.exit_code == 1
        assert "was begun with another gate (then 6a6a6a6a6a6a, now 7b7b7b7b7b7b)" in " ".join(result.stderr.split())


@pytest.mark.usefixtures("model")
def test_without_a_gate_the_summary_says_that_anything_is_answered(album: Path, tmp_path: Path) -> None:
    result = run(album, "-o", tmp_path / "r.csv")
    assert result.exit_code == 0
    assert "gate     none: every picture that can be decoded is answered, radiograph or not" in result.stderr
    assert set(column(tmp_path / "r.csv", "reason")) == {""}


@pytest.mark.slow
class TestPackagedNetwork:
    """With a gate that calls bright planes foreign, and decisions that were made up for it."""

    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        base = tmp_path_factory.mktemp("models")
        folder = with_decisions(base / "m")
        description = read_json(folder / DESCRIPTION_FILE)
        gate = toy_gate(base / "gate", description["image_side"], THRESHOLDS | {Sign.NOT_A_RADIOGRAPH: 0.72})
        write_json(folder / DESCRIPTION_FILE, description | copy_gate(gate, folder))
        return folder

    @pytest.fixture(scope="class")
    def table(self, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Screen films that grow brighter: as they should be, unusual, foreign."""
        base = tmp_path_factory.mktemp("table")
        (base / "scans").mkdir()
        film = np.asarray(Image.fromarray(draw_phantom(Finding.NONE, (1, 2), 0).luminance).resize((99, 99)), np.float64)
        for number in range(40):
            brighter = 255 - (255 - film) * (1 - number / 60)
            Image.fromarray(brighter.round().astype(np.uint8)).save(base / "scans" / f"{number:02}.png")
        assert run(base / "scans", "--model", folder, "-o", base / "r.csv").exit_code == 3
        return base / "r.csv"

    def test_every_outcome_is_there_and_follows_brightness(self, table: Path) -> None:
        rows = read(table)
        for row in rows:
            brightness = float(row["brightness"])
            assert (row["reason"] == "not_a_radiograph") == (brightness >= 0.72), row
            unusual = 0.7 <= brightness < 0.72
            assert ("out_of_distribution" in row["flags"].split()) == unusual, row
            assert (row["refer_reason"] == "out_of_distribution") == unusual, row
        assert {row["status"] for row in rows} == {"ok", "rejected"}
        assert any(row["refer_reason"] == "out_of_distribution" for row in rows)

    @pytest.mark.parametrize(("batch", "workers"), [(1, 1), (32, 3)])
    def test_batch_size_and_workers_change_no_byte(
        self, batch: int, workers: int, table: Path, folder: Path, tmp_path: Path
    ) -> None:
        more = ("--batch-size", batch, "--workers", workers)
        run(table.parent / "scans", "--model", folder, "-o", tmp_path / "r.csv", *more)
        assert (tmp_path / "r.csv").read_bytes() == table.read_bytes()

    def test_verify_holds_and_judges_again(self, table: Path, folder: Path) -> None:
        done = CliRunner().invoke(verify_app, [str(table), "--model", str(folder), "--rescore", "40"])
        assert done.exit_code == 0, done.output
        assert "ok    40 rows screened again" in done.stdout

    def test_verify_finds_limits_of_another_gate_in_the_manifest(self, table: Path, folder: Path) -> None:
        manifest = table.with_suffix(".manifest.json")
        facts = read_json(manifest)
        limits = facts["gate"]["limits"] | {"max_colour": 0.5}
        try:
            write_json(manifest, facts | {"gate": facts["gate"] | {"limits": limits}})
            done = CliRunner().invoke(verify_app, [str(table), "--model", str(folder)])
        finally:
            write_json(manifest, facts)
        assert done.exit_code == 1
        assert "has another gate than the manifest says" in done.stdout
