"""Sentences of the console that are true by themselves, for one file and for several."""

import re
from collections import Counter
from pathlib import Path

import pytest

from cxr.cli.reporters import _reported_lines
from cxr.screening.run_manifest import EXAMPLES
from cxr.screening.structured_report import Reported
from tests.cli.batches import run
from tests.imports import ROOT
from tests.screening.drawings import save

INPUTS = ROOT / "tests" / "inputs" / "unread"


@pytest.mark.parametrize(
    ("count", "line"),
    [(1, "reports  none for 1 file: its header ends"), (2, "reports  none for each of 2 files: its header ends")],
)
def test_why_films_have_no_report_is_said_of_each(count: int, line: str) -> None:
    assert list(_reported_lines(Reported(3, 0, Counter({"its header ends": count})))) == [
        "reports  3 DICOM reports",
        line,
    ]


@pytest.mark.usefixtures("model")
class TestMoreWithoutAnAnswer:
    def test_a_file_of_another_format_alone_is_no_more_than_what_is_said(self, tmp_path: Path) -> None:
        archive = tmp_path / "films.zip"
        archive.write_bytes((INPUTS / "e.zip").read_bytes())
        result = run(archive, "-o", tmp_path / "zip.csv")
        assert result.exit_code == 3
        assert " more" not in result.stderr
        assert "1 zip (" in result.stderr.splitlines()[-1]

    @pytest.mark.parametrize(("broken", "more"), [(1, ""), (EXAMPLES, ""), (EXAMPLES + 1, "1 more file")])
    def test_those_beyond_the_examples_are_counted_and_no_other_format_among_them(
        self, tmp_path: Path, broken: int, more: str
    ) -> None:
        folder = tmp_path / "scans"
        save(folder, "good.png", (255, 0, 0))
        for number in range(broken):
            (folder / f"{number}.png").touch()
        for name in ("1.heic", "2.heic"):
            (folder / name).write_bytes((INPUTS / "a.heic").read_bytes())
        result = run(folder, "-o", tmp_path / "r.csv")
        assert result.stderr.count("empty_file: ") == min(broken, EXAMPLES)
        assert re.findall(r"\.\.\. and (.*)", result.stderr) == (
            [f"{more} without an answer; see the column 'reason'"] if more else []
        )
        assert "warning: 2 files are HEIC" in result.stderr
