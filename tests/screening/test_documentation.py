"""docs/results-csv.md says what the code does."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from cxr.core.errors import Reason
from cxr.core.image import pixels_digest
from cxr.imaging.decode import read_plane
from cxr.imaging.formats import SUFFIXES
from cxr.imaging.pixels import FORMATS, MAX_PIXELS
from cxr.inference.decisions import NOT_SUSPECTED, PIXEL_DIGITS, REFER, ReferReason
from cxr.inference.gate import EXPOSURE_FLAGS, GATE_REASONS, SIGN_FLAGS, Flag
from cxr.screening.schema import REJECTING, SCHEMA_VERSION, Agreement, ResultColumn, Status, schema_of
from cxr.screening.storage import MAX_BYTES
from tests.imports import ROOT
from tests.screening.drawings import save
from tests.screening.fakes import SIDE, FakeGate, deciding_model, model_record
from tests.screening.works import run_in, work_on

DECODERS = ("decode", "pixels", "dicom")
PAGE = (ROOT / "docs" / "results-csv.md").read_text(encoding="utf-8")


def example(folder: Path, output: Path) -> str:
    save(folder, "ward 1/left.png", (200, 100, 50))
    save(folder, "ward 2/left.png", (40, 60, 90))
    save(folder, "ward 2/lateral, second.png", (10, 90, 30))
    save(folder, "ward 1/unsure.png", (140, 120, 100))
    save(folder, "=1+1.png", (120, 120, 120))
    (folder / "ward 2" / "half-copied.png").write_bytes(b"")
    trained_on = pixels_digest(read_plane(folder / "ward 1" / "left.png", SIDE)[0])[:PIXEL_DIGITS]
    model = replace(deciding_model(training_pixels=[trained_on]), gate=FakeGate())
    run_in(output, work_on(folder, [model]))
    return output.read_text(encoding="utf-8")


def test_the_example_is_what_the_code_writes(tmp_path: Path) -> None:
    assert f"```csv\n{example(tmp_path / 'scans', tmp_path / 'r.csv')}```" in PAGE


def test_the_version_is_the_codes() -> None:
    assert PAGE.startswith(f"# The table that `cxr-batch` writes, version {SCHEMA_VERSION}\n")


def table_of(columns: Sequence[ResultColumn]) -> str:
    """Return the page's table; columns that it says the same of share a line."""
    lines = ["| column | type | content |", "|---|---|---|"]
    for (holds, content), some in groupby(columns, key=lambda column: (column.type, column.content)):
        names = ", ".join(f"`{column.name}`" for column in some)
        lines.append(f"| {names} | {holds} | {content} |")
    return "\n".join(lines) + "\n\n"


def test_the_tables_of_columns_are_made_from_the_schema() -> None:
    one, other = model_record("cnn1", "cnn1-a", ("<class>",)), model_record("<name>", "b", ("<class>",))
    first = schema_of([one], ["<Keyword>"]).columns
    assert table_of(first) in PAGE
    *further, last = schema_of([one, other], ["<Keyword>"]).columns[len(first) :]
    assert table_of([last]) in PAGE
    sentence = PAGE.split("Each further one adds\n")[1].split(" (of two")[0]
    assert re.findall(r"`(.*?)`", sentence) == [column.name for column in further]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_documented_once_with_its_status(reason: Reason) -> None:
    status = Status.REJECTED if reason in REJECTING else Status.ERROR
    assert PAGE.count(f"\n| `{reason}` | {status} |") == 1


@pytest.mark.parametrize(
    ("section", "words"),
    [("status", [*Status]), ("flags", [*Flag]), ("decision", [NOT_SUSPECTED, REFER, *ReferReason])],
)
def test_every_status_flag_and_decision_is_documented_once_and_nothing_else(section: str, words: list[str]) -> None:
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    first = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    documented = [word for word in first if word not in (section, "refer_reason")]  # heads of the tables
    assert sorted(documented) == sorted(words)


@pytest.mark.parametrize("flag", sorted(EXPOSURE_FLAGS | SIGN_FLAGS))
def test_flags_of_a_gate_say_so(flag: Flag) -> None:
    assert f"| `{flag}` | gate: " in PAGE


@pytest.mark.parametrize("reason", sorted(GATE_REASONS))
def test_reasons_of_a_gate_say_so(reason: Reason) -> None:
    assert f"| `{reason}` | rejected | gate: " in PAGE


def test_flags_are_documented_in_the_order_of_a_cell() -> None:
    text = PAGE.split("\n## flags\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == [*Flag]


def test_the_gates_reasons_are_documented_in_their_order() -> None:
    rows = re.findall(r"^\| `(\w+)` \| rejected \| gate: ", PAGE, re.MULTILINE)
    assert rows == [reason for reason in Reason if reason in GATE_REASONS]


@pytest.mark.parametrize("word", Agreement)
def test_every_agreement_is_documented(word: str) -> None:
    assert f"`{word}`:" in PAGE


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_suffix_is_documented(suffix: str) -> None:
    assert f"`{suffix}`" in PAGE


def test_limits_and_formats_are_the_codes() -> None:
    assert f"{MAX_PIXELS:,} pixels" in PAGE
    assert f"{MAX_BYTES:,} bytes" in PAGE
    row = next(line for line in PAGE.splitlines() if line.startswith("| `not_an_image`"))
    assert all(name.lower() in row.lower() for name in FORMATS)


def test_every_event_of_the_log_is_documented() -> None:
    code = (ROOT / "cxr" / "cli" / "reporters.py").read_text(encoding="utf-8")
    events = set(re.findall(r'self\._say\(\s*"(\w+)"', code))
    text = PAGE.split("`event` one of")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", text)) == events


def test_every_step_is_documented() -> None:
    code = "".join((ROOT / "cxr" / "imaging" / f"{name}.py").read_text(encoding="utf-8") for name in DECODERS)
    found = re.findall(r'(?:steps\.append\(|steps = \[)f?"(\w+)', code)
    section = PAGE.split("\n## steps\n")[1].split("\n## ")[0]
    assert len(found) > 10
    for step in found:
        assert f"`{step}" in section, step
