import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cxr.dataset.audits.headers import HEADER_COLUMNS, read_headers
from cxr.errors import DataError
from tests.dicoms import save_dicom


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
