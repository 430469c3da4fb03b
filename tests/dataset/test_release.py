import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxr.core.errors import DataError
from cxr.dataset.release import find_masks, read_masks, read_patients, read_release, read_sources


@pytest.fixture
def release(tmp_path):
    """Give two COVID images, the first with a mask of its left half, and one Normal image in the class folder."""
    for folder in ("COVID/images", "COVID/masks", "Normal/masks"):
        (tmp_path / folder).mkdir(parents=True)
    half = np.zeros((256, 256), np.uint8)
    half[:, :128] = 255
    for file in ("COVID/images/COVID-1.png", "COVID/images/COVID-2.png", "Normal/Normal-1.jpg"):
        Image.new("L", (299, 299), 90).save(tmp_path / file)
    Image.fromarray(half).save(tmp_path / "COVID/masks/COVID-1.png")
    Image.fromarray(half.T).convert("RGB").save(tmp_path / "Normal/masks/Normal-1.png")
    return tmp_path


FILES = ["COVID/images/COVID-1.png", "COVID/images/COVID-2.png", "Normal/Normal-1.jpg"]


def test_masks_are_found_beside_their_images_and_resized_to_the_plane(release, tmp_path):
    table = find_masks(read_release(release), FILES)
    assert table["mask"].tolist() == ["COVID/masks/COVID-1.png", "", "Normal/masks/Normal-1.png"]
    masks = read_masks(release, table["mask"].tolist(), 32, tmp_path)
    assert (masks.shape, masks.dtype) == ((3, 32, 32), np.uint8)
    assert set(np.unique(masks)) == {0, 255}
    assert masks[0, :, :16].all()
    assert not masks[0, :, 16:].any()
    assert not masks[1].any()
    assert masks[2, :16].all()


def test_a_release_without_masks_gives_an_array_of_no_masks(release, tmp_path):
    for folder in ("COVID", "Normal"):
        for mask in (release / folder / "masks").iterdir():
            mask.unlink()
    table = find_masks(read_release(release), FILES)
    assert (table["mask"] == "").all()
    assert read_masks(release, table["mask"].tolist(), 32, tmp_path).shape == (0, 32, 32)


def test_a_broken_mask_is_named(release, tmp_path):
    (release / "COVID/masks/COVID-1.png").write_bytes(b"")
    table = find_masks(read_release(release), FILES)
    with pytest.raises(DataError, match=r"The mask COVID/masks/COVID-1\.png cannot be read \(empty_file"):
        read_masks(release, table["mask"].tolist(), 32, tmp_path)


@pytest.fixture
def release_of_sources(tmp_path):
    for file in ("Normal/images/Normal-12.png", "Normal/images/Normal-3.png", "COVID/images/COVID-12.png"):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(path)
    return tmp_path


def write_sheet(path, rows):
    pd.DataFrame(rows, columns=["FILE NAME", "FORMAT", "SIZE", "URL"]).to_excel(path, index=False)


def test_sources_match_names_that_the_sheet_spells_otherwise(release_of_sources):
    write_sheet(
        release_of_sources / "Normal.metadata.xlsx",
        [["NORMAL-12", "PNG", "256*256", " https://a "], ["NORMAL-99", "", "", "b"]],
    )
    assert read_sources(release_of_sources) == {"Normal/images/Normal-12.png": "https://a"}


@pytest.mark.parametrize("name", ["Normal.metadata.csv", "NORMAL.Metadata.XLS"])
def test_a_sheet_is_read_as_text_too_whatever_its_name_says(release_of_sources, name):
    text = "sep=;\r\nFile name;FORMAT;URL;\r\nNORMAL-12;PNG; https://a/ä ;\r\n;;;\r\n"
    (release_of_sources / name).write_bytes(text.encode("utf-16"))
    assert read_sources(release_of_sources) == {"Normal/images/Normal-12.png": "https://a/ä"}


def test_a_workbook_of_the_old_kind_and_a_second_sheet_are_named(release_of_sources):
    write_sheet(release_of_sources / "COVID.metadata.xlsx", [["COVID-12", "PNG", "256*256", "c"]])
    (release_of_sources / "Covid.metadata.csv").write_text("FILE NAME,URL\n")
    with pytest.raises(
        DataError, match=r"COVID\.metadata\.xlsx and Covid\.metadata\.csv are both of the class 'covid'"
    ):
        read_sources(release_of_sources)
    (release_of_sources / "Covid.metadata.csv").unlink()
    (release_of_sources / "Normal.metadata.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    with pytest.raises(DataError, match=r"Normal\.metadata\.xls is an Excel workbook of the old kind.*'CSV UTF-8"):
        read_sources(release_of_sources)


def test_a_class_reads_its_own_sheet_alone(release_of_sources):
    write_sheet(release_of_sources / "COVID.metadata.xlsx", [["COVID-12", "PNG", "256*256", "c"]])
    assert read_sources(release_of_sources) == {"COVID/images/COVID-12.png": "c"}


def test_a_broken_sheet_is_named(release_of_sources):
    (release_of_sources / "COVID.metadata.xlsx").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(DataError, match=r"COVID.metadata.xlsx cannot be read as an Excel workbook"):
        read_sources(release_of_sources)


def test_a_sheet_without_url_is_refused(release_of_sources):
    pd.DataFrame({"FILE NAME": ["COVID-12"]}).to_excel(release_of_sources / "COVID.metadata.xlsx", index=False)
    with pytest.raises(
        DataError, match=r"COVID\.metadata\.xlsx has the columns FILE NAME; expected the columns FILE NAME,URL"
    ):
        read_sources(release_of_sources)


def test_patients_are_optional_and_blank_means_unknown(release_of_sources):
    assert read_patients(release_of_sources) == {}
    (release_of_sources / "patients.csv").write_text(
        "file,patient_id\nCOVID/images/COVID-12.png,007\nNormal/images/Normal-3.png,\n"
    )
    assert read_patients(release_of_sources) == {"COVID/images/COVID-12.png": "007"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_patients_are_read_as_a_spreadsheet_saves_them(release_of_sources, encoding):
    text = "File;Patient_ID;ward\r\n.\\COVID\\images\\COVID-12.png;Müller;3\r\n;;\r\n"
    (release_of_sources / "patients.csv").write_bytes(text.encode(encoding))
    assert read_patients(release_of_sources) == {"COVID/images/COVID-12.png": "Müller"}


def test_blanks_around_cells_make_no_second_patient_and_lose_no_file(release_of_sources):
    (release_of_sources / "patients.csv").write_text(
        "file,patient_id\nCOVID/images/COVID-12.png , p1 \n Normal/images/Normal-3.png,p1\nNormal/images/b.png,  \n"
    )
    assert read_patients(release_of_sources) == {"COVID/images/COVID-12.png": "p1", "Normal/images/Normal-3.png": "p1"}


def test_a_file_with_two_patients_is_refused(release_of_sources):
    (release_of_sources / "patients.csv").write_text("file,patient_id\na.png,1\na.png,2\n")
    with pytest.raises(DataError, match=r"names a\.png twice"):
        read_patients(release_of_sources)
