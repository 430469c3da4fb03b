"""`cxr-batch` as its user sees it: results, summary, partitions, and runs that are ended from outside."""

import gzip
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import cxr
from cxr import __version__
from cxr.cli.tables import merge_app
from cxr.core.errors import ModelError
from cxr.screening import tables
from cxr.screening.journal import Journal
from cxr.screening.paths import unescape
from cxr.screening.run_manifest import read_run_result
from cxr.screening.verify import verify_table
from tests.cli.batches import HEADER, read, run
from tests.imports import ROOT
from tests.screening.drawings import save
from tests.screening.fakes import FakeModel, FakeNetwork


@pytest.mark.usefixtures("model")
class TestResults:
    def test_every_file_gets_the_prediction_of_its_own_picture(self, scans: Path, tmp_path: Path) -> None:
        result = run(scans, "-o", tmp_path / "results.csv")
        assert result.exit_code == 0, result.output
        assert [(row["path"], row["status"], row["prediction"]) for row in read(tmp_path / "results.csv")] == [
            ("a/left.png", "ok", "covid"),
            ("a/middle.PNG", "ok", "normal"),
            ("b/right.JpEg", "ok", "viral_pneumonia"),
        ]
        assert (tmp_path / "results.csv").read_bytes().startswith(HEADER.encode() + b"\n")
        assert b"\r" not in (tmp_path / "results.csv").read_bytes()

    def test_probabilities_have_six_decimals_and_sum_to_one(self, scans: Path, tmp_path: Path) -> None:
        run(scans, "-o", tmp_path / "results.csv")
        for row in read(tmp_path / "results.csv"):
            cells = [row[name] for name in HEADER.split(",")[4:7]]
            assert all(len(cell.partition(".")[2]) == 6 for cell in cells)
            assert sum(map(float, cells)) == pytest.approx(1, abs=2e-6)

    def test_hostile_files_have_rows_and_good_rows_stay_as_they_were(self, scans: Path, tmp_path: Path) -> None:
        run(scans, "-o", tmp_path / "before.csv")
        (scans / "a" / "empty.png").write_bytes(b"")
        (scans / "b" / "text.png").write_text("hello")
        result = run(scans, "-o", tmp_path / "after.csv")
        assert result.exit_code == 3
        rows = read(tmp_path / "after.csv")
        failed = [row for row in rows if row["status"] != "ok"]
        assert [(row["path"], row["reason"], row["prediction"]) for row in failed] == [
            ("a/empty.png", "empty_file", ""),
            ("b/text.png", "not_an_image", ""),
        ]
        assert [row for row in rows if row["status"] == "ok"] == read(tmp_path / "before.csv")

    def test_awkward_names_come_back_exactly(self, tmp_path: Path) -> None:
        names = ["a,b.png", 'say "hi".png', "line\nbreak.png", "=1+1.png", "🫁 é.png", "back\\slash.png", " space.png"]
        names += [os.fsdecode(b"caf\xe9\xff.png")]
        for name in names:
            save(tmp_path / "scans", name)
        result = run(tmp_path / "scans", "-o", tmp_path / "results.csv")
        assert result.exit_code == 0, result.output
        assert [unescape(row["path"]) for row in read(tmp_path / "results.csv")] == sorted(names)

    def test_a_name_that_is_not_utf8_can_fail_and_be_shown(self, tmp_path: Path) -> None:
        folder = tmp_path / os.fsdecode(b"scans\xfe")
        folder.mkdir()
        (folder / os.fsdecode(b"\xff\n.png")).write_bytes(b"")
        result = run(folder, "-o", tmp_path / "results.csv")
        assert result.exit_code == 3, result.output
        assert r"empty_file: \xff\n.png" in result.stderr

    def test_a_dash_sends_the_table_to_stdout_alone(self, scans: Path) -> None:
        result = run(scans, "-o", "-")
        assert result.stdout.splitlines()[0] == HEADER
        assert len(result.stdout.splitlines()) == 4

    def test_with_a_file_stdout_stays_empty(self, scans: Path, tmp_path: Path) -> None:
        assert run(scans, "-o", tmp_path / "results.csv").stdout == ""

    def test_results_inside_the_screened_folder_are_not_screened(self, scans: Path) -> None:
        for _ in range(2):
            assert run(scans, "-o", scans / "results.csv").exit_code == 0
            assert len(read(scans / "results.csv")) == 3
        names = {path.name for path in scans.iterdir()}
        assert names == {"a", "b", "results.csv", "results.csv.journal", "results.manifest.json", ".results.csv.lock"}

    def test_a_link_to_a_results_file_stays_a_link(self, scans: Path, tmp_path: Path) -> None:
        (tmp_path / "link.csv").symlink_to(tmp_path / "target.csv")
        run(scans, "-o", tmp_path / "link.csv")
        assert (tmp_path / "link.csv").is_symlink()
        assert len(read(tmp_path / "target.csv")) == 3

    def test_excluded_folders_have_no_rows(self, scans: Path, tmp_path: Path) -> None:
        result = run(scans, "-o", tmp_path / "results.csv", "--exclude", "b", "--exclude", "*middle*")
        assert [row["path"] for row in read(tmp_path / "results.csv")] == ["a/left.png"]
        assert "1 file left aside by --include and --exclude" in result.stderr
        assert "1 folder not searched" in result.stderr


class TestSummary:
    def test_it_names_classes_reasons_model_data_output_and_purpose(
        self, scans: Path, tmp_path: Path, model: FakeModel
    ) -> None:
        (scans / "empty.png").write_bytes(b"")
        (scans / "notes.txt").write_text("x")
        stderr = run(scans, "-o", tmp_path / "r.csv").stderr
        for text in ("covid", "33.3%", "empty_file: empty.png", "1 other file has no row", model.identity):
            assert text in stderr
        assert "trained on 90 images; data set abababababab" in stderr
        assert f"results  {tmp_path / 'r.csv'}" in stderr
        assert "For research; not a medical device." in stderr

    def test_a_model_trained_on_drawings_is_warned_of(self, scans: Path, tmp_path: Path, model: FakeModel) -> None:
        assert "phantoms" not in run(scans, "-o", tmp_path / "r.csv").stderr
        model.synthetic = True
        (tmp_path / "r.csv.journal").unlink()
        (tmp_path / "r.csv").unlink()
        assert "its answers mean nothing for patients" in run(scans, "-o", tmp_path / "r.csv").stderr

    def test_without_a_terminal_there_is_no_progress_bar(self, scans: Path, tmp_path: Path, model: FakeModel) -> None:
        assert model.network.batches == []
        stderr = run(scans, "-o", tmp_path / "r.csv").stderr
        assert "screening" not in stderr
        assert "\x1b" not in stderr


@pytest.mark.usefixtures("model")
class TestRefusals:
    def test_a_folder_without_images_stops_with_a_sentence(self, tmp_path: Path) -> None:
        (tmp_path / "scans").mkdir()
        result = run(tmp_path / "scans", "-o", tmp_path / "results.csv")
        assert result.exit_code == 1
        assert "there is nothing to screen below" in result.stderr
        assert "Traceback" not in result.stderr
        assert not (tmp_path / "results.csv").exists()

    def test_patterns_that_leave_nothing_are_named_as_the_cause(self, scans: Path, tmp_path: Path) -> None:
        result = run(scans, "-o", tmp_path / "results.csv", "--exclude", "*")
        assert result.exit_code == 1
        assert "--exclude" in result.stderr

    @pytest.mark.parametrize("arguments", [[], ["-o", "results.csv"], ["nowhere", "-o", "results.csv"]])
    def test_wrong_usage_has_status_2(self, arguments: list[str]) -> None:
        assert run(*arguments).exit_code == 2

    def test_an_output_folder_that_is_absent_is_found_before_screening(
        self, scans: Path, tmp_path: Path, model: FakeModel
    ) -> None:
        result = run(scans, "-o", tmp_path / "absent" / "results.csv")
        assert result.exit_code == 1
        assert str(tmp_path / "absent") in result.stderr
        assert model.network.batches == []

    def test_an_output_that_is_a_folder_is_refused(self, scans: Path, tmp_path: Path) -> None:
        assert run(scans, "-o", tmp_path).exit_code == 1

    def test_an_output_whose_links_lead_in_a_circle_is_refused_and_a_page_takes_their_place(
        self, scans: Path, tmp_path: Path
    ) -> None:
        circle = tmp_path / "circle.csv"
        circle.symlink_to(circle)
        refused = run(scans, "-o", circle)
        assert refused.exit_code == 1
        assert refused.stderr == f"error: cannot write {circle}: its links lead in a circle; give another name\n"
        page = tmp_path / "circle.html"
        page.symlink_to(page)
        assert run(scans, "-o", tmp_path / "r.csv", "--report", page).exit_code == 0
        assert page.is_file()

    def test_a_device_is_refused_and_stays_a_device(self, scans: Path) -> None:
        assert run(scans, "-o", os.devnull).exit_code == 1
        assert not Path(os.devnull).is_file()

    def test_an_output_folder_without_permission_is_found_before_screening(
        self, scans: Path, tmp_path: Path, model: FakeModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(dir: Path) -> None:
            raise PermissionError(13, "Permission denied", str(dir))

        monkeypatch.setattr("tempfile.TemporaryFile", refuse)
        result = run(scans, "-o", tmp_path / "results.csv")
        assert result.exit_code == 1
        assert result.stderr == (
            f"error: cannot write {tmp_path / 'results.csv'}: Permission denied; let this user read and write there, "
            "then run the same command again\n"
        )
        assert model.network.batches == []


@pytest.mark.usefixtures("model")
class TestNothingIsRead:
    """A run without a picture says what there is instead, where people and programs look, and fails."""

    @pytest.mark.parametrize(
        ("files", "seen", "others"),
        [
            ({"1.heic": "a.heic", "IM0001": "a.heic", "2.jpg": "heic-as.jpg"}, {"HEIC": 3}, ""),
            ({"1.zip": "e.zip", "2.ZIP": "e.zip"}, {"zip": 2}, ""),
            ({"1.jp2": "c.jp2", "2.dcm": "jp2-as.dcm", "3.jxl": "b.jxl"}, {"JPEG 2000": 2, "JPEG XL": 1}, ""),
            ({"1.nii": "d.nii", "2.NII.GZ": ""}, {"NIfTI": 2}, ""),
            ({"1.png": "e.zip", "1.txt": "", "2.txt": "", "README": ""}, {"zip": 1}, "3 other files (2 .txt)"),
            ({"1.txt": "", "2": ""}, None, "2 other files (1 .txt)"),
            ({"1.txt": ""}, None, "1 other file (1 .txt)"),
        ],
    )
    @pytest.mark.parametrize("more", [[], ["--fail-on", "none"], ["-q"]])
    def test_its_formats_are_counted_with_a_remedy(
        self, tmp_path: Path, files: dict[str, str], seen: dict[str, int] | None, others: str, more: list[str]
    ) -> None:
        (tmp_path / "scans").mkdir()
        for name, unread in files.items():
            nifti = gzip.compress((INPUTS / "d.nii").read_bytes()) if name.lower().endswith(".gz") else b"notes"
            (tmp_path / "scans" / name).write_bytes((INPUTS / unread).read_bytes() if unread else nifti)
        result = run(tmp_path / "scans", "-o", tmp_path / "r.csv", *more)
        assert result.exit_code == 3
        said = result.stderr.splitlines()[-1]
        assert said.startswith("error: nothing was screened: no file below ")
        assert f" ({len(files)} in all) can be read as an image: " in said
        for name, count in (seen or {}).items():
            assert f"{count} {name} (" in said
        assert others in said
        assert "which is not read" not in result.stderr, "the last line says it"
        manifest = json.loads((tmp_path / "r.manifest.json").read_text())
        assert manifest["aside"].get("formats_not_read") == seen
        assert verify_table(read_run_result(tmp_path / "r.csv"))[-1].holds

    def test_programs_are_told_too(self, tmp_path: Path) -> None:
        save_unread(tmp_path / "scans")
        events = list(map(json.loads, run(tmp_path / "scans", "-o", "-", "--log-json").stderr.splitlines()))
        assert events[-2]["formats_not_read"] == {"HEIC": 1}
        assert events[-1]["event"] == "error"
        assert "1 HEIC (export it as PNG" in events[-1]["message"]

    def test_beside_pictures_they_are_warned_of_and_the_status_is_that_of_their_rows(self, scans: Path) -> None:
        (scans / "old.zip").write_bytes((INPUTS / "e.zip").read_bytes())
        result = run(scans, "-o", scans.parent / "r.csv")
        assert result.exit_code == 0
        assert "warning: 1 file is zip, which is not read; unpack it first, or screen the address" in result.stderr
        save_unread(scans)
        result = run(scans, "-o", scans.parent / "r.csv")
        assert result.exit_code == 3
        assert "warning: 1 file is HEIC, which is not read; export it as PNG or TIFF" in result.stderr
        assert result.stderr.count("HEIC") == 1
        assert "nothing was screened" not in result.stderr

    def test_a_picture_that_cannot_be_read_is_one(self, tmp_path: Path) -> None:
        save_unread(tmp_path / "scans")
        (tmp_path / "scans" / "half.png").write_bytes(b"")
        result = run(tmp_path / "scans", "-o", tmp_path / "r.csv", "--fail-on", "none")
        assert result.exit_code == 0
        assert "nothing was screened" not in result.stderr

    def test_a_shard_may_have_none(self, tmp_path: Path) -> None:
        save_unread(tmp_path / "scans", "1.txt")
        tables = [tmp_path / f"{number}.csv" for number in (1, 2)]
        for number, table in enumerate(tables, start=1):
            assert run(tmp_path / "scans", "-o", table, "--shard", f"{number}/2", "--fail-on", "none").exit_code == 0
        save_unread(tmp_path / "scans", "2.zip")
        for number, table in enumerate(tables, start=1):
            run(tmp_path / "scans", "-o", table, "--shard", f"{number}/2", "--fail-on", "none")
        joined = CliRunner().invoke(merge_app, [*map(str, tables), "-o", str(tmp_path / "all.csv")])
        assert joined.exit_code == 0, joined.output
        manifest = json.loads((tmp_path / "all.manifest.json").read_text())
        assert manifest["aside"]["formats_not_read"] == {"zip": 1}

    def test_hidden_files_alone_are_named_as_the_cause(self, tmp_path: Path) -> None:
        save_unread(tmp_path / "scans", "._1.png")
        result = run(tmp_path / "scans", "-o", tmp_path / "r.csv")
        assert result.exit_code == 1
        assert "the names of its files (1) begin with a dot: such files are left aside" in result.stderr


INPUTS = ROOT / "tests" / "inputs" / "unread"


def save_unread(folder: Path, name: str = "1.heic") -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes((INPUTS / "a.heic").read_bytes() if name.endswith("heic") else b"notes")


def test_a_network_that_stops_the_run_leaves_no_file(scans: Path, tmp_path: Path, model: FakeModel) -> None:
    model.network = FakeNetwork(lambda planes: np.zeros((len(planes), 2), np.float32))
    result = run(scans, "-o", tmp_path / "results.csv")
    assert result.exit_code == 1
    assert not (tmp_path / "results.csv").exists()


def test_an_absent_model_stops_with_its_own_sentence(scans: Path, tmp_path: Path) -> None:
    result = run(scans, "-o", tmp_path / "results.csv", "--model", tmp_path)
    assert result.exit_code == 1
    assert "model.json" in result.stderr


def test_without_a_packaged_model_the_option_is_named(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cxr.inference.model_folder, "packaged_folder", lambda: tmp_path)
    result = run(scans, "-o", tmp_path / "results.csv")
    assert result.exit_code == 1
    assert "--model" in result.stderr


def test_the_model_option_names_the_folder_to_load(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request: list[Path] = []
    monkeypatch.setattr(
        cxr.inference.model_folder, "load_model", lambda folder, *_: request.append(folder) or FakeModel()
    )
    monkeypatch.setattr(cxr.inference.model_folder, "describe_model", lambda _: {})
    run(scans, "-o", tmp_path / "1.csv", "--model", tmp_path)
    run(scans, "-o", tmp_path / "2.csv")
    assert request == [tmp_path, cxr.inference.model_folder.packaged_folder()]


def test_the_version_names_the_packaged_model(model: FakeModel) -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"cxr-batch {__version__}\npackaged model: {model.identity}\n")


def test_the_version_is_given_without_a_packaged_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise ModelError("absent")

    monkeypatch.setattr(cxr.inference.model_folder, "load_model", absent)
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"cxr-batch {__version__}\npackaged model: none\n")


def test_help_loads_no_heavy_module() -> None:
    program = """
        import sys
        from typer.testing import CliRunner, Result
        from cxr.cli.batch import app
        result = CliRunner().invoke(app, ["--help"])
        assert result.exit_code == 0, result.output
        heavy = {"tensorflow", "keras", "pandas", "sklearn", "openvino", "numpy", "PIL", "pydicom", "dvc"}
        print(sorted(heavy & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.usefixtures("model")
def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    for number in range(96):
        save(scans, f"{number:02}.png", (number, 2 * number, 100))
    program = f"""
        import sys, time
        sys.path.insert(0, {str(ROOT)!r})
        import cxr.inference.model_folder
        from cxr.cli.batch import app
        from tests.screening.fakes import FakeModel, FakeNetwork, by_brightness
        seen = []
        def slow(planes):
            seen.append(1)
            if len(seen) == 2:
                print("started", flush=True)
                for _ in range(600):  # a signal just before one long sleep would be noticed after it
                    time.sleep(0.1)
            return by_brightness(planes)
        cxr.inference.model_folder.load_model = lambda *_: FakeModel(FakeNetwork(slow))
        app([{str(scans)!r}, "-o", {str(tmp_path / "r.csv")!r}, "--processes", "1", "--batch-size", "32"])
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has them ignore Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted; what was done is kept: run the same command again to go on" in stderr
    assert not (tmp_path / "r.csv").exists()
    with Journal(tmp_path / "r.csv.journal") as journal:
        assert len(list(journal.records())) == 32
    assert "going on: 32 of 96 files" in run(scans, "-o", tmp_path / "r.csv").stderr
    run(scans, "-o", tmp_path / "whole.csv")
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
@pytest.mark.usefixtures("model")
def test_ctrl_c_reaches_all_processes_and_the_first_one_ends_the_others(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    for number in range(200):
        save(scans, f"{number:03}.png", (number, number // 2, 100))
    program = f"""
        import sys, time
        sys.path.insert(0, {str(ROOT)!r})
        import cxr.inference.model_folder
        from cxr.cli.batch import app
        from tests.screening.fakes import FakeModel, FakeNetwork, by_brightness
        def slow(planes):
            time.sleep(0.1)
            return by_brightness(planes)
        cxr.inference.model_folder.load_model = lambda *_: FakeModel(FakeNetwork(slow))
        app([{str(scans)!r}, "-o", {str(tmp_path / "r.csv")!r}, "--processes", "3", "--batch-size", "4"])
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    helpers: list[psutil.Process] = []
    journal = tmp_path / "r.csv.journal"
    while not journal.exists() or journal.read_bytes().count(b"\n") < 20:
        assert process.poll() is None
        helpers = psutil.Process(process.pid).children()
        time.sleep(0.01)
    assert len(helpers) == 2
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted; what was done is kept: run the same command again to go on" in stderr
    assert "Traceback" not in stderr
    assert not any(helper.is_running() for helper in helpers)
    run(scans, "-o", tmp_path / "r.csv")
    run(scans, "-o", tmp_path / "whole.csv")
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.fixture
def seven_scans(tmp_path: Path) -> Path:
    for number in range(7):
        save(tmp_path / "scans", f"{number}.png", (number, 90, 30 * number))
    return tmp_path / "scans"


def written(scans: Path, output: Path, *more: object) -> None:
    result = run(scans, "-o", output, "--format", "parquet", "--partitions", *more)
    assert result.exit_code == 0, result.stderr


@pytest.mark.usefixtures("model")
def test_it_is_read_as_one_verified_and_written_as_csv(
    seven_scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables.write_partitions, "__defaults__", (3,))
    table = tmp_path / "r.parquet"
    written(seven_scans, table)
    assert [pq.read_table(path).num_rows for path in tables.partitions_of(table)] == [3, 3, 1]
    assert pq.read_table(table)["path"].to_pylist() == [f"{number}.png" for number in range(7)]

    whole = tmp_path / "whole.csv"
    run(seven_scans, "-o", whole)
    joined = CliRunner().invoke(merge_app, [str(table), "-o", str(tmp_path / "joined.csv")])
    assert joined.exit_code == 0, joined.stderr
    assert (tmp_path / "joined.csv").read_bytes() == whole.read_bytes()
    for one in (table, tmp_path / "joined.csv"):
        assert all(check.holds for check in verify_table(read_run_result(one)))

    tables.partitions_of(table)[1].unlink()
    assert [check.name for check in verify_table(read_run_result(table)) if not check.holds] == ["bytes", "counts"]
    refused = CliRunner().invoke(merge_app, [str(table), "-o", str(tmp_path / "again.csv")])
    assert refused.exit_code == 1
    assert "is not what its manifest describes" in refused.stderr


@pytest.mark.usefixtures("model")
def test_the_same_command_goes_on(seven_scans: Path, tmp_path: Path) -> None:
    written(seven_scans, tmp_path / "r.parquet")
    save(seven_scans, "9.png", (9, 9, 9))
    written(seven_scans, tmp_path / "r.parquet")
    assert pq.read_table(tmp_path / "r.parquet").num_rows == 8


@pytest.mark.usefixtures("model")
def test_what_is_no_such_folder_is_not_replaced(seven_scans: Path, tmp_path: Path) -> None:
    (tmp_path / "r.parquet").mkdir()
    (tmp_path / "r.parquet" / "thesis.docx").write_text("three years")
    result = run(seven_scans, "-o", tmp_path / "r.parquet", "--format", "parquet", "--partitions", "--overwrite")
    assert result.exit_code == 1
    assert "with --partitions it is a folder, and there is something else" in result.stderr
    assert (tmp_path / "r.parquet" / "thesis.docx").read_text() == "three years"


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["-o", "r.csv", "--partitions"], "--partitions is for Parquet: --format parquet"),
        (["-o", "s3://bucket/r.parquet", "--partitions"], "--partitions is for a local folder"),
        (["-o", "r.csv", "--address", "auto"], "--address is for --engine ray"),
        (["-o", "-", "--engine", "ray"], "--engine ray needs a results file; give one with -o"),
        (["-o", "r.csv", "--engine", "ray", "--threads", "2"], "--threads is not for --engine ray"),
        (["-o", "r.csv", "--engine", "ray", "--verbose"], "--verbose is not for --engine ray"),
        (["-o", "s3://bucket/r.csv", "--engine", "ray"], "name it with --scratch"),
        (["-o", "r.csv", "--processes", "2", "--verbose"], "--processes is not for --verbose"),
        (["-o", "-", "--processes", "2"], "--processes is not for -o -, where rows come in order"),
        (["-o", "r.csv", "--processes", "2", "--engine", "ray"], "--processes is not for --engine ray"),
        (["-o", "r.csv", "--processes", "2", "--workers", "2"], "--workers and --threads are of one process"),
        (
            ["-o", "r.csv", "--processes", "2", "--model", "dvc:models/screening"],
            "--processes is not for networks of a revision",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(seven_scans: Path, more: list[str], sentence: str) -> None:
    result = run(seven_scans, *more)
    assert result.exit_code == 2
    assert sentence in result.stderr


@pytest.mark.usefixtures("model")
def test_without_ray_the_remedy_is_named(seven_scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    result = run(seven_scans, "-o", tmp_path / "r.csv", "--engine", "ray")
    assert result.exit_code == 2
    assert "needs the extra 'ray': pip install '.[ray]'" in result.stderr
