import pandas as pd
import pytest
from PIL import Image

from cxr.dataset.sources import read_patients, read_sources
from cxr.errors import DataError


@pytest.fixture
def release(tmp_path):
    for file in ("Normal/images/Normal-12.png", "Normal/images/Normal-3.png", "COVID/images/COVID-12.png"):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(path)
    return tmp_path


def write_sheet(path, rows):
    pd.DataFrame(rows, columns=["FILE NAME", "FORMAT", "SIZE", "URL"]).to_excel(path, index=False)


def test_sources_match_names_that_the_sheet_spells_otherwise(release):
    write_sheet(
        release / "Normal.metadata.xlsx", [["NORMAL-12", "PNG", "256*256", " https://a "], ["NORMAL-99", "", "", "b"]]
    )
    assert read_sources(release) == {"Normal/images/Normal-12.png": "https://a"}


def test_a_class_reads_its_own_sheet_alone(release):
    write_sheet(release / "COVID.metadata.xlsx", [["COVID-12", "PNG", "256*256", "c"]])
    assert read_sources(release) == {"COVID/images/COVID-12.png": "c"}


def test_a_broken_sheet_is_named(release):
    (release / "COVID.metadata.xlsx").write_text("no workbook")
    with pytest.raises(DataError, match=r"COVID.metadata.xlsx cannot be read as an Excel workbook"):
        read_sources(release)


def test_a_sheet_without_url_is_refused(release):
    pd.DataFrame({"FILE NAME": ["COVID-12"]}).to_excel(release / "COVID.metadata.xlsx", index=False)
    with pytest.raises(DataError, match="expected FILE NAME and URL"):
        read_sources(release)


def test_patients_are_optional_and_blank_means_unknown(release):
    assert read_patients(release) == {}
    (release / "patients.csv").write_text(
        "file,patient_id\nCOVID/images/COVID-12.png,007\nNormal/images/Normal-3.png,\n"
    )
    assert read_patients(release) == {"COVID/images/COVID-12.png": "007"}


def test_a_file_with_two_patients_is_refused(release):
    (release / "patients.csv").write_text("file,patient_id\na.png,1\na.png,2\n")
    with pytest.raises(DataError, match=r"names a\.png twice"):
        read_patients(release)
