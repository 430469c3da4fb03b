"""`cxr-batch` with a network that has decisions: option, summary, log, page and `cxr-verify`."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import cxr
from cxr.cli.tables import verify_app
from cxr.core.files import read_json, write_json
from cxr.inference.gate import Sign
from cxr.inference.model_folder import copy_gate
from cxr.inference.network import DESCRIPTION_FILE
from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom
from tests.cli.batches import column, read, run
from tests.decision_forms import reference_form, with_decisions
from tests.evaluation.toy_gates import THRESHOLDS, toy_gate
from tests.screening.drawings import save
from tests.screening.fakes import FakeGate, FakeModel, deciding_model
from tests.screening.test_predict import coloured, save_signed

EXPECTED = reference_form(np.linspace(0.3, 1, 60), np.linspace(0.2, 0.4, 60), np.full(60, 24.0), (20, 20, 20))


@pytest.fixture
def deciding(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """What `load_model` returns for any folder."""
    model = deciding_model(reference=EXPECTED)
    monkeypatch.setattr(cxr.inference.model_folder, "load_model", lambda *_: model)
    return model


@pytest.mark.usefixtures("deciding")
class TestOption:
    def test_the_operating_point_changes_the_decision_and_not_the_prediction(self, scans: Path, tmp_path: Path) -> None:
        save(scans, "a/unsure.png", (150, 40, 40))
        assert run(scans, "-o", tmp_path / "r.csv").exit_code == 0
        assert run(scans, "-o", tmp_path / "s.csv", "--operating-point", "covid_spec95").exit_code == 0
        one, other = read(tmp_path / "r.csv"), read(tmp_path / "s.csv")
        assert [row["decision"] for row in one if row["path"] == "a/unsure.png"] == ["covid_suspected"]
        (unsure,) = (row for row in other if row["path"] == "a/unsure.png")
        assert (unsure["prediction"], unsure["decision"], unsure["refer_reason"]) == ("covid", "refer", "contradiction")
        assert [row["prediction"] for row in one] == [row["prediction"] for row in other]

    def test_an_unknown_one_is_a_usage_error_that_names_the_known_ones(self, scans: Path, tmp_path: Path) -> None:
        result = run(scans, "-o", tmp_path / "r.csv", "--operating-point", "best")
        assert result.exit_code == 2
        assert "no operating point 'best'; expected covid_sens95 or covid_spec95" in " ".join(result.stderr.split())
        assert not (tmp_path / "r.csv").exists()

    def test_rows_of_two_operating_points_do_not_mix(self, scans: Path, tmp_path: Path) -> None:
        run(scans, "-o", tmp_path / "r.csv")
        result = run(scans, "-o", tmp_path / "r.csv", "--operating-point", "covid_spec95")
        assert result.exit_code == 1
        assert "another operating point (then covid_sens95, now covid_spec95)" in " ".join(result.stderr.split())


def test_a_network_without_decisions_refuses_the_option_and_says_so_in_the_summary(
    scans: Path, tmp_path: Path, model: FakeModel
) -> None:
    result = run(scans, "-o", tmp_path / "r.csv", "--operating-point", "covid_sens95")
    assert result.exit_code == 2
    assert f"{model.identity} has no decisions" in result.stderr
    stderr = run(scans, "-o", tmp_path / "r.csv").stderr
    assert "; not calibrated: no decisions" in stderr
    assert "drift" not in stderr
    assert set(column(tmp_path / "r.csv", "decision")) == {""}


class TestSummary:
    def test_it_counts_decisions_and_says_why_files_are_referred(
        self, scans: Path, tmp_path: Path, deciding: FakeModel
    ) -> None:
        save(scans, "grey.png", (100, 100, 100))
        stderr = run(scans, "-o", tmp_path / "r.csv").stderr
        for word, count in (("covid_suspected", 1), ("not_suspected", 2), ("refer", 1)):
            (line,) = [line for line in stderr.splitlines() if word in line.split() and "%" in line]
            assert str(count) in line.replace("│", " ").split(), line
        assert "refer    1 file is for a person to decide: 1 because several classes are possible" in stderr
        assert f"model    {deciding.identity}" in stderr
        assert "decides at covid_sens95 (sensitivity at least 0.95 on validation)" in stderr
        assert "drift    not compared with validation: 4 answered files, at least 30 are needed" in stderr

    @pytest.mark.usefixtures("deciding")
    def test_a_batch_far_from_validation_is_warned_of_in_words(self, tmp_path: Path) -> None:
        for number in range(36):
            save(tmp_path / "scans", f"{number}.png", (255, 200 + number, 200 - number))
        stderr = run(tmp_path / "scans", "-o", tmp_path / "r.csv").stderr
        assert "warning: unlike validation in the brightness: " in stderr
        assert "warning: so the figures of the model card, and the decisions, may not hold for these files" in stderr
        assert "size is far" not in stderr
        assert "this model's card has no figures of hospitals that took no part in its training" in stderr

    def test_what_to_expect_elsewhere_is_said_where_the_batch_is_unlike(
        self, tmp_path: Path, deciding: FakeModel
    ) -> None:
        rows = [
            {"label": "normal", "n": 314, "called": {"value": 0.124}},
            {"label": "normal", "n": 39, "called": {"value": 0.326}},
            {"label": "viral", "n": 21, "called": {"value": 0.762}},  # a few films of another class say little
            {"label": "covid", "n": 900, "called": {"value": 0.93}},
        ]
        deciding.description["evaluation"] = {"card": {"unseen": {"target": "covid", "rows": rows}}}
        for number in range(36):
            save(tmp_path / "scans", f"{number}.png", (255, 200 + number, 200 - number))
        stderr = run(tmp_path / "scans", "-o", tmp_path / "r.csv").stderr
        assert (
            "made again without each of 2 hospitals, this model called 12% to 33% of their normal films covid" in stderr
        )
        assert read_json(tmp_path / "r.manifest.json")["models"][0]["unseen"] == {
            "label": "normal",
            "films": 353,
            "hospitals": 2,
            "lowest": 0.124,
            "highest": 0.326,
        }

    def test_training_pictures_are_warned_of(
        self, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from cxr.core.image import pixels_digest
        from cxr.imaging.decode import read_plane

        pixels = pixels_digest(read_plane(scans / "a" / "left.png", 16)[0])[:16]
        model = deciding_model(training_pixels=[pixels])
        monkeypatch.setattr(cxr.inference.model_folder, "load_model", lambda *_: model)
        stderr = run(scans, "-o", tmp_path / "r.csv").stderr
        assert (
            "warning: 1 file is a picture that the network was trained on; its answer does not show how good" in stderr
        )
        assert column(tmp_path / "r.csv", "in_training_set") == ["yes", "no", "no"]

    @pytest.mark.parametrize("minimum", [0.0, 0.3])
    def test_sets_that_can_leave_no_class_out_are_told_with_the_remedy(
        self, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minimum: float
    ) -> None:
        limits = dict.fromkeys(("covid", "normal", "viral_pneumonia"), minimum)
        model = deciding_model(conformal={"alpha": 0.02, "minimum": limits})
        monkeypatch.setattr(cxr.inference.model_folder, "load_model", lambda *_: model)
        stderr = run(scans, "-o", tmp_path / "r.csv").stderr
        told = [line for line in stderr.splitlines() if "every image is referred" in line]
        assert len(told) == (minimum == 0)
        assert all("49 validation images of each class" in line and "evaluate.alpha" in line for line in told)
        assert (set(column(tmp_path / "r.csv", "decision")) == {"refer"}) == (minimum == 0)


@pytest.mark.usefixtures("deciding")
def test_the_log_has_decisions_and_drift(scans: Path, tmp_path: Path) -> None:
    events = [json.loads(line) for line in run(scans, "-o", tmp_path / "r.csv", "--log-json").stderr.splitlines()]
    assert events[1]["operating_point"] == "covid_sens95"
    assert events[-1]["decisions"] == {"fake-0123456789ab": {"covid_suspected": 1, "not_suspected": 2}}
    assert events[-1]["drift"]["fake-0123456789ab"]["images"] == 3


@pytest.mark.usefixtures("deciding")
def test_the_verbose_voice_and_the_stream_have_decisions(scans: Path) -> None:
    result = run(scans, "-o", "-", "--verbose")
    assert "a/left.png: covid" in result.stderr
    assert ", covid_suspected (" in result.stderr
    assert ",covid,covid_suspected,," in result.stdout


@pytest.mark.usefixtures("deciding")
def test_the_page_says_where_it_was_decided(scans: Path, tmp_path: Path) -> None:
    run(scans, "-o", tmp_path / "r.csv", "--report", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert '["decided at","covid_sens95 (covid suspected from 0.400000 on)"]' in page


@pytest.mark.slow
class TestPackagedNetwork:
    """With decisions that were made up for it."""

    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return with_decisions(tmp_path_factory.mktemp("models") / "m", temperature=1.5, reference=EXPECTED)

    @pytest.fixture(scope="class")
    def table(self, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        base = tmp_path_factory.mktemp("table")
        random = np.random.default_rng(0)
        for number in range(35):
            save(base / "scans", f"{number:02}.png", random.integers(0, 256, 6).tolist())
        assert run(base / "scans", "--model", folder, "-o", base / "r.csv").exit_code == 0
        return base / "r.csv"

    @pytest.mark.parametrize("batch", [1, 32])
    def test_batch_size_changes_no_byte(self, batch: int, table: Path, folder: Path, tmp_path: Path) -> None:
        run(table.parent / "scans", "--model", folder, "-o", tmp_path / "r.csv", "--batch-size", batch)
        assert (tmp_path / "r.csv").read_bytes() == table.read_bytes()
        assert "" not in column(table, "decision")

    def test_the_batch_gives_what_the_library_gives(self, table: Path, folder: Path) -> None:
        from cxr.imaging.decode import read_plane

        model = cxr.inference.model_folder.load_model(folder)
        assert model.decisions is not None
        rows = read(table)
        planes = np.stack([read_plane(table.parent / "scans" / row["path"], model.plane_side)[0] for row in rows])
        probabilities = model.decisions.probabilities(model.network.predict(planes).logits)
        found = np.array([[float(row[f"probability_{name}"]) for name in model.classes] for row in rows])
        assert np.abs(found - probabilities).max() <= 1e-6
        decided = model.decisions.decide(probabilities, model.operating_point)
        assert [row["decision"] for row in rows] == [decision.word for decision in decided]

    def test_verify_holds_and_screens_again(self, table: Path, folder: Path) -> None:
        done = CliRunner().invoke(verify_app, [str(table), "--model", str(folder), "--rescore", "10"])
        assert done.exit_code == 0, done.output
        assert "ok    10 rows screened again" in done.stdout

    def test_verify_finds_other_decisions_and_a_manifest_that_was_changed(
        self, table: Path, folder: Path, tmp_path: Path
    ) -> None:
        other = with_decisions(tmp_path / "m", temperature=1.4)
        done = CliRunner().invoke(verify_app, [str(table), "--model", str(other)])
        assert done.exit_code == 1
        assert "but another description" in done.stdout
        assert "--model" in done.stdout
        manifest = table.with_suffix(".manifest.json")
        facts = read_json(manifest)
        try:
            write_json(manifest, facts | {"models": [facts["models"][0] | {"decisions": None}]})
            done = CliRunner().invoke(verify_app, [str(table), "--model", str(folder)])
        finally:
            write_json(manifest, facts)
        assert done.exit_code == 1
        assert "decides otherwise than the manifest says" in done.stdout
        assert "has no decisions" in done.stdout


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """What `load_model` returns for any folder."""
    model = replace(deciding_model(), gate=FakeGate())
    monkeypatch.setattr(cxr.inference.model_folder, "load_model", lambda *_: model)
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
        assert "refer    1 file is for a person to decide: 1 because they are unlike what was learnt" in result.stderr
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
        assert page.count("UklGR") == 2 * 6  # a thumbnail and a larger one of every picture, of rejected ones too

    def test_another_gate_is_refused(
        self, album: Path, tmp_path: Path, guarded: FakeModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run(album, "-o", tmp_path / "r.csv")
        other = replace(guarded, gate=FakeGate(sha256="7b" * 32))
        monkeypatch.setattr(cxr.inference.model_folder, "load_model", lambda *_: other)
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
class TestPackagedGate:
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
