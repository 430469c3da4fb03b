"""Tables for a spreadsheet: a workbook, and CSV as Excel wants it; every command reads them back."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from openpyxl import load_workbook
from typer.testing import CliRunner, Result

from cxr.cli.tables import merge_app, verify_app
from cxr.screening.run_manifest import read_run_result
from cxr.screening.tables import Format, read_table
from tests.cli.batches import run
from tests.redcap import codes_of, read_redcap
from tests.screening.drawings import save

FORMS = {"r.xlsx": [], "r.csv": ["--csv-dialect", "excel"], "us.csv": ["--csv-dialect", "excel-us"]}


pytestmark = pytest.mark.usefixtures("model")


def verified(table: Path, *more: str) -> Result:
    return CliRunner().invoke(verify_app, [str(table), "--without-models", *more])


@pytest.fixture
def wards(scans: Path) -> Path:
    save(scans, "Röntgen/Müller; links, 1.png", (10, 200, 30))
    (scans / "a" / "copy.png").write_bytes((scans / "a" / "left.png").read_bytes())
    (scans / "broken.png").write_bytes(b"")
    (scans / "=1+1.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    (scans / "notes.txt").write_text("no image")
    return scans


@pytest.mark.parametrize("name", FORMS)
def test_every_form_has_the_cells_of_the_plain_table(name: str, wards: Path, tmp_path: Path) -> None:
    assert run(wards, "-o", tmp_path / "plain" / "r.csv").exit_code == 1, "its folder is not there"
    (tmp_path / "plain").mkdir()
    run(wards, "-o", tmp_path / "plain" / "r.csv")
    result = run(wards, "-o", tmp_path / name, *FORMS[name])
    assert result.exit_code == 3, result.stderr
    assert "copies   1 file is a copy of 1 other, byte for byte" in result.stderr
    done = verified(tmp_path / name)
    assert done.exit_code == 0, done.stdout

    joined = CliRunner().invoke(merge_app, [str(tmp_path / name), "-o", str(tmp_path / "back.csv")])
    assert joined.exit_code == 0, joined.stderr
    assert (tmp_path / "back.csv").read_bytes() == (tmp_path / "plain" / "r.csv").read_bytes()
    back = CliRunner().invoke(
        merge_app, [str(tmp_path / "plain/r.csv"), "-o", str(tmp_path / f"2{name}"), *FORMS[name]]
    )
    assert back.exit_code == 0, back.stderr
    assert (tmp_path / f"2{name}").read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("name", FORMS)
def test_the_same_command_goes_on_and_ends_with_the_same_bytes(name: str, wards: Path, tmp_path: Path) -> None:
    run(wards, "-o", tmp_path / name, *FORMS[name])
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    lines = (tmp_path / f"{name}.journal").read_bytes().splitlines(keepends=True)
    (tmp_path / f"{name}.journal").write_bytes(b"".join(lines[:4]) + lines[4][:9])  # as a killed run leaves it
    assert run(wards, "-o", tmp_path / name, *FORMS[name], "--processes", "2").exit_code == 3
    assert (tmp_path / name).read_bytes() == whole


def test_the_summary_sheet_counts_and_says_what_to_read(wards: Path, tmp_path: Path) -> None:
    run(wards, "-o", tmp_path / "r.xlsx")
    rows = [[cell.value for cell in row] for row in load_workbook(tmp_path / "r.xlsx")["summary"].iter_rows()]
    counts = {row[0]: row[1] for row in rows if row[0]}
    assert (counts["rows"], counts["ok"], counts["no row"], counts["copies"]) == (7, 5, 1, 1)
    assert {"Models", "Files", "Predictions", "Without an answer because", "What to read"} <= {row[0] for row in rows}
    assert "For research; not a medical device." in counts


def test_a_table_that_excel_saved_in_another_form_is_told_from_what_was_written(wards: Path, tmp_path: Path) -> None:
    run(wards, "-o", tmp_path / "r.csv", "--csv-dialect", "excel")
    table = tmp_path / "r.csv"
    table.write_bytes(table.read_bytes().replace(b"\r\n", b"\n").removeprefix(b"\xef\xbb\xbf"))
    said = verified(table).stdout
    assert (
        "it has semicolons between cells; cxr-batch writes a byte order mark, semicolons between cells, lines" in said
    )
    assert "FAIL  rows" not in said


def test_a_workbook_that_was_changed_fails(wards: Path, tmp_path: Path) -> None:
    run(wards, "-o", tmp_path / "r.xlsx")
    book = load_workbook(tmp_path / "r.xlsx")
    book["results"]["D3"] = "normal" if book["results"]["D3"].value != "normal" else "covid"
    book.save(tmp_path / "r.xlsx")
    said = verified(tmp_path / "r.xlsx")
    assert said.exit_code == 1
    assert "FAIL  bytes" in said.stdout
    assert "FAIL  rows" in said.stdout


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["-o", "r.csv", "--format", "xlsx"], "-o r.csv and --format xlsx contradict each other"),
        (["-o", "r.xls"], "no .xls is written; name the table r.xlsx"),
        (["-o", "-", "--format", "xlsx"], "a workbook cannot be streamed"),
        (["-o", "r.xlsx", "--csv-dialect", "excel"], "--csv-dialect is for CSV, and the table is xlsx"),
    ],
)
def test_what_contradicts_itself_is_refused_in_a_sentence(more: list[str], sentence: str, scans: Path) -> None:
    result = run(scans, *more)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_a_dialect_is_streamed_too(wards: Path, tmp_path: Path) -> None:
    result = run(wards, "-o", "-", "--csv-dialect", "excel")
    (tmp_path / "s.csv").write_bytes(result.stdout_bytes)
    run(wards, "-o", tmp_path / "r.csv", "--csv-dialect", "excel")
    assert (tmp_path / "s.csv").read_bytes() == (tmp_path / "r.csv").read_bytes()


@pytest.mark.parametrize("name", FORMS)
def test_cxr_eval_reads_every_form(name: str, scans: Path, tmp_path: Path) -> None:
    from cxr.cli.eval import app

    labels = ["covid", "normal", "viral_pneumonia"]
    for number in range(24):
        save(scans, f"more/{number:02}.png", tuple(255 if number % 3 == part else number for part in range(3)))
    (tmp_path / "labels.csv").write_text(
        "path,label\n" + "".join(f"more/{number:02}.png,{labels[number % 3]}\n" for number in range(24))
    )
    figures = []
    for table in ("plain.csv", name):
        run(scans, "-o", tmp_path / table, *FORMS.get(table, []))
        done = CliRunner().invoke(
            app, [str(tmp_path / table), str(tmp_path / "labels.csv"), "-o", str(tmp_path / "e.json")]
        )
        assert done.exit_code == 0, done.output
        figures.append((tmp_path / "e.json").read_text().replace(table, "TABLE"))
    assert json.loads(figures[0]) == json.loads(figures[1])


GERMAN = "CSV:59,34,76,1,,1031,false,true"  # semicolons, UTF-8, German, numbers as a user of that language types them


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("soffice"), reason="LibreOffice is not here: apt install libreoffice-calc")
def test_a_german_spreadsheet_finds_columns_umlauts_and_numbers(wards: Path, tmp_path: Path) -> None:
    run(wards, "-o", tmp_path / "r.csv", "--csv-dialect", "excel")
    subprocess.run(
        [
            *("soffice", "--headless", f"-env:UserInstallation={(tmp_path / 'home').as_uri()}"),
            *(f"--infilter={GERMAN}", "--convert-to", "xlsx:Calc MS Excel 2007 XML"),
            *("--outdir", str(tmp_path / "opened"), str(tmp_path / "r.csv")),
        ],
        check=True,
        capture_output=True,
    )
    header, *rows = load_workbook(tmp_path / "opened" / "r.xlsx").worksheets[0].iter_rows(values_only=True)
    expected = list(read_run_result(tmp_path / "r.csv").rows())
    assert [row[0] for row in rows] == [row["path"] for row in expected]
    assert "Röntgen/Müller; links, 1.png" in {row[0] for row in rows}
    for name in ("probability_covid", "brightness", "width"):
        place = header.index(name)
        assert [row[place] for row in rows] == [float(row[name]) if row[name] else None for row in expected]


def test_an_older_workbook_gives_its_rows_by_name(tmp_path: Path, scans: Path) -> None:
    run(scans, "-o", tmp_path / "r.xlsx")
    run(scans, "-o", tmp_path / "p.csv")
    assert list(read_table(tmp_path / "r.xlsx", Format.XLSX)) == list(read_table(tmp_path / "p.csv"))


@pytest.mark.parametrize("name", FORMS)
def test_redcap_has_the_rows_of_any_table_with_a_dictionary(name: str, wards: Path, tmp_path: Path) -> None:
    made = tmp_path / "redcap.csv"
    options = ("--dicom", "StudyDate", "--redcap", made)
    result = run(wards, "-o", tmp_path / name, *FORMS[name], *options)
    assert f"redcap   {made}, {tmp_path / 'redcap.dictionary.csv'}" in result.stderr
    records, fields = read_redcap(made)
    table = list(read_table(tmp_path / name))
    assert [one["path"] for one in records] == [one["path"] for one in table]
    assert {name for name, one in fields.items() if one["Identifier?"]} == {"path", "dicom_studydate"}
    assert codes_of(fields["status"]) == ["ok", "rejected", "error"]
    failed, good = (next(one for one in records if one["path"] == path) for path in ("broken.png", "a/left.png"))
    assert (failed["reason"], failed["flag_small"], failed["possible_covid"]) == ("empty_file", "", "")
    assert good["flag_small"] in ("0", "1")
    assert good["possible_covid"] in ("", "0", "1")
    assert float(good["p_covid"]) >= 0

    bytes_of = made.read_bytes()
    (wards / "later.png").write_bytes((wards / "a" / "left.png").read_bytes())
    run(wards, "-o", tmp_path / f"2{name}", *FORMS[name], *options)
    again = {one["path"]: one["record_id"] for one in read_redcap(made)[0]}
    assert made.read_bytes() != bytes_of
    assert {one["path"]: one["record_id"] for one in records}.items() <= again.items(), "a film keeps its record"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "-", "--redcap", "a.csv"], "needs a results file"),
        (["-o", "r.csv", "--redcap", "a.xlsx"], "REDCap imports CSV"),
        (["-o", "r.csv", "--redcap", "r.csv"], "--redcap would be r.csv, which the table"),
        (["-o", "r.csv", "--redcap", "x/../r.csv"], "--redcap would be x/../r.csv, which the table"),
        (
            ["-o", "r.dictionary.csv", "--redcap", "r.csv"],
            "the dictionary of --redcap would be r.dictionary.csv, which",
        ),
        (["-o", "r.csv", "--report", "r.csv"], "is no name of one: give one that ends in .html"),
    ],
)
def test_redcap_is_refused_where_it_cannot_be_written(arguments: list[str], words: str, wards: Path) -> None:
    result = run(wards, *arguments)
    assert (result.exit_code, words in result.stderr) == (2, True), result.stderr
