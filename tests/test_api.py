"""`cxr.load_model` and `cxr.screen`, beside the table that `cxr-batch` writes of the same files."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cxr
from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom
from tests.commands import finish, start
from tests.dicoms import save_dicom
from tests.drawn_networks import drawn_model

FINDINGS = list(Finding)


def film(number):
    """Return a drawn radiograph, uint8 (299, 299)."""
    return draw_phantom(FINDINGS[number % len(FINDINGS)], (7, number), 0).luminance


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Draw a folder in which the gate, the header, the decoder and the network each have something to say."""
    folder = tmp_path_factory.mktemp("films")
    for number in range(10):
        Image.fromarray(film(number)).save(folder / f"{number}.png")
    (folder / "more").mkdir()
    Image.fromarray(film(0)).convert("RGB").save(folder / "more/rgb.png")
    Image.fromarray(film(1).astype(np.uint16) * 16).save(folder / "more/twelve bits.png")
    Image.fromarray(film(2)[::-1]).save(folder / "more/on its head.png")
    Image.fromarray(255 - film(3)).save(folder / "more/inverted.jpg", quality=95)
    save_dicom(folder / "film.dcm", film(4), Modality="DX")
    save_dicom(folder / "hand.dcm", film(5), Modality="DX", BodyPartExamined="HAND")
    Image.fromarray(np.zeros((299, 299), np.uint8)).save(folder / "black.png")
    Image.fromarray(np.tile(np.eye(3, dtype=np.uint8)[:, :, np.newaxis] * 255, (40, 40, 3))).save(folder / "small.png")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:20_000])
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="module", params=["packaged", "drawn"])
def named(request, tmp_path_factory):
    """Give what names a model: that which ships, and one of another network, whose planes are not those of its gate."""
    return request.param if request.param == "packaged" else drawn_model(tmp_path_factory.mktemp("models") / "drawn")


@pytest.fixture(scope="module")
def model(named):
    return cxr.load_model(named)


def cells(result):
    """Write a result as the row of a table does."""
    return {
        "status": result.status,
        "reason": result.reason or "",
        "prediction": result.prediction or "",
        **{f"probability_{name}": f"{value:.6f}" for name, value in result.probabilities.items()},
        "prediction_set": (" ".join(result.prediction_set) or "empty") if result.prediction else "",
        "decision": result.decision or "",
        "refer_reason": result.refer_reason or "",
        "in_training_set": {None: "", True: "yes", False: "no"}[result.in_training_set],
        "flags": " ".join(result.flags),
        "detail": result.detail,
    }


def test_a_folder_has_the_answers_of_its_table(films, named, model, tmp_path):
    status, said = finish(start(films, tmp_path / "r.csv", "--model", named))
    assert status == 3, said
    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    results = cxr.screen(films, model)
    assert [result.path for result in results] == [str(films / row["path"]) for row in rows]
    for result, row in zip(results, rows, strict=True):
        found = cells(result)
        assert found == {name: row[name] for name in found}
    assert {row["status"] for row in rows} == {"ok", "rejected", "error"}


def test_an_answer_is_the_same_to_the_bit_alone_in_a_batch_as_a_file_and_as_an_array(films, model):
    stack = np.stack([film(number) for number in range(10)])
    files = cxr.screen([films / f"{number}.png" for number in range(10)], model)
    assert all(result.prediction for result in files)
    unnamed = [replace(result, path="") for result in files]
    assert cxr.screen(stack, model) == unnamed
    assert cxr.screen(list(stack), model) == unnamed
    assert [cxr.screen(one, model)[0] for one in stack] == unnamed


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("more/rgb.png", np.dstack([film(0)] * 3)),
        ("more/rgb.png", np.dstack([film(0)] * 3 + [np.full((299, 299), 255, np.uint8)])),
        ("more/twelve bits.png", film(1).astype(np.uint16) * 16),
        ("more/on its head.png", film(2)[::-1]),
        ("black.png", np.zeros((299, 299), np.uint8)),
    ],
    ids=["rgb", "rgba", "uint16", "a view that runs backwards", "black"],
)
def test_an_array_of_another_kind_is_taken_as_the_file_is(films, model, name, array):
    (of_file,), (of_array,) = cxr.screen(films / name, model), cxr.screen(array, model)
    assert of_array == replace(of_file, path="")


def test_files_and_arrays_may_be_mixed_and_stay_in_order(films, model):
    pictures = [films / "1.png", film(0), str(films / "empty.png"), films / "1.png", np.stack([film(0), film(1)])]
    results = cxr.screen(iter(pictures), model)
    names = [result.path.removeprefix(f"{films}/") for result in results]
    assert names == ["1.png", "", "empty.png", "1.png", "", ""]
    assert results[0] == results[3]
    assert results[1] == results[4]
    assert results[2].reason == "empty_file"
    assert results[5].probabilities == results[0].probabilities


def test_a_file_that_is_not_there_costs_its_own_answer(films, model):
    absent, there = cxr.screen([films / "absent.png", films / "1.png"], model)
    assert (absent.status, absent.reason, absent.probabilities) == ("error", "unreadable", {})
    assert there.status == "ok"


def test_a_file_that_is_named_is_answered_for_whatever_it_is(films, model):
    assert cxr.screen(films / "notes.txt", model)[0].reason == "not_an_image"


def test_any_dicom_screens_what_the_header_excludes(films, model):
    assert cxr.screen(films / "hand.dcm", model)[0].reason == "other_body_part"
    assert cxr.screen(films / "hand.dcm", model, any_dicom=True)[0].reason != "other_body_part"


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (film(0) / 255, "an array of type float64 has no defined black and white; scale it to uint8"),
        (film(0).astype(np.int16), "an array of type int16 has no defined black and white"),
        (np.dstack([film(0).astype(np.uint16)] * 3), "an array of type uint16 in colour has no defined"),
        (film(0)[0], "an array of shape (299,) is no picture; expected (height, width), (n, height, width)"),
        (film(0)[np.newaxis, np.newaxis], "an array of shape (1, 1, 299, 299) is no picture"),
        (np.zeros((0, 299, 299), np.uint8), "an array of shape (0, 299, 299) is no picture"),
        (np.dstack([film(0)] * 2), "an array of shape (299, 299, 2) is no picture"),
        (np.zeros((1, 2, 299, 299, 1), np.uint8), "an array of shape (1, 2, 299, 299, 1) is no picture"),
        (np.ma.masked_less(film(0), 9), "a masked array masks pixels, which have no value then; give the array with"),
        (np.ma.masked, "a masked array masks pixels"),
        (film(0).astype(">f4"), "an array of type >f4 has no defined black and white"),
        (np.dstack([film(0)] * 3).astype(">u2"), "an array of type >u2 in colour has no defined"),
    ],
    ids=[
        "float",
        "int16",
        "deep colour",
        "one row",
        "four dimensions",
        "nothing",
        "two samples",
        "five dimensions",
        "masked",
        "nothing but a mask",
        "big-endian float",
        "big-endian colour",
    ],
)
def test_an_array_that_is_no_picture_is_refused_with_what_is_expected(model, array, said):
    with pytest.raises(cxr.CxrError) as refused:
        cxr.screen(array, model)
    assert said in str(refused.value)


class Tensor:
    """What is an array to other packages, and can be run through to its numbers."""

    ndim = 2

    def __array__(self, *_, **__):
        return film(0)

    def __iter__(self):
        return iter(film(0))


@pytest.mark.parametrize(
    "odd", [None, 5, [None], b"film.png", {"film": "film.png"}, Image.new("L", (99, 99)), Tensor(), np.uint8(7)]
)
def test_what_is_no_file_and_no_array_is_refused_with_what_is_expected(model, odd):
    with pytest.raises(cxr.CxrError, match="is no picture; expected a file, a folder, an array, or a list of them"):
        cxr.screen(odd, model)


@pytest.mark.parametrize("kind", ["<u2", ">u2", "=u2"])
def test_deep_grey_may_be_of_either_byte_order(model, kind):
    deep = film(1).astype(np.uint16) * 16
    assert cxr.screen(deep.astype(kind), model) == cxr.screen(deep, model)
    assert cxr.screen(np.stack([deep.astype(kind)] * 2), model) == cxr.screen([deep, deep], model)


def test_a_last_axis_of_one_is_no_width(model):
    pictures = [film(0), film(1)]
    expected = cxr.screen(pictures, model)
    assert cxr.screen(pictures[0][..., np.newaxis], model) == expected[:1]
    assert cxr.screen(pictures[0][np.newaxis, ..., np.newaxis], model) == expected[:1]
    assert cxr.screen(pictures[0][np.newaxis], model) == expected[:1]
    assert cxr.screen(np.stack(pictures)[..., np.newaxis], model) == expected
    assert cxr.screen([one[..., np.newaxis] for one in pictures], model) == expected
    deep = film(1).astype(np.uint16) * 16
    assert cxr.screen(deep[..., np.newaxis], model) == cxr.screen(deep, model)


def test_a_masked_array_that_masks_nothing_is_an_array(model):
    assert cxr.screen(np.ma.masked_array(film(0)), model) == cxr.screen(film(0), model)
    assert cxr.screen(np.ma.masked_array(film(0), mask=np.zeros((299, 299), bool)), model) == cxr.screen(film(0), model)


EMPTY = "is empty text, as of a variable that is not set; '.' is this folder"


class EmptyPath:
    """A path of another package that is empty."""

    def __fspath__(self):
        return ""


@pytest.mark.parametrize("place", ["", EmptyPath(), [""], [film(0), ""]], ids=["text", "path", "list", "among others"])
def test_empty_text_is_no_place_to_screen(model, place):
    with pytest.raises(cxr.CxrError, match=f"^a place to screen {EMPTY}"):
        cxr.screen(place, model)


@pytest.mark.parametrize("place", ["", EmptyPath()], ids=["text", "path"])
def test_empty_text_is_no_model(monkeypatch, place):
    monkeypatch.chdir(cxr.load_model().folder)
    with pytest.raises(cxr.CxrError, match=f"^a model {EMPTY}"):
        cxr.load_model(place)
    with pytest.raises(cxr.CxrError, match=f"^a model {EMPTY}"):
        cxr.screen(film(0), place)
    assert cxr.load_model(".").identity == cxr.load_model("packaged").identity


@pytest.mark.parametrize("as_named", [str, Path, lambda folder: folder.name], ids=["text", "path", "name"])
def test_to_screen_a_model_may_be_named_as_to_load_it(as_named):
    packaged = cxr.load_model("packaged")
    assert cxr.screen(film(0), as_named(packaged.folder)) == cxr.screen(film(0), packaged)


@pytest.mark.parametrize("odd", [5, b"packaged", ["packaged"], False, film(0)], ids=lambda odd: type(odd).__name__)
def test_what_is_no_model_and_no_name_of_one_is_refused_with_what_is_expected(odd):
    said = rf"^an object of type {type(odd).__name__} is no model; expected 'packaged', the folder of a model or, to"
    with pytest.raises(cxr.CxrError, match=said):
        cxr.load_model(odd)
    with pytest.raises(cxr.CxrError, match=said):
        cxr.screen(film(0), odd)


def test_what_is_no_path_and_no_number_of_threads_is_refused(model):
    for use in (cxr.load_model, lambda place: cxr.screen(place, model), lambda place: cxr.screen(film(0), place)):
        with pytest.raises(cxr.CxrError, match="has a character of value zero, which no path has: 'a"):
            use("a\0b")
    for threads in (-1, "2", 1.5, None):
        with pytest.raises(cxr.CxrError, match=f"^threads is {threads!r}; expected a whole number"):
            cxr.load_model("packaged", threads=threads)


@pytest.mark.parametrize("kind", ["NoneType", "ScreeningModel"])
def test_nothing_and_a_loaded_model_cannot_be_loaded(kind):
    with pytest.raises(cxr.CxrError, match=f"an object of type {kind} is no model"):
        cxr.load_model(None if kind == "NoneType" else cxr.load_model("packaged"))


def test_a_model_is_one_line_in_a_notebook(model):
    assert repr(model).startswith(f"<Model {model.identity}: covid, normal, viral_pneumonia, decides at covid_sens95")
    assert len(repr(model)) < 120


def test_nothing_gives_nothing(model):
    assert cxr.screen([], model) == []


def test_probabilities_follow_the_model_and_are_not_rounded(model):
    (result,) = cxr.screen(film(0), model)
    assert tuple(result.probabilities) == model.classes
    assert sum(result.probabilities.values()) == pytest.approx(1, abs=1e-12)
    assert any(value != round(value, 6) for value in result.probabilities.values())


def test_a_model_is_taken_by_its_name_or_its_folder_at_an_operating_point():
    packaged = cxr.load_model("packaged", operating_point="covid_spec95")
    assert packaged.operating_point == "covid_spec95"
    assert cxr.load_model(packaged.folder).identity == packaged.identity
    assert cxr.load_model(str(packaged.folder), threads=1).identity == packaged.identity


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(cxr.CxrError, match="is not a model folder"):
        cxr.load_model(tmp_path)
    with pytest.raises(cxr.CxrError, match="no operating point 'sharp'"):
        cxr.load_model("packaged", operating_point="sharp")


def test_no_model_is_the_packaged_one():
    assert cxr.screen(film(0)) == cxr.screen(film(0), cxr.load_model("packaged"))


def test_importing_the_package_loads_nothing_and_shows_what_there_is():
    code = (
        "import sys; before = set(sys.modules); import cxr; print(*sorted(set(sys.modules) - before)); "
        "assert {'load_model', 'screen', 'Result'} <= set(dir(cxr)); assert not hasattr(cxr, 'other'); "
        "from cxr import *; assert load_model is cxr.load_model"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["cxr"]


def test_the_stub_names_what_there_is():
    stub = Path(cxr.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    assert [line.split(" as ")[1] for line in stub.splitlines() if line.startswith("from")] == cxr.__all__
