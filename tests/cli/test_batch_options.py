import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cxr
from tests.cli.batches import HEADER, column, read, run
from tests.screening.drawings import save
from tests.screening.fakes import FakeModel, FakeNetwork, by_brightness

pytestmark = pytest.mark.usefixtures("model")


class TestInputs:
    def test_files_and_folders_together_are_named_below_the_folder_that_holds_all(
        self, scans: Path, tmp_path: Path
    ) -> None:
        assert run(scans / "b", scans / "a" / "left.png", "-o", tmp_path / "r.csv").exit_code == 0
        assert column(tmp_path / "r.csv", "path") == ["a/left.png", "b/right.JpEg"]

    def test_a_single_file_is_named_by_its_name(self, scans: Path, tmp_path: Path) -> None:
        assert run(scans / "a" / "left.png", "-o", tmp_path / "r.csv").exit_code == 0
        assert column(tmp_path / "r.csv", "path") == ["left.png"]

    def test_a_root_can_be_named(self, scans: Path, tmp_path: Path) -> None:
        assert run(scans / "a", "--root", tmp_path, "-o", tmp_path / "r.csv").exit_code == 0
        assert column(tmp_path / "r.csv", "path") == ["scans/a/left.png", "scans/a/middle.PNG"]
        assert run(scans / "a", "--root", scans / "b", "-o", tmp_path / "s.csv").exit_code == 2

    @pytest.mark.parametrize("separator", ["\n", "\0", "\r\n"])
    def test_a_list_names_files_and_one_that_is_gone_has_a_row(
        self, scans: Path, tmp_path: Path, separator: str
    ) -> None:
        (tmp_path / "list").write_text(
            separator.join([str(scans / "a" / "left.png"), str(scans / "gone.png")]), newline=""
        )
        assert run("--files-from", tmp_path / "list", "-o", tmp_path / "r.csv").exit_code == 3
        assert column(tmp_path / "r.csv", "path") == ["a/left.png", "gone.png"]
        assert column(tmp_path / "r.csv", "reason") == ["", "unreadable"]

    def test_a_table_of_an_earlier_run_is_a_list_below_the_root(
        self, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save(scans, "=1.png")
        monkeypatch.chdir(tmp_path)
        run(scans, "-o", tmp_path / "r.csv")
        (scans / "a" / "left.png").unlink()
        listed = ("--root", "scans", "--files-from", "r.csv")
        assert run(*listed, "-o", tmp_path / "again.csv").exit_code == 3
        assert column(tmp_path / "again.csv", "path") == column(tmp_path / "r.csv", "path")
        reasons = dict(
            zip(column(tmp_path / "again.csv", "path"), column(tmp_path / "again.csv", "reason"), strict=True)
        )
        assert [path for path, reason in reasons.items() if reason] == ["a/left.png"]

    def test_a_list_can_come_from_stdin(self, scans: Path, tmp_path: Path) -> None:
        result = run("--files-from", "-", "-o", tmp_path / "r.csv", stdin=os.fsencode(scans / "a" / "left.png") + b"\n")
        assert result.exit_code == 0
        assert column(tmp_path / "r.csv", "path") == ["left.png"]

    def test_a_place_that_is_empty_text_is_not_the_folder_one_is_in(
        self, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(scans)
        result = run("", "-o", tmp_path / "r.csv")
        assert result.exit_code == 2
        assert "empty text" in result.stderr
        assert not (tmp_path / "r.csv").exists()

    @pytest.mark.parametrize("content", [None, ""])
    def test_a_list_that_is_absent_or_empty_is_a_usage_error(self, content: str | None, tmp_path: Path) -> None:
        if content is not None:
            (tmp_path / "list").write_text(content)
        result = run("--files-from", tmp_path / "list", "-o", tmp_path / "r.csv")
        assert result.exit_code == 2
        assert "--files-from" in result.stderr

    def test_sub_folders_can_be_left_out(self, scans: Path, tmp_path: Path) -> None:
        save(scans, "top.png")
        assert run(scans, "--no-recursive", "-o", tmp_path / "r.csv").exit_code == 0
        assert column(tmp_path / "r.csv", "path") == ["top.png"]

    def test_only_what_is_included_is_screened(self, scans: Path, tmp_path: Path) -> None:
        assert run(scans, "--include", "*.png", "--include", "b/*", "-o", tmp_path / "r.csv").exit_code == 0
        assert column(tmp_path / "r.csv", "path") == ["a/left.png", "b/right.JpEg"]

    def test_a_dry_run_lists_what_would_have_a_row_and_writes_nothing(self, scans: Path, tmp_path: Path) -> None:
        (scans / "notes.txt").write_text("x")
        save(scans, "picture-without-suffix")
        result = run(scans, "--dry-run")
        assert result.exit_code == 0
        assert result.stdout.splitlines() == ["a/left.png", "a/middle.PNG", "b/right.JpEg", "picture-without-suffix"]
        assert "4 files would have a row, 1 other file none" in result.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["scans"]

    def test_a_limit_takes_the_first_files(self, scans: Path, tmp_path: Path) -> None:
        assert run(scans, "--limit", 2, "-o", tmp_path / "r.csv").exit_code == 0
        assert column(tmp_path / "r.csv", "path") == ["a/left.png", "a/middle.PNG"]

    def test_a_folder_that_cannot_be_listed_is_warned_of_and_gives_status_3(
        self, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        list_folder = os.scandir

        def scandir(path: object) -> object:
            if str(path).endswith("/b"):
                raise PermissionError(13, "Permission denied", str(path))
            return list_folder(path)  # type: ignore[call-overload]

        monkeypatch.setattr(os, "scandir", scandir)
        result = run(scans, "-o", tmp_path / "r.csv")
        assert result.exit_code == 3
        assert "cannot list the folder b" in result.stderr
        assert len(read(tmp_path / "r.csv")) == 2


class TestTable:
    @pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
    def test_the_suffix_of_the_output_names_the_format(self, suffix: str, scans: Path, tmp_path: Path) -> None:
        from cxr.screening.tables import read_table

        run(scans, "-o", tmp_path / "1.csv")
        assert run(scans, "-o", tmp_path / f"2.{suffix}").exit_code == 0
        assert list(read_table(tmp_path / f"2.{suffix}")) == list(read_table(tmp_path / "1.csv"))

    def test_the_format_can_be_named(self, scans: Path) -> None:
        result = run(scans, "-o", "-", "--format", "jsonl")
        assert [json.loads(line)["path"] for line in result.stdout.splitlines()] == [
            "a/left.png",
            "a/middle.PNG",
            "b/right.JpEg",
        ]

    def test_paths_can_be_absolute(self, scans: Path, tmp_path: Path) -> None:
        assert run(scans, "--paths", "absolute", "-o", tmp_path / "r.csv").exit_code == 0
        assert column(tmp_path / "r.csv", "path")[0] == f"{scans}/a/left.png"

    def test_hashed_paths_need_a_key_and_leave_no_name_anywhere(self, scans: Path, tmp_path: Path) -> None:
        assert run(scans, "--paths", "hashed", "-o", tmp_path / "r.csv").exit_code == 2
        (tmp_path / "key").write_bytes(b"short")
        assert run(scans, "--paths", "hashed", "--key", tmp_path / "key", "-o", tmp_path / "r.csv").exit_code == 2
        (tmp_path / "key").write_bytes(bytes(range(32)))
        assert run(scans, "--paths", "hashed", "--key", tmp_path / "key", "-o", tmp_path / "r.csv").exit_code == 0
        assert all(len(path) == 32 for path in column(tmp_path / "r.csv", "path"))
        for name in ("r.csv", "r.csv.journal", "r.manifest.json"):
            text = (tmp_path / name).read_text()
            assert "left" not in text
            assert "scans" not in text

    def test_dicom_attributes_have_a_column_only_when_they_are_named(self, tmp_path: Path) -> None:
        import numpy as np

        from tests.dicoms import save_dicom

        folder = tmp_path / "scans"
        folder.mkdir()
        pixels = np.arange(400, dtype=np.uint16).reshape(20, 20)
        save_dicom(folder / "a.dcm", pixels, PatientID="=secret", StudyDate="20200101")
        save(folder, "b.png")
        run(folder, "-o", tmp_path / "1.csv")
        run(folder, "--dicom", "StudyDate", "--dicom", "PatientID", "-o", tmp_path / "2.csv")
        assert not [path for path in tmp_path.glob("1.*") if "secret" in path.read_text()]
        assert column(tmp_path / "2.csv", "dicom_StudyDate") == ["20200101", ""]
        assert column(tmp_path / "2.csv", "dicom_PatientID") == [r"\x3dsecret", ""]
        assert run(folder, "--dicom", "StudyDat", "-o", tmp_path / "3.csv").exit_code == 2

    def test_several_networks_have_their_columns_and_an_agreement(
        self, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reverse = FakeModel(FakeNetwork(lambda planes: -by_brightness(planes)), identity="reverse-1")
        reverse.description["name"] = "reverse"
        models = {"one": FakeModel(), "two": reverse}
        monkeypatch.setattr(cxr.inference.model_folder, "load_model", lambda folder, *_: models[folder.name])
        monkeypatch.setattr(cxr.inference.model_folder, "describe_model", lambda _: {})
        result = run(scans, "--model", "one", "--model", "two", "-o", tmp_path / "r.csv")
        assert result.exit_code == 0, result.output
        assert column(tmp_path / "r.csv", "agreement") == ["split"] * 3
        assert column(tmp_path / "r.csv", "prediction") == ["covid", "normal", "viral_pneumonia"]
        assert column(tmp_path / "r.csv", "reverse_prediction") == ["normal", "viral_pneumonia", "covid"]
        assert run(scans, "--model", "one", "--model", "one", "-o", tmp_path / "s.csv").exit_code == 2

    def test_a_shard_may_not_be_written_where_another_would_find_it(self, scans: Path) -> None:
        result = run(scans, "--shard", "1/2", "-o", scans / "r.csv")
        assert result.exit_code == 1
        assert "write it somewhere else" in result.stderr

    def test_a_page_is_written_beside_the_table(self, scans: Path, tmp_path: Path) -> None:
        (scans / "empty.png").write_bytes(b"")
        assert run(scans, "-o", tmp_path / "r.csv", "--report", tmp_path / "r.html").exit_code == 3
        page = (tmp_path / "r.html").read_text()
        assert page.count(base64.b64encode(b"RIFF").decode()[:5]) == 2 * 3, "a thumbnail and a larger picture each"
        assert "a/left.png" in page


class TestStatus:
    @pytest.mark.parametrize(
        ("fail_on", "broken", "status"),
        [("any", 1, 3), ("any", 0, 0), ("none", 3, 0), ("all", 1, 0), ("all", 3, 3), ("all", 0, 0)],
    )
    def test_files_without_an_answer_make_the_status_that_was_asked_for(
        self, fail_on: str, broken: int, status: int, scans: Path, tmp_path: Path
    ) -> None:
        for name in ("a/left.png", "a/middle.PNG", "b/right.JpEg")[:broken]:
            (scans / name).write_bytes(b"")
        assert run(scans, "-o", tmp_path / "r.csv", "--fail-on", fail_on).exit_code == status

    @pytest.mark.parametrize(
        "arguments",
        [
            ["-o", "r.csv"],
            ["nowhere", "-o", "r.csv"],
            ["."],
            [".", "-o", "r.csv", "--shard", "4/3"],
            [".", "-o", "r.csv", "--limit", "0"],
            [".", "-o", "r.csv", "-q", "-v"],
            [".", "-o", "r.csv", "--format", "xlsx"],
            [".", "-o", "-", "--format", "parquet"],
            [".", "-o", "-", "--report", "r.html"],
            [".", "-o", "-", "--overwrite"],
            [".", "-o", "r.csv", "--key", "key"],
        ],
    )
    def test_what_makes_no_sense_has_status_2_and_no_trace(self, arguments: list[str]) -> None:
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stderr
        assert "Traceback" not in result.output

    def test_an_earlier_run_of_something_else_is_refused_with_status_1(
        self, scans: Path, tmp_path: Path, model: FakeModel
    ) -> None:
        run(scans, "-o", tmp_path / "r.csv")
        model.identity = "other-1"
        result = run(scans, "-o", tmp_path / "r.csv")
        assert result.exit_code == 1
        assert "another model" in result.stderr
        assert run(scans, "-o", tmp_path / "r.csv", "--overwrite").exit_code == 0


class TestTalk:
    def test_quiet_says_nothing_where_nothing_stops_the_run(self, scans: Path, tmp_path: Path) -> None:
        (scans / "empty.png").write_bytes(b"")
        result = run(scans, "-o", tmp_path / "r.csv", "--quiet")
        assert (result.exit_code, result.output) == (3, "")
        assert "error" in run(scans, "-o", tmp_path / "no" / "r.csv", "--quiet").stderr

    def test_verbose_says_what_was_done_to_each_file(self, scans: Path, tmp_path: Path) -> None:
        (scans / "empty.png").write_bytes(b"")
        stderr = run(scans, "-o", tmp_path / "r.csv", "--verbose").stderr
        assert "a/left.png: covid 0.9" in stderr
        assert "24x24 PNG 8-bit L" in stderr
        assert "empty.png: error, empty_file (the file has no bytes)" in stderr

    def test_json_has_one_object_a_line_and_a_count_at_the_end(self, scans: Path, tmp_path: Path) -> None:
        (scans / os.fsdecode(b"\xff.png")).write_bytes(b"")
        result = run(scans, "-o", tmp_path / "r.csv", "--log-json")
        events = [json.loads(line) for line in result.stderr.splitlines()]
        assert [event["event"] for event in events] == ["found", "loaded", "resumed", "failed_file", "finished"]
        assert events[3]["path"] == r"\xff.png"
        assert events[-1]["statuses"] == {"ok": 3, "error": 1}
        assert json.loads(run(scans, "-o", tmp_path / "no" / "r.csv", "--log-json").stderr)["event"] == "error"

    def test_going_on_says_how_much_was_done(self, scans: Path, tmp_path: Path) -> None:
        (scans / "notes").write_text("no image")
        (scans / "empty.png").touch()
        first = run(scans, "-o", tmp_path / "r.csv").stderr
        assert re.search(r"^time     [\d.]+ s; 4 files screened in [\d.]+ s, [\d.]+ files/s$", first, re.MULTILINE)
        again = run(scans, "-o", tmp_path / "r.csv").stderr
        assert "going on: 3 of 4 files were done before; 1 other had no row; 1 failed before and is tried" in again
        assert "; 1 file screened in " in again
        (scans / "empty.png").unlink()
        third = run(scans, "-o", tmp_path / "r.csv").stderr
        assert "going on: 3 of 3 files were done before; 1 other had no row\n" in third
        assert re.search(r"^time     [\d.]+ s$", third, re.MULTILINE)

    def test_the_stream_has_only_the_table(self, scans: Path) -> None:
        result = run(scans, "-o", "-", "--quiet")
        assert result.stdout.splitlines()[0] == HEADER
        assert result.stderr == ""


def test_a_reader_that_goes_away_is_an_error_without_a_trace(tmp_path: Path) -> None:
    for number in range(300):
        save(tmp_path, f"{number}.png", (number % 256, 2, 3))
    run_app = f"{sys.executable} -c 'from cxr.cli.batch import app; app()'"
    command = f"{run_app} {tmp_path} -o - | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [HEADER, "1"]
    assert done.stderr == "error: whoever read the rows from stdout has closed it\n"
