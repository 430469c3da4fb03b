import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cxr.core.errors import DataError
from cxr.dataset.audits.formats import HEADER_COLUMNS, format_leak_decoded, format_leak_header, read_headers
from tests.dataset.audits.tables import headers, labelled
from tests.dicoms import save_dicom


def test_a_class_saved_as_rgb_is_seen_in_the_headers_alone():
    labels, groups = labelled(60)
    record = format_leak_header(headers(np.random.default_rng(0), labels, {"viral": "RGB"}), labels, groups, seed=7)
    assert record.result == "warn"
    assert record.values["balanced_accuracy"] >= 0.6
    assert record.values["balanced_accuracy_without_bytes"] == pytest.approx(2 / 3, abs=0.05)
    assert record.values["p"] < 0.01
    assert {"label": "viral", "stored": "8-bit RGB PNG", "images": 60} in record.values["modes"]
    assert not record.fixable


def clean_runs(runs):
    labels, groups = labelled(60)
    return [
        format_leak_header(headers(np.random.default_rng(run), labels), labels, groups, seed=run).result
        for run in range(runs)
    ]


def test_clean_headers_are_rarely_flagged():
    assert clean_runs(3).count("warn") == 0


@pytest.mark.long
def test_clean_headers_are_flagged_in_at_most_five_of_a_hundred_runs():
    assert clean_runs(100).count("warn") <= 5


def test_copies_in_one_group_do_not_make_a_leak():
    labels, _ = labelled(60)
    groups = np.arange(len(labels)) // 6  # six copies of each picture, with the same size in bytes
    table = headers(np.random.default_rng(1), labels)
    table[["bytes", "bits_per_pixel"]] = table[["bytes", "bits_per_pixel"]].to_numpy()[groups * 6]
    assert format_leak_header(table, labels, groups, seed=7).result == "pass"


def arrays(labels, odd):
    rng = np.random.default_rng(2)
    planes = rng.integers(0, 256, (len(labels), 16, 16), dtype=np.uint8)
    return [odd(plane) if label == "viral" else plane for plane, label in zip(planes, labels, strict=True)]


def test_planes_of_one_format_are_at_chance_after_decoding():
    labels, groups = labelled(60)
    record = format_leak_decoded(arrays(labels, lambda plane: plane), labels, groups, seed=7)
    assert record.result == "pass"
    assert record.values["balanced_accuracy"] == pytest.approx(1 / 3, abs=0.03)
    assert record.values["arrays"][0] == {"label": "covid", "array": "uint8 16x16", "images": 60}


ODD = {
    "three channels": lambda plane: np.stack([plane] * 3, axis=-1),
    "sixteen bits": lambda plane: plane.astype(np.uint16) * 257,
    "another size": lambda plane: plane[:, :12],
}


# Two hundred permutations each; the first, and its channels below, stand for all of them every day.
EVERY_DAY = next(iter(ODD))


@pytest.mark.parametrize(
    "odd", [pytest.param(odd, id=name, marks=[pytest.mark.long] * (name != EVERY_DAY)) for name, odd in ODD.items()]
)
def test_a_class_whose_format_survives_decoding_fails(odd):
    labels, groups = labelled(60)
    record = format_leak_decoded(arrays(labels, odd), labels, groups, seed=7)
    assert record.result == "fail"
    assert record.fixable
    assert record.values["balanced_accuracy"] >= 0.6


@pytest.mark.parametrize("per_class", [5, 7, 11])
def test_a_few_planes_of_one_format_are_exactly_at_chance(per_class):
    labels, groups = labelled(per_class)
    record = format_leak_decoded(arrays(labels, lambda plane: plane), labels, groups, seed=7)
    assert record.values["balanced_accuracy"] == round(1 / 3, 6)


def test_channels_that_differ_in_one_class_alone_fail():
    labels, groups = labelled(60)
    tinted = np.random.default_rng(3).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    grey = np.repeat(tinted[..., :1], 3, axis=-1)
    record = format_leak_decoded([tinted if label == "viral" else grey for label in labels], labels, groups, seed=7)
    assert record.result == "fail"
    assert {"label": "viral", "array": "uint8 8x8x3, channels differ", "images": 60} in record.values["arrays"]


def test_too_few_images_are_not_measurable():
    labels, groups = labelled(4)
    assert format_leak_header(headers(np.random.default_rng(0), labels), labels, groups, 7).result == "not_measurable"
    assert format_leak_decoded(arrays(labels, lambda plane: plane), labels, groups, 7).result == "not_measurable"


@pytest.fixture
def folder(tmp_path):
    note = PngInfo()
    note.add_text("Software", "x")
    grey = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8))
    grey.save(tmp_path / "grey.png")
    grey.convert("RGB").save(tmp_path / "colour.png", dpi=(72, 72), pnginfo=note, icc_profile=b"profile")
    Image.fromarray(np.full((20, 30), 4000, np.uint16)).save(tmp_path / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 1
    grey.save(tmp_path / "photo.jpg", exif=exif, progressive=True)
    return tmp_path


def test_headers_say_what_each_file_is(folder):
    table = read_headers(folder, ["grey.png", "colour.png", "deep.png", "photo.jpg"])
    assert list(table.columns) == HEADER_COLUMNS
    rows = {row["file"]: row for row in table.to_dict("records")}
    assert [rows[name]["channels"] for name in rows] == [1, 3, 1, 1]
    assert [rows[name]["bit_depth"] for name in rows] == [8, 8, 16, 8]
    assert {(row["width"], row["height"]) for row in rows.values()} == {(30, 20)}
    assert rows["grey.png"]["chunks"] == "IHDR IDAT IEND"
    assert {"pHYs", "tEXt", "iCCP"} <= set(rows["colour.png"]["chunks"].split())
    assert [rows["colour.png"][name] for name in ("exif", "icc", "dpi", "text")] == [0, 1, 1, 1]
    assert [rows["photo.jpg"][name] for name in ("format", "exif", "progressive")] == ["JPEG", 1, 1]
    size = (folder / "grey.png").stat().st_size
    assert rows["grey.png"]["bytes"] == size
    assert rows["grey.png"]["bits_per_pixel"] == round(8 * size / 600, 3)


def test_no_pixel_is_decoded(folder):
    data = (folder / "grey.png").read_bytes()
    cut = data[: data.index(b"IDAT") + 10]
    (folder / "cut.png").write_bytes(cut)
    assert read_headers(folder, ["cut.png"]).loc[0, "width"] == 30


def test_a_header_that_cannot_be_read_is_named(folder):
    (folder / "no.png").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"no\.png was decoded, but its header cannot be read again"):
        read_headers(folder, ["no.png"])


def test_a_dicom_file_has_a_header_too(folder):
    save_dicom(folder / "a.dcm", np.zeros((6, 8), np.uint16))
    row = read_headers(folder, ["a.dcm"]).loc[0]
    assert (row["format"], row["width"], row["height"]) == ("DICOM", 8, 6)
