"""What the commands write never takes the place of what they read, or of what they did not write."""

from pathlib import Path

import pytest

from tests.cli import test_eval
from tests.cli.batches import run

BESIDE = {
    "--report": "page.html",
    "--redcap": "records.csv",
    "--explain": "maps/index.html",
    "--copy-to": "sorted/sorted.csv",
    "--link-to": "linked/sorted.csv",
}


def given(option: str, tmp_path: Path) -> tuple[str, Path]:
    """Return an option with its value, a file or the folder of one."""
    path = tmp_path / BESIDE[option]
    return option, path if option in ("--report", "--redcap") else path.parent


@pytest.mark.usefixtures("model")
class TestBatch:
    @pytest.mark.parametrize("option", sorted(BESIDE.keys() - {"--explain"}))  # that one: test_batch_explain.py
    def test_what_an_earlier_run_wrote_is_written_anew(self, option: str, scans: Path, tmp_path: Path) -> None:
        for _ in range(2):
            result = run(scans, "-o", tmp_path / "r.csv", *given(option, tmp_path))
            assert result.exit_code == 0, result.output
        assert (tmp_path / BESIDE[option]).stat().st_size

    @pytest.mark.parametrize("option", BESIDE)
    @pytest.mark.parametrize("text", ["path,label\na.png,covid\n", "", "<html>mine</html>", "{}"])
    def test_a_file_of_the_user_is_not_replaced(self, option: str, text: str, scans: Path, tmp_path: Path) -> None:
        mine = tmp_path / BESIDE[option]
        mine.parent.mkdir(exist_ok=True)
        mine.write_text(text)
        result = run(scans, "-o", tmp_path / "r.csv", *given(option, tmp_path))
        assert result.exit_code == 2
        assert option in result.output
        assert "no file of yours is replaced" in " ".join(result.output.split())
        assert mine.read_text() == text
        assert not (tmp_path / "r.csv").exists()  # said before anything is screened

    def test_neither_are_the_dictionary_and_the_index_for_programs(self, scans: Path, tmp_path: Path) -> None:
        others = {"--redcap": "records.dictionary.csv", "--explain": "maps/index.json"}
        for option, name in others.items():
            mine = tmp_path / name
            mine.parent.mkdir(exist_ok=True)
            mine.write_text("{}")
            assert run(scans, "-o", tmp_path / "r.csv", *given(option, tmp_path)).exit_code == 2
            assert mine.read_text() == "{}"

    def test_a_page_does_not_take_the_place_of_a_film_or_a_list(self, scans: Path, tmp_path: Path) -> None:
        film, listed = scans / "a" / "left.png", tmp_path / "list.html"
        before = film.read_bytes()
        listed.write_text(f"{film}\n")
        assert run(scans, "-o", tmp_path / "r.csv", "--report", film).exit_code == 2
        assert run("--files-from", listed, "-o", tmp_path / "r.csv", "--report", listed).exit_code == 2
        assert (film.read_bytes(), listed.read_text()) == (before, f"{film}\n")

    def test_a_film_whose_name_ends_like_a_page_is_not_replaced(self, scans: Path, tmp_path: Path) -> None:
        film = (scans / "a" / "left.png").rename(scans / "a" / "left.html")
        before = film.read_bytes()
        assert run(scans, "-o", tmp_path / "r.csv", "--report", film).exit_code == 2
        assert film.read_bytes() == before

    def test_two_outputs_of_one_name_are_refused_by_what_they_are(self, scans: Path, tmp_path: Path) -> None:
        result = run(scans, "-o", tmp_path / "r.csv", "--redcap", tmp_path / "r.csv")
        assert result.exit_code == 2
        assert "which the table or a file of its run is too" in " ".join(result.output.split())

    @pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
    @pytest.mark.parametrize("name", ["labels.csv", "labels.jsonl", "labels"])
    def test_a_table_of_the_user_is_not_replaced_by_results(
        self, name: str, overwrite: list[str], scans: Path, tmp_path: Path
    ) -> None:
        mine = tmp_path / name
        mine.write_text("file,label\nleft.png,covid\n")
        result = run(scans, "-o", mine, *overwrite)
        assert result.exit_code == 1
        assert "is no table of cxr-batch" in " ".join(result.output.split())
        assert mine.read_text() == "file,label\nleft.png,covid\n"

    @pytest.mark.parametrize("form", [[], ["--csv-dialect", "excel"], ["--format", "jsonl"]])
    def test_a_table_without_what_tells_how_it_was_made_can_be_overwritten(
        self, form: list[str], scans: Path, tmp_path: Path
    ) -> None:
        table = tmp_path / "r"
        assert run(scans, "-o", table, *form).exit_code == 0
        before = table.read_bytes()
        for beside in tmp_path.glob("r.*"):
            beside.unlink()
        assert run(scans, "-o", table, *form, "--overwrite").exit_code == 0
        assert table.read_bytes() == before

    @pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
    def test_of_a_workbook_its_manifest_alone_says_whose_it_is(
        self, overwrite: list[str], scans: Path, tmp_path: Path
    ) -> None:
        table, manifest = tmp_path / "r.xlsx", tmp_path / "r.manifest.json"
        assert run(scans, "-o", table).exit_code == 0
        assert run(scans, "-o", table, *overwrite).exit_code == 0
        before = table.read_bytes()
        for beside in tmp_path.glob("r.*"):
            if beside != table:
                beside.unlink()
        result = run(scans, "-o", table, *overwrite)
        assert result.exit_code == 1
        assert f"has no {manifest.name} beside it" in " ".join(result.output.split())
        assert table.read_bytes() == before

    @pytest.mark.parametrize("name", ["r.png", "r.dcm", "r.csv.gz", "r.csv.zip", "r.docx", "r.html"])
    def test_a_name_that_promises_something_else_is_refused(self, name: str, scans: Path, tmp_path: Path) -> None:
        result = run(scans, "-o", tmp_path / name)
        assert result.exit_code == 2
        assert "r.csv" in result.output
        assert "r.csv.csv" not in result.output
        assert not (tmp_path / name).exists()

    @pytest.mark.parametrize("name", ["results_1.5mm", "study.v2", "r.dat"])
    def test_any_other_ending_is_csv(self, name: str, scans: Path, tmp_path: Path) -> None:
        assert run(scans, "-o", tmp_path / name).exit_code == 0
        assert (tmp_path / name).read_bytes().startswith(b"path,status")

    def test_notes_in_the_place_of_a_finished_table_are_not_replaced(self, scans: Path, tmp_path: Path) -> None:
        table = tmp_path / "r.csv"
        assert run(scans, "-o", table).exit_code == 0
        table.write_text("my notes\n")
        for more in ([], ["--overwrite"]):
            assert run(scans, "-o", table, *more).exit_code == 1
            assert table.read_text() == "my notes\n"

    def test_a_workbook_of_the_user_is_not_replaced(self, scans: Path, tmp_path: Path) -> None:
        from openpyxl import Workbook

        mine = tmp_path / "mine.xlsx"
        Workbook().save(mine)
        before = mine.read_bytes()
        assert run(scans, "-o", mine, "--overwrite").exit_code == 1
        assert mine.read_bytes() == before


@pytest.fixture
def measured(tmp_path: Path) -> dict[str, Path]:
    """Copies of what cxr-eval reads: a table, labels, a mapping."""
    table, labels = test_eval.files.__wrapped__(tmp_path)
    mapping = tmp_path / "mapping.csv"
    mapping.write_text("label,means\nfever,leave_out\n")
    return {"results": table, "labels": labels, "mapping": mapping}


@pytest.mark.parametrize("option", ["-o", "--markdown", "--tidy", "--redcap"])
@pytest.mark.parametrize("read", ["results", "labels", "mapping"])
def test_figures_do_not_take_the_place_of_what_they_are_of(option: str, read: str, measured: dict[str, Path]) -> None:
    before = measured[read].read_bytes()
    beside = measured[read].parent / "." / measured[read].name
    result = test_eval.run(measured["results"], measured["labels"], "--mapping", measured["mapping"], option, beside)
    assert result.exit_code == 2
    assert "is read" in result.output
    assert measured[read].read_bytes() == before


def test_two_kinds_of_figures_under_one_name_are_refused(measured: dict[str, Path], tmp_path: Path) -> None:
    for pair in (("-o", "x.json", "--tidy", "x.json"), ("--redcap", "x.csv", "--tidy", "x.dictionary.csv")):
        names = [tmp_path / part if "." in part else part for part in pair]
        result = test_eval.run(measured["results"], measured["labels"], *names)
        assert result.exit_code == 2
        assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize("suffix", [".manifest.json", ".csv.journal"])
def test_what_tells_how_a_table_was_made_is_not_replaced(suffix: str, measured: dict[str, Path]) -> None:
    beside = measured["results"].with_suffix(suffix)
    result = test_eval.run(measured["results"], measured["labels"], "-o", beside)
    assert result.exit_code == 2
    assert "tells how" in result.output


def test_no_pictures_are_drawn_among_labelled_films(measured: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "films" / "covid").mkdir(parents=True)
    result = test_eval.run(measured["results"], tmp_path / "films", "--figures", tmp_path / "films" / "covid")
    assert result.exit_code == 2
    assert not [*(tmp_path / "films" / "covid").iterdir()]
