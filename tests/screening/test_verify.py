import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxr.core.errors import DataError
from cxr.core.image import Plane
from cxr.core.process import instructions
from cxr.screening.candidates import Query
from cxr.screening.paths import Naming, PathStyle
from cxr.screening.run_manifest import RunResult, read_run_result
from cxr.screening.schema import undecided
from cxr.screening.tables import Kind, OutputFiles
from cxr.screening.verify import Check, rescore, verify_table
from tests.cli.batches import read
from tests.screening.drawings import save, save_mixed
from tests.screening.fakes import FakeModel, FakeNetwork, Logits, by_brightness, deciding_model
from tests.screening.works import run_in, work_on


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    return save_mixed(tmp_path / "scans")


@pytest.fixture
def table(scans: Path, tmp_path: Path) -> Path:
    run_in(tmp_path / "r.csv", work_on(scans))
    return tmp_path / "r.csv"


@pytest.fixture
def decided(scans: Path, tmp_path: Path) -> Path:
    run_in(tmp_path / "d.csv", work_on(scans, [deciding_model()]))
    return tmp_path / "d.csv"


def failing(table: Path) -> dict[str, tuple[str, ...]]:
    return {check.name: check.findings for check in verify_table(read_run_result(table)) if not check.holds}


def restated(table: Path) -> None:
    """Make the manifest agree with the bytes again, so that only the other checks can find a change."""
    import hashlib

    path = OutputFiles(table).manifest
    facts = json.loads(path.read_text())
    facts["results"] |= {"sha256": hashlib.sha256(table.read_bytes()).hexdigest(), "bytes": table.stat().st_size}
    path.write_text(json.dumps(facts))


def change(table: Path, old: str, new: str) -> None:
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new, 1))
    restated(table)


def test_an_untouched_table_holds_in_every_check(table: Path) -> None:
    checks = verify_table(read_run_result(table))
    assert [check.name for check in checks] == ["bytes", "columns", "rows", "counts"]
    assert all(check.holds for check in checks)


def test_a_table_without_its_manifest_is_told_what_belongs_together(table: Path) -> None:
    OutputFiles(table).manifest.unlink()
    with pytest.raises(
        DataError, match=r"r\.manifest\.json cannot be read \(No such file or directory\); cxr-batch writes one"
    ) as told:
        read_run_result(table)
    assert str(told.value).endswith("give a table of cxr-batch, and copy, move or rename both together")


def test_a_changed_byte_is_found_by_the_hash(table: Path) -> None:
    table.write_text(table.read_text().replace("0.3", "0.4", 1))
    assert "bytes" in failing(table)


@pytest.mark.parametrize(
    ("separator", "encoding", "words"),
    [
        (";", "utf-8-sig", "a byte order mark, semicolons between cells, lines that end in CR LF"),
        ("\t", "utf-16", "the encoding UTF-16, tabs between cells, lines that end in CR LF"),
    ],
)
def test_a_table_that_a_spreadsheet_saved_fails_by_its_bytes_alone_and_is_told_why(
    table: Path, separator: str, encoding: str, words: str
) -> None:
    rows = read(table)
    with table.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    findings = failing(table)
    assert list(findings) == ["bytes"]
    assert findings["bytes"][0].startswith(f"another program saved it: it has {words}; cxr-batch writes plain UTF-8")
    assert findings["bytes"][1].startswith("sha256 is ")


def saved_by_excel(table: Path, edit: Callable[[str, str, str], str] = lambda _path, _name, cell: cell) -> None:
    """Save a table as Excel does, without zeros at the end of numbers, each cell of a number edited before."""
    rows = read(table)
    columns = read_run_result(table).schema.columns
    numbers = [column.name for column in columns if column.kind is Kind.NUMBER]
    for row in rows:
        for name, cell in row.items():
            edited = edit(row["path"], name, cell)
            row[name] = f"{float(edited):.12g}" if edited and name in numbers else edited
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def test_numbers_that_have_lost_their_zeros_fail_by_the_bytes_alone_once_a_column(decided: Path) -> None:
    short = sum(row["margin"].endswith("0") for row in read(decided))
    assert short
    saved_by_excel(decided)
    findings = failing(decided)
    assert list(findings) == ["bytes"]
    assert findings["bytes"][0].startswith(
        "another program saved it: numbers have fewer than six decimals. cxr-eval reads"
    )
    have = "number has" if short == 1 else "numbers have"
    assert f"margin: {short} {have} lost zeros at the end" in findings["bytes"]


@pytest.mark.parametrize(
    ("name", "cell", "words"),
    [
        ("decision", "covid_suspected", "decision is 'covid_suspected', the probabilities give"),
        ("refer_reason", "lateral", "refer_reason is 'lateral', the prediction set and the flags give"),
        ("prediction", "covid", "prediction is 'covid', which has not the largest probability"),
        ("probability_normal", "0.9", "the probabilities of fake-0123456789ab sum to 1."),
    ],
)
def test_an_edit_is_found_beside_numbers_that_have_lost_their_zeros(
    decided: Path, name: str, cell: str, words: str
) -> None:
    edited = next(
        row["path"]
        for row in read(decided)
        if row["probability_viral_pneumonia"].endswith("0")
        and row["decision"] != "covid_suspected"
        and row["prediction"] != "covid"
    )
    saved_by_excel(decided, lambda path, column, was: cell if (path, column) == (edited, name) else was)
    assert any(f", {edited}: {words}" in one for one in failing(decided)["rows"])


def test_numbers_rounded_to_two_decimals_are_checked_as_far_as_they_go(decided: Path) -> None:
    rows = {row["path"]: row for row in read(decided)}
    before = rows["03.png"]["decision"]
    saved_by_excel(
        decided,
        lambda path, name, cell: (
            ("refer" if before != "refer" else "not_suspected")
            if (path, name) == ("03.png", "decision")
            else f"{float(cell):.2f}"
            if cell and name.startswith(("probability_", "confidence", "margin", "brightness"))
            else cell
        ),
    )
    findings = failing(decided)
    assert "cxr-eval does not read rounded probabilities" in findings["bytes"][0]
    assert any(
        one.startswith("probability_covid: ")
        and one.endswith("numbers have 2 decimals at most, so they may be rounded")
        for one in findings["bytes"]
    )
    assert not [one for one in findings["rows"] if "expected six decimals" in one or "sum to" in one]
    assert [one for one in findings["rows"] if ", 03.png: decision is" in one]


def test_a_rounded_probability_beside_a_limit_is_said_to_be_uncheckable(decided: Path) -> None:
    schema = read_run_result(decided).schema
    (head,) = schema.heads
    assert head.applied
    (row,) = (one for one in read(decided) if one["path"] == "03.png")
    near = f"{head.applied.threshold:.2f}"
    rounded = replace(schema, rounded={"probability_covid": 0.005})
    assert list(undecided(row | {"probability_covid": f"{float(near):.6f}"}, rounded)) == ["probability_covid"]
    assert list(undecided(row | {"probability_covid": "0.990000"}, rounded)) == []
    assert list(undecided(row | {"probability_covid": f"{float(near):.6f}"}, schema)) == []


def test_a_malformed_cell_hides_no_other_fault_of_its_row(decided: Path) -> None:
    (line,) = (line for line in decided.read_text().splitlines() if line.startswith("03.png,ok,"))
    cells = line.split(",")
    cells[4], cells[9:12] = "many", ["covid normal", "covid_suspected", "several_classes"]
    change(decided, line, ",".join(cells))
    found = [one for one in failing(decided)["rows"] if ", 03.png: " in one]
    assert "probability_covid is 'many'; expected six decimals" in found[0]
    assert any("decision is 'covid_suspected', the probabilities give 'refer'" in one for one in found[1:])


def test_a_dropped_row_is_found_even_where_the_hash_was_made_to_fit(table: Path) -> None:
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:5] + lines[6:]))
    restated(table)
    assert failing(table)["counts"][0] == "rows is 30, the manifest says 31"


def test_a_row_twice_is_found(table: Path) -> None:
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:5] + lines[4:]))
    restated(table)
    assert "not after 03.png" in failing(table)["rows"][0]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("00.png,ok,", "00.png,fine,", "status is 'fine'"),
        ("00.png,ok,,covid,0.333333", "00.png,ok,,covid,0.433333", "sum to 1.099999"),
        ("00.png,ok,,covid,0.333333", "00.png,ok,,covid,0.33", "expected six decimals"),
        ("00.png,ok,,covid,", "00.png,ok,,lupus,", "expected one of covid, normal, viral_pneumonia"),
        ("29.png,ok,,viral_pneumonia,", "29.png,ok,,covid,", "which has not the largest probability"),
        ("00.png,ok,,", "00.png,error,truncated,", "sha256"),
        ("empty.png,error,empty_file", "empty.png,ok,", "status is 'ok'"),
        ("empty.png,error,empty_file", "empty.png,rejected,empty_file", "gives 'error'"),
        ("empty.png,error,empty_file", "empty.png,error,bad_luck", "not in the vocabulary"),
        ("fake-0123456789ab", "fake-ffffffffffff", "the manifest says 'fake-0123456789ab'"),
        (",small,", ",tiny,", "flags has tiny"),
        (",24,", ",24.5,", "expected a whole number"),
    ],
)
def test_a_changed_cell_is_found_and_named(old: str, new: str, words: str, table: Path) -> None:
    if old == ",small,":
        table.write_text(table.read_text().replace(",,PNG,", ",small,PNG,", 1))
    change(table, old, new)
    findings = failing(table)
    if words == "sha256":  # an error row with an answer: the counts give it away
        assert "counts" in findings
    else:
        assert any(words in finding for finding in findings["rows"])


def test_a_table_of_other_columns_is_found(table: Path) -> None:
    change(table, "probability_covid", "p_covid")
    assert failing(table)["columns"] == (
        "not those of version 4: the table lacks probability_covid; the table has p_covid, which is none of them",
    )


@pytest.mark.parametrize("lost", [("sha256",), ("probability_normal", "sha256")])
def test_columns_that_are_missing_are_named(lost: tuple[str, ...], table: Path) -> None:
    with_columns(table, lambda names: [name for name in names if name not in lost])
    assert failing(table)["columns"] == (f"not those of version 4: the table lacks {', '.join(lost)}",)


def test_columns_in_another_order_are_said_to_be_that(table: Path) -> None:
    with_columns(table, lambda names: [names[1], names[0], *names[2:]])
    words = "not those of version 4: the table has another order: column 1 is status, not path"
    assert failing(table)["columns"] == (words,)


def test_columns_of_the_manifest_are_looked_at_too(table: Path) -> None:
    path = OutputFiles(table).manifest
    facts = json.loads(path.read_text())
    facts["results"]["columns"].remove("sha256")
    path.write_text(json.dumps(facts))
    assert failing(table)["columns"] == ("not those of version 4: the manifest lacks sha256",)


def with_columns(table: Path, chosen: Callable[[list[str]], list[str]]) -> None:
    rows = read(table)
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, chosen(list(rows[0])), lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def test_a_table_that_is_no_table_is_an_error(table: Path) -> None:
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join([*lines[:3], "a,b\n", *lines[3:]]))
    with pytest.raises(DataError, match="row 4, has too few cells: 2"):
        verify_table(read_run_result(table))


def scored(table: RunResult, model: FakeModel, root: Path | None = None, number: int = 99, key: bytes = b"") -> Check:
    return rescore(table, [model], root, key, number, seed=1)


def test_rows_screened_again_are_equal(table: Path) -> None:
    check = scored(read_run_result(table), FakeModel(), number=12)
    assert (check.name, check.findings) == ("12 rows screened again", ())


@pytest.mark.parametrize(
    ("moved", "here", "holds"),
    [(4e-6, "another", True), (4e-6, instructions(), False), (2e-5, "another", False)],
)
def test_a_decision_may_turn_on_another_processor_where_a_number_lies_at_its_threshold(
    moved: float, here: str, holds: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = tmp_path / "scans"
    save(scans, "a.png", (200, 20, 20))
    plain = deciding_model()
    run_in(tmp_path / "probe.csv", work_on(scans, [plain]))
    (row,) = read(tmp_path / "probe.csv")
    threshold = float(row["probability_covid"])
    points = {"covid_sens95": {"threshold": threshold - 2e-6, "aim": "a"}}
    first = deciding_model(operating_points=points)
    run_in(tmp_path / "r.csv", work_on(scans, [first]))

    def answer(planes: Plane) -> Logits:  # a logit of the first class less: a probability moves by p(1 - p) of it
        return by_brightness(planes) - np.array([moved / (threshold * (1 - threshold)), 0, 0], np.float32)

    other = replace(deciding_model(operating_points=points), network=FakeNetwork(answer))
    monkeypatch.setattr("cxr.screening.verify.instructions", lambda: here)
    check = scored(read_run_result(tmp_path / "r.csv"), other)
    assert check.holds == holds
    if not holds:
        assert any("decision was" in finding for finding in check.findings)


def test_rows_of_another_network_are_told(table: Path) -> None:
    other = FakeModel(FakeNetwork(lambda planes: -by_brightness(planes)))
    check = scored(read_run_result(table), other)
    assert any("prediction was 'viral_pneumonia', is 'covid'" in finding for finding in check.findings)


def test_a_file_that_is_gone_is_said_to_be(table: Path, scans: Path) -> None:
    (scans / "07.png").unlink()
    assert scored(read_run_result(table), FakeModel()).findings == ("07.png: is no longer there",)


def test_a_row_of_a_spreadsheet_is_screened_again_by_the_numbers_that_are_left(decided: Path) -> None:
    saved_by_excel(decided)
    assert scored(read_run_result(decided), deciding_model()).holds
    saved_by_excel(decided, lambda path, name, cell: "0.123" if (path, name) == ("07.png", "margin") else cell)
    (finding,) = scored(read_run_result(decided), deciding_model()).findings
    assert finding.startswith("07.png: margin was '0.123000', is '")


def test_a_file_changed_since_is_told(table: Path, scans: Path) -> None:
    save(scans, "07.png", (9, 9, 9))
    (finding,) = scored(read_run_result(table), FakeModel()).findings
    assert finding.startswith("07.png: the file has changed")


def test_files_that_were_moved_are_found_with_the_root(table: Path, scans: Path, tmp_path: Path) -> None:
    scans.rename(tmp_path / "moved")
    assert scored(read_run_result(table), FakeModel(), root=tmp_path / "moved").holds
    assert not scored(read_run_result(table), FakeModel()).holds


def test_hashed_names_are_found_again_with_the_key(scans: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from cxr.screening.discovery import discover, select

    naming = Naming(scans, PathStyle.HASHED, b"k" * 16)
    found = discover(Query([scans]), naming)
    work = work_on(scans)
    work = replace(
        work, request=replace(work.request, naming=naming), found=found, selection=select(found.candidates, None, None)
    )
    run_in(tmp_path / "h.csv", work)
    table = read_run_result(tmp_path / "h.csv")
    assert str(scans) not in str(table.manifest)
    assert "empty" not in (tmp_path / "h.csv").read_text().replace("empty_file", "")
    assert "notes" not in str(table.manifest)
    assert all(check.holds for check in verify_table(table))
    assert scored(table, FakeModel(), root=scans, key=b"k" * 16).holds
    with pytest.raises(DataError, match="another key"):
        scored(table, FakeModel(), root=scans, key=b"l" * 16)
    with pytest.raises(DataError, match="--root"):
        scored(table, FakeModel(), key=b"k" * 16)
