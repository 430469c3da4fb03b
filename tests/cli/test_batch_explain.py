"""`--explain` and `--model packaged` from the command line, with networks of a few numbers and the packaged one."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cxr.core.files import read_json, write_json
from cxr.imaging.decode import read_plane
from cxr.inference.ensemble import ensemble, read_members, write_ensemble
from cxr.inference.model_folder import copy_lungs, load_model, named_folder, packaged_folder
from cxr.inference.network import LinearHead, class_maps
from cxr.screening.explain import SIDE, caption_lines, maps_worth, picture_of
from tests.cli.batches import read, run
from tests.ensembles import member
from tests.evaluation.audits.exported import BIAS, HEAD
from tests.evaluation.cases import trained
from tests.evaluation.toy_gates import toy_lungs
from tests.screening.drawings import save


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """Give a model folder without decisions; its network sees the left and the right half."""
    return trained(tmp_path / "halves")


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    save(folder, "a/left.png", (255, 0))
    save(folder, "b/left.png", (255, 0))
    save(folder, "right half.png", (0, 255))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def explained(tmp_path: Path, films: Path, halves: Path, *more: object, output: str = "r.csv") -> object:
    return run(films, "-o", tmp_path / output, "--model", halves, "--explain", tmp_path / "maps", *more)


def names(tmp_path: Path) -> list[str]:
    return [one["picture"] for one in json.loads((tmp_path / "maps/index.json").read_text())["pictures"]]


def test_each_answered_row_has_a_picture_of_where_its_score_comes_from(tmp_path, films, halves):
    assert explained(tmp_path, films, halves, "--explain-rows", "ok").exit_code == 3  # for the broken file
    rows = {row["path"]: row for row in read(tmp_path / "r.csv")}
    first, second, third = names(tmp_path)
    assert first == f"{rows['a/left.png']['sha256'][:16]}-left.png"
    assert second == f"{rows['b/left.png']['sha256'][:16]}-left-2.png"
    assert third == f"{rows['right half.png']['sha256'][:16]}-right_half.png"
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == sorted(
        [first, second, third, "index.html", "index.json"]
    )
    model, row = load_model(halves), rows["right half.png"]
    plane = read_plane(films / "right half.png", model.plane_side)[0]
    film = read_plane(films / "right half.png", SIDE)[0]
    label = np.array([model.classes.index(row["prediction"])])
    map_ = class_maps(model.network, LinearHead(HEAD, BIAS), plane[None], label)[0]
    assert map_[:, -1].min() == 1
    assert map_[:, 0].max() == 0
    lines = caption_lines(row, maps_worth(model.description), blank=False)
    assert (tmp_path / "maps" / third).read_bytes() == picture_of(film, map_, lines)


def test_the_same_command_on_a_finished_table_adds_them_and_gives_the_same_bytes(tmp_path, films, halves):
    run(films, "-o", tmp_path / "r.csv", "--model", halves)
    before = (tmp_path / "r.csv").read_bytes()
    explained(tmp_path, films, halves, "--explain-rows", "ok")
    first = {path.name: path.read_bytes() for path in (tmp_path / "maps").iterdir()}
    shutil.rmtree(tmp_path / "maps")
    explained(tmp_path, films, halves, "--explain-rows", "ok", "--workers", "1")
    assert {path.name: path.read_bytes() for path in (tmp_path / "maps").iterdir()} == first
    assert len(first) == 5
    assert (tmp_path / "r.csv").read_bytes() == before


def test_the_limit_is_said_and_what_an_earlier_call_drew_goes(tmp_path, films, halves):
    explained(tmp_path, films, halves, "--explain-rows", "ok")
    (tmp_path / "maps/mine.txt").write_text("kept")
    done = explained(tmp_path, films, halves, "--explain-rows", "ok", "--explain-limit", "1")
    assert "1 maps drawn" in done.stderr
    assert "2 more rows have no map; raise --explain-limit to draw them" in done.stderr
    assert len(list((tmp_path / "maps").glob("*.png"))) == 1
    assert (tmp_path / "maps/mine.txt").exists()


def test_a_file_that_changed_meanwhile_is_told_and_not_drawn(tmp_path, films, halves, monkeypatch):
    import cxr

    original = cxr.screening.tables.read_table

    def read_then_change(*arguments):
        rows = list(original(*arguments))
        save(films, "right half.png", (9, 255))
        return iter(rows)

    monkeypatch.setattr(cxr.screening.tables, "read_table", read_then_change)
    done = explained(tmp_path, films, halves, "--explain-rows", "ok")
    assert "no map of right half.png: the file has changed since it was screened" in done.stderr
    assert len(names(tmp_path)) == 2
    assert "right half.png" in (tmp_path / "maps/index.html").read_text()


def test_hashed_names_stay_hashed(tmp_path, films, halves):
    (tmp_path / "key").write_bytes(bytes(range(32)))
    explained(tmp_path, films, halves, "--explain-rows", "ok", "--paths", "hashed", "--key", tmp_path / "key")
    everything = " ".join(path.name for path in (tmp_path / "maps").iterdir())
    everything += "".join((tmp_path / "maps" / name).read_text() for name in ("index.html", "index.json"))
    assert "left" not in everything.replace("left aside", "")
    assert "right" not in everything
    assert all(len(name.removesuffix(".png").split("-")[0]) == 16 for name in names(tmp_path))


def test_programs_are_told_as_well(tmp_path, films, halves):
    done = explained(tmp_path, films, halves, "--explain-rows", "ok", "--explain-limit", "2", "--log-json")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    (said,) = (event for event in events if event["event"] == "explained")
    assert said == {"event": "explained", "drawn": 2, "changed": [], "beyond_limit": 1}


def test_how_much_of_a_map_lies_in_the_lungs_is_said_where_the_model_has_a_segmenter(tmp_path, films, halves):
    toy_lungs(tmp_path / "lungs", load_model(halves).plane_side)  # finds lungs where it is bright
    named = copy_lungs(tmp_path / "lungs", halves)
    write_json(halves / "model.json", read_json(halves / "model.json") | named)
    save(films, "dark.png", (9, 60))
    explained(tmp_path, films, halves, "--explain-rows", "ok")
    shown = {one["path"]: one for one in json.loads((tmp_path / "maps/index.json").read_text())["pictures"]}
    areas = {path: one["lung_area"] for path, one in shown.items()}
    assert areas == {"a/left.png": 0.5, "b/left.png": 0.5, "dark.png": 0, "right half.png": 0.5}
    assert shown["a/left.png"]["heat_in_lungs"] > 0.9
    assert shown["right half.png"]["heat_in_lungs"] > 0.9
    page = (tmp_path / "maps/index.html").read_text()
    assert "lies in the lungs that the segmenter finds; they are 50% of the film." in page
    assert "dark.png" in page
    assert "No lungs were found on this film." in page


def test_a_model_without_a_segmenter_says_nothing_of_lungs(tmp_path, films, halves):
    explained(tmp_path, films, halves, "--explain-rows", "ok")
    assert "lung" not in (tmp_path / "maps/index.json").read_text().replace("without the lungs", "")


def test_the_packaged_model_explains_what_it_decided(tmp_path, films):
    done = run(films, "-o", tmp_path / "r.csv", "--explain", tmp_path / "maps", "--explain-rows", "refer,suspected")
    assert done.exit_code == 3
    chosen = [row for row in read(tmp_path / "r.csv") if row["decision"] in ("refer", "covid_suspected")]
    assert len(names(tmp_path)) == len(chosen)


def test_an_ensemble_is_explained_and_of_several_models_the_first(tmp_path, films, halves):
    models = tmp_path / "models"
    for number, (name, cells) in enumerate((("cnn1", 4), ("cnn3", 2))):
        member(models, name, number + 1, cells=cells)
    write_ensemble(models / "ensemble", ensemble(read_members([models / "cnn1", models / "cnn3"])))
    done = explained(tmp_path, films, models / "ensemble", "--model", halves, "--explain-rows", "ok")
    assert "3 maps drawn" in done.stderr
    index = json.loads((tmp_path / "maps/index.json").read_text())
    assert index["model"] == load_model(models / "ensemble").identity
    assert [one["prediction"] for one in index["pictures"]] == [
        row["prediction"] for row in read(tmp_path / "r.csv") if row["status"] == "ok"
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-o", "-", "--explain", "maps"], "--explain needs a results file; give one with -o"),
        (["-o", "r.csv", "--explain-rows", "ok"], "--explain-rows is for --explain DIR"),
        (["-o", "r.csv", "--explain-limit", "9"], "--explain-limit is for --explain DIR"),
        (["-o", "r.csv", "--explain", "films/maps"], "where the next run would screen its pictures"),
        (["-o", "r.csv", "--explain", "films/right half.png"], "is not a folder"),
        (["-o", "r.csv", "--explain", "maps"], "has no decisions, so no row is suspected"),
        (["-o", "r.csv", "--explain", "maps", "--explain-rows", "lungs"], "'lungs' is no word of the table"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_screened(
    arguments, sentence, tmp_path, films, halves, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    done = run(films.name, "--model", halves, *arguments)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert not (tmp_path / "r.csv").exists()
    assert not (tmp_path / "maps").exists()


def test_a_folder_that_cannot_be_written_stops_and_leaves_the_table(tmp_path, films, halves, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cxr.screening.explain.write_index", full)
    done = explained(tmp_path, films, halves, "--explain-rows", "ok")
    assert done.exit_code == 1
    assert "No space left on device; the table is whole" in done.stderr
    assert len(read(tmp_path / "r.csv")) == 4


class TestNames:
    def test_packaged_is_a_name_and_with_a_slash_it_is_a_folder(self) -> None:
        assert named_folder("packaged") == packaged_folder()
        assert named_folder("./packaged") == Path("packaged")
        assert named_folder("models/packaged") == Path("models/packaged")

    def test_any_other_word_is_a_folder(self, films, tmp_path) -> None:
        assert named_folder("fast") == Path("fast")
        done = run(films, "-o", tmp_path / "r.csv", "--model", "fast")
        assert done.exit_code == 1
        assert "fast is not a model folder" in done.stderr

    def test_the_manifest_says_which_was_taken(self, films, halves, tmp_path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        shutil.copytree(halves, "packaged")
        taken = []
        for name, output in (("packaged", "a.csv"), ("./packaged", "b.csv")):
            run(films.name, "-o", output, "--model", name)
            taken.append(json.loads(Path(output).with_suffix(".manifest.json").read_text())["models"][0]["sha256"])
        assert taken == [load_model(folder).network_sha256 for folder in (packaged_folder(), halves)]
