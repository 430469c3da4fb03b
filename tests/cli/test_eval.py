"""cxr-eval from its command line."""

import csv
import json
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cxr.cli.eval import app
from tests.cli.batches import read
from tests.imports import ROOT
from tests.screening.drawings import save_mixed
from tests.screening.fakes import deciding_model
from tests.screening.works import run_in, work_on
from tests.validation.tables import CLASSES, row, rows, unanswered, whole_row, write_csv, write_labels

ABSENT = ("tensorflow", "keras", "openvino", "pandas", "dvc", "pydantic", "ruamel", "jinja2", "imagehash", "fsspec")
HEAVY = ("pandas", "sklearn", "scipy", "numpy", "openvino", "tensorflow", "matplotlib", "openpyxl")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def files(tmp_path):
    table = [*rows(60), unanswered("covid/x.png")]
    labels = write_labels(tmp_path / "labels.csv", table[:50] + table[60:], source=lambda number: f"s{number % 2}")
    return write_csv(tmp_path / "a.csv", table), labels


def test_a_table_is_measured_printed_and_written(files, tmp_path):
    done = run(*files, "-o", tmp_path / "report.json", "--markdown", tmp_path / "report.md")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "report.json").read_text())
    (network,) = report["networks"]
    figures = {one["metric"]: one for one in network["sets"][0]["figures"]}
    assert (report["counts"]["rows"], report["counts"]["labelled_rows"]) == (61, 51)
    assert (figures["files"]["n"], figures["accuracy"]["n"]) == (51, 50)
    for text in (done.stdout, (tmp_path / "report.md").read_text()):
        assert f"{100 * figures['accuracy']['value']['value']:.1f} %" in text
        assert "Rows without a label, left out: 10 (" in text
        assert "Labelled files without an answer: 1 (covid/x.png)." in text
        assert "accuracy, unanswered as wrong" in text
    assert str(tmp_path) not in (tmp_path / "report.json").read_text()


def as_excel(path, table, separator=";", encoding="utf-8-sig"):
    """Save a table as a spreadsheet does where the decimal point is a comma: with fewer digits, and empty cells."""
    number = re.compile(r"(0\.\d*?|[01])\.?0*")
    rows = [list(table[0]), *(list(one.values()) for one in table)]
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        for cells in rows:
            short = [found[1].replace(".", ",") if (found := number.fullmatch(cell)) else cell for cell in cells]
            writer.writerow([*short, "", ""])
        writer.writerow([""] * (len(rows[0]) + 2))
    return path


@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16"), (",", "utf-8-sig")])
def test_a_table_and_labels_that_excel_saved_give_the_same_figures(files, tmp_path, separator, encoding):
    assert run(*files, "-o", tmp_path / "1.json").exit_code == 0
    with files[1].open(newline="") as file:
        known = list(csv.DictReader(file))
    for one in known:
        one["path"] = one["path"].replace("/", "\\")
    saved = as_excel(tmp_path / "excel.csv", [*rows(60), unanswered("covid/x.png")], separator, encoding)
    labels = as_excel(tmp_path / "known.csv", known, separator, encoding)
    done = run(saved, labels, "-o", tmp_path / "2.json")
    assert done.exit_code == 0, done.output
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("1.json", "2.json"))
    assert first["networks"] == second["networks"]
    assert first["counts"] == second["counts"]


def test_a_table_that_excel_saved_in_english_is_measured():
    done = run(ROOT / "tests/inputs/eval/results-bom-crlf.csv", ROOT / "tests/inputs/eval/labels.csv")
    assert done.exit_code == 0, done.output
    assert "9 of 20 rows have a label" in done.stdout


def test_equal_files_give_equal_reports(files, tmp_path):
    for name in ("1.json", "2.json"):
        assert run(*files, "-o", tmp_path / name).exit_code == 0
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_json_lines_are_read_too(files, tmp_path):
    lines = tmp_path / "a.jsonl"
    lines.write_text("".join(json.dumps({k: v or None for k, v in one.items()}) + "\n" for one in rows(60)))
    assert run(lines, files[1], "-o", tmp_path / "r.json").exit_code == 0
    assert json.loads((tmp_path / "r.json").read_text())["networks"][0]["sets"][0]["n"] == 50


def test_two_tables_are_compared(files, tmp_path):
    other = write_csv(tmp_path / "b.csv", rows(60, skill=0, seed=500))
    done = run("--compare", files[0], other, files[1], "-o", tmp_path / "report.json")
    assert done.exit_code == 0, done.output
    (files,) = json.loads((tmp_path / "report.json").read_text())["sets"]
    assert (files["n"], files["of_classes"][0]["p"] < 0.05) == (50, True)


def test_folders_are_labels_and_a_folder_that_is_no_class_is_an_error(files, tmp_path):
    for one in rows(12):
        path = tmp_path / "release" / one["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    done = run(files[0], tmp_path / "release")
    assert done.exit_code == 0, done.output
    assert "12 of 61 rows have a label" in done.stdout
    (tmp_path / "release" / "Lung Opacity").mkdir()
    (tmp_path / "release" / "Lung Opacity" / "a.png").touch()
    lung = write_csv(tmp_path / "lung.csv", [*rows(60), row("Lung Opacity/a.png")])
    done = run(lung, tmp_path / "release")
    assert done.exit_code == 1
    assert "'Lung Opacity' (1 file)" in done.stderr
    for spelt in ("Lung Opacity", "lung opacity", "lung_opacity"):
        assert run(lung, tmp_path / "release", "--negative", spelt).exit_code == 0


def test_folders_of_a_clinic_are_given_with_the_words_of_their_names(tmp_path):
    table = [
        row(f"{('PCR+', 'PCR-', 'Unauffällig')[number % 3]}/{number}.png", number % 3, number) for number in range(30)
    ]
    for one in table:
        (tmp_path / "release" / one["path"]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "release" / one["path"]).touch()
    words = ("--positive", "PCR+", "--negative", "PCR-", "--negative", "unauffällig")
    done = run(write_csv(tmp_path / "r.csv", table), tmp_path / "release", *words)
    assert done.exit_code == 0, done.output
    assert "Positive: 10 files (PCR+ 10). Negative: 20 files (PCR- 10, Unauffällig 10)." in done.stdout


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_prevalence_is_usage(files, text):
    done = run(*files, "--prevalence", text)
    assert done.exit_code == 2
    assert "is no share between 0 and 1" in done.stderr


def test_a_damaged_decision_is_one_line_and_status_1(files, tmp_path):
    table = rows(60)
    table[4] |= {"decision": "maybe"}
    done = run(write_csv(tmp_path / "d.csv", table), files[1])
    assert done.exit_code == 1
    assert f"{table[4]['path']}: decision is 'maybe'" in done.stderr


def test_what_no_run_can_have_written_is_one_line_with_its_row_and_status_1(files, tmp_path):
    table = [whole_row(f"{CLASSES[number % 3]}/{number}.png", number % 3) for number in range(30)]
    assert run(write_csv(tmp_path / "d.csv", table), files[1]).exit_code == 0
    for cells, sentence in (
        ({"status": "error", "reason": "truncated"}, "status is 'error', but prediction is 'normal'"),
        ({"reason": "truncated"}, "status is 'ok', but reason is 'truncated'; expected an empty cell"),
        ({"model": "other-1"}, "model is 'other-1', but 'cnn1-0123456789ab' in the rows above"),
        ({"sha256": "1.23E+57"}, "sha256 is '1.23E+57', a number"),
    ):
        done = run(write_csv(tmp_path / "d.csv", [*table[:4], table[4] | cells, *table[5:]]), files[1])
        assert done.exit_code == 1
        assert f"error: d.csv, row 6, normal/4.png: {sentence}" in done.stderr


def test_decisions_are_checked_against_the_manifest_beside_the_table(tmp_path):
    table = tmp_path / "d.csv"
    run_in(table, work_on(save_mixed(tmp_path / "scans"), [deciding_model()]))
    known = read(table)
    edited = next(place for place, one in enumerate(known) if one["refer_reason"] == "several_classes")
    labels = write_csv(tmp_path / "l.csv", [{"path": one["path"], "label": "covid"} for one in known])
    assert run(table, labels).exit_code == 0
    known[edited] |= {"decision": "covid_suspected", "refer_reason": ""}
    write_csv(table, known)
    done = run(table, labels)
    assert done.exit_code == 1
    assert f"error: d.csv, row {edited + 2}, {known[edited]['path']}: decision is 'covid_suspected', but" in done.stderr
    assert "of the table's manifest" in done.stderr
    (tmp_path / "d.manifest.json").unlink()
    assert run(table, labels).exit_code == 0


@pytest.mark.parametrize(("separator", "status"), [(",", 1), (";", 0)])
def test_numbers_with_commas_before_three_digits_are_not_guessed(files, tmp_path, separator, status):
    labels, days = tmp_path / "days.csv", ("1,234", "900", "1,500", "20")
    with labels.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(["path", "label", "days"])
        writer.writerows(
            [one["path"], one["path"].split("/")[0], days[number % 4]] for number, one in enumerate(rows(60))
        )
    done = run(files[0], labels, "--by", "days=100,1000")
    assert done.exit_code == status, done.output
    if status:
        assert "days.csv, row 2, has '1,234' in the column 'days', which may be 1234 or 1.234" in done.stderr


@pytest.mark.parametrize(
    ("option", "name", "instead"),
    [("--tidy", "x.xlsx", "x.csv"), ("-o", "x.csv", "x.json"), ("--markdown", "x.docx", "x.md")],
)
def test_a_name_that_promises_another_form_is_usage(files, tmp_path, option, name, instead):
    done = run(*files, option, tmp_path / name)
    assert done.exit_code == 2
    assert f"name it {instead}" in " ".join(done.stderr.split())
    assert not (tmp_path / name).exists()


def test_wrong_files_are_one_line_and_status_1(files, tmp_path):
    for arguments in ((tmp_path / "absent.csv", files[1]), (files[0], tmp_path / "absent.csv"), (files[1], files[1])):
        done = run(*arguments)
        assert done.exit_code == 1
        assert done.stderr.startswith("error:")
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("count", [1, 3])
def test_a_wrong_number_of_names_is_usage(files, count):
    done = run(*[files[0]] * count)
    assert done.exit_code == 2
    assert "--compare" in done.stderr


def test_comparing_one_table_is_usage(files):
    assert run("--compare", *files).exit_code == 2


def test_what_is_of_one_table_is_not_for_two(files):
    done = run("--compare", files[0], files[0], files[1], "--by", "source")
    assert done.exit_code == 2
    assert "not for --compare" in done.stderr


def test_labels_of_a_clinic_are_measured_and_written_in_every_form(tmp_path):
    table = rows(60)
    spelt = {"covid": "PCR+", "normal": "PCR-", "viral_pneumonia": "other"}
    lines = [
        f"D:\\films\\{one['path'].replace('/', chr(92))};{spelt[one['path'].split('/')[0]]};{number % 90},5;x"
        for number, one in enumerate(table)
    ]
    labels = tmp_path / "labels.csv"
    labels.write_bytes("\r\n".join(["Datei;Befund;Alter;Notiz", *lines, ""]).encode("utf-8-sig"))
    outputs = {name: tmp_path / f"out.{name}" for name in ("tidy", "redcap", "markdown")}
    done = run(
        as_excel(tmp_path / "results.csv", table),
        labels,
        *("--path-column", "Datei", "--label-column", "Befund"),
        *("--positive", "PCR+", "--negative", "PCR-", "--negative", "other"),
        *("--by", "alter=18,65", "--prevalence", "2%,0.1", "--figures", tmp_path / "figures"),
        *(part for name, path in outputs.items() for part in (f"--{name}", path)),
    )
    assert done.exit_code == 0, done.output
    assert "60 of 60 rows have a label" in done.stdout
    assert "18 to below 65" in done.stdout
    assert all(path.stat().st_size > 1000 for path in outputs.values())
    assert (tmp_path / "out.dictionary.csv").is_file()
    assert len(list((tmp_path / "figures").iterdir())) == 10


def test_lines_are_not_folded_at_the_width_of_a_terminal(files, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    done = run(*files, "--by", "source")
    assert "\u2026" not in done.stdout
    assert re.search(r"^sensitivity, undecided as wrong +\d", done.stdout, re.MULTILINE)


def in_a_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_help_loads_nothing_heavy():
    done = in_a_process(
        "import sys\nsys.argv = ['cxr-eval', '--help']\nfrom cxr.cli.eval import app\n"
        f"try: app()\nexcept SystemExit: pass\nprint('LOADED', *sorted(set({HEAVY}) & set(sys.modules)))"
    )
    assert done.stdout.splitlines()[-1] == "LOADED", done.stdout + done.stderr
    assert "Usage" in done.stdout


def test_without_the_extra_the_remedy_is_named(files):
    done = in_a_process(
        f"import sys\nsys.modules['sklearn'] = None\nsys.argv = ['cxr-eval', {str(files[0])!r}, {str(files[1])!r}]\n"
        "from cxr.cli.eval import app\napp()"
    )
    assert done.returncode == 1
    assert "is not installed; this command needs the extra 'eval': pip install '.[eval]'" in done.stderr


@pytest.mark.parametrize("labels", ["table", "folder"])
def test_neither_the_network_nor_the_pipeline_is_needed(files, tmp_path, labels):
    known = files[1]
    if labels == "folder":
        for one in rows(12):
            known = tmp_path / "release"
            (known / one["path"]).parent.mkdir(parents=True, exist_ok=True)
            (known / one["path"]).touch()
    arguments = ["cxr-eval", str(files[0]), str(known), "--figures", str(tmp_path / "figures")]
    done = in_a_process(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(name, *_):\n"
        f"        if name in {ABSENT}: raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Absent)\n"
        f"sys.argv = {arguments}\nfrom cxr.cli.eval import app\n"
        "try: app()\nexcept SystemExit as ended: print('STATUS', ended.code)"
    )
    assert done.stdout.splitlines()[-1] == "STATUS 0", done.stdout[-500:] + done.stderr


PAGE = (ROOT / "docs" / "cxr-eval.md").read_text(encoding="utf-8")


def rows_of(text):
    """Return titles without the network's name, and what tables of figures begin their rows with."""
    lines = [line.partition(": ")[2] if "-" in line.partition(": ")[0] else line for line in text.splitlines()]
    return {line.split("  ")[0] for line in lines}


def test_the_example_of_the_page_has_the_lines_that_are_printed(files):
    example = PAGE.split("```text")[1].split("```")[0]
    of_figures = [block for block in example.split("\n\n") if "\nfigure " in block or "\nthreshold " in block]
    rows = {row for block in of_figures for row in rows_of(block) if not row.endswith(".")}
    # Of the example's films some were trained on; of these here none is.
    named = {row.removesuffix(", all files").removesuffix(", not trained on") for row in rows}
    assert len(named) > 30
    assert named <= rows_of(run(*files, "--prevalence", "2%").stdout)


def test_the_page_has_every_column_and_method_of_the_tidy_table(files, tmp_path):
    assert run(*files, "--tidy", tmp_path / "t.csv", "--prevalence", "2%").exit_code == 0
    with (tmp_path / "t.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    for word in (*table[0], *{one["method"] for one in table}):
        assert f"`{word}`" in PAGE
