"""What DICOM headers say of modality and part of the body, before anything is decoded."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sr.codedict import codes
from pydicom.uid import JPEG2000Lossless

from cxr.core.errors import ImageError, Reason
from cxr.imaging import dicom
from cxr.imaging.decode import decode_bytes
from cxr.imaging.headers import named_part
from tests.dicoms import save_dicom
from tests.imaging.decoding import refusal

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
STORAGE = "1.2.840.10008.5.1.4.1.1."


def words(text: str) -> list[str]:
    return text.split()


@pytest.fixture
def drawn(tmp_path: Path) -> Any:
    """Return a function that draws an object with elements and gives its bytes."""

    def draw(**elements: Any) -> bytes:
        save_dicom(tmp_path / "x.dcm", RAMP, **elements)
        return (tmp_path / "x.dcm").read_bytes()

    return draw


def region(meaning: str = "", code: str = "", scheme: str = "SCT") -> list[Dataset]:
    item = Dataset()
    item.CodeMeaning, item.CodeValue, item.CodingSchemeDesignator = meaning, code, scheme
    return [item]


def request(description: str) -> list[Dataset]:
    item = Dataset()
    item.RequestedProcedureDescription = description
    return [item]


# Defined Terms of PS3.3 C.7.3.1.1.1, but for those of radiography; and what is none of them.
MODALITIES = [
    *words("CT MR MG US XA RF PX IO PT NM OT ES GM SM XC OP SC HC RTIMAGE RTDOSE SEG SR PR DOC ECG BMD IVUS DG TG"),
    *("ct", " MR ", "UNKNOWN"),
]
OTHER_CLASSES = {
    "2": "CT Image Storage",
    "2.1": "Enhanced CT Image Storage",
    "4.1": "Enhanced MR Image Storage",
    "1.2": "Digital Mammography X-Ray Image Storage - For Presentation",
    "1.3": "Digital Intra-Oral X-Ray Image Storage - For Presentation",
    "6.1": "Ultrasound Image Storage",
    "12.1": "X-Ray Angiographic Image Storage",
    "13.1.3": "Breast Tomosynthesis Image Storage",
    "66.4": "Segmentation Storage",
    "77.1.4": "VL Photographic Image Storage",
    "481.1": "RT Image Storage",
    "481.2": "RT Dose Storage",
}


@pytest.mark.parametrize("modality", MODALITIES)
def test_another_modality_is_refused_by_its_word(modality: str, drawn: Any) -> None:
    error = refusal(drawn(Modality=modality, BodyPartExamined="CHEST"))
    assert error.reason is Reason.OTHER_MODALITY
    assert error.detail == f"Modality (0008,0060) is {modality.strip().upper()}; expected CR, DX, DR, RG"


@pytest.mark.parametrize("modality", [None, "", "CR", "DX"])
@pytest.mark.parametrize("last", OTHER_CLASSES)
def test_another_class_of_objects_is_refused_by_its_name(last: str, modality: str | None, drawn: Any) -> None:
    error = refusal(drawn(Modality=modality, SOPClassUID=f"{STORAGE}{last}"))
    assert error.reason is Reason.OTHER_MODALITY
    assert error.detail.startswith(f"SOPClassUID (0008,0016) is {OTHER_CLASSES[last]};")


OTHER_PARTS = {
    "BodyPartExamined": [
        *words("ABDOMEN ABDOMENPELVIS ANKLE ARM BREAST CALCANEUS CLAVICLE COCCYX CSPINE ELBOW EXTREMITY FEMUR FINGER"),
        *words("FOOT FOREARM HAND HEAD HIP HUMERUS JAW KNEE LEG LSPINE MANDIBLE NECK ORBIT PATELLA PELVIS SCAPULA"),
        *words("SHOULDER SIJOINT SKULL SPINE SSPINE TIBIAFIBULA TLSPINE TMJ TOE TSPINE WRIST ZYGOMA LOW_EXM MAIN FACE"),
        *("hand", "L KNEE", "HAND PA", "HANDPA", "RT HIP", "Knie", "Schädel", "HÜFTE", "HUEFTE", "MÃO", "PÉ", "ANCA"),
    ],
    "StudyDescription": [
        *("XR HIP 2 VIEWS LEFT", "Knee AP/LAT", "C-Spine 3V", "THORACIC SPINE", "XR FOOT 3 VIEWS", "KUB", "Hands"),
        *("Becken a.p.", "Hand rechts in 2 Ebenen", "Kniegelenk links", "BWS seitlich", "Brustwirbelsäule 2 Ebenen"),
        *("Beckenübersicht", "Fuß re.", "OSG bds.", "Schädel ap/lat", "Abdomenübersicht im Stehen"),
        *("Bassin de face", "RX MAIN DROITE", "Genou gauche F/P", "Rachis dorsal", "Épaule droite", "Crâne"),
        *("RX CADERA", "Columna dorsal AP", "Mano izquierda", "Rodilla", "Muñeca derecha", "Cráneo"),
        *("RX ANCA DX", "Bacino", "Rachide: colonna toracica", "Ginocchio sx", "Polso", "Cranio"),
        *("Joelho direito", "Mão esquerda", "Coluna torácica", "Bacia", "Ombro", "Crânio"),
        *("Bekken", "X-Knie rechts", "Thoracale wervelkolom", "Schouder", "Enkel links", "Schedel"),
        *(
            "MANCHESTER HIP CLINIC",
            "AC joints",
            "Bone age",
            "Tib/Fib",
            "Handskelett",
            "Rachide lombare",
            "Colonne lombaire",
        ),
        *("ASP debout", "Seios da face", "Senos paranasales", "Ortopantomografia", "BOZ", "Beide Hüften", "Fußskelett"),
    ],
    "SeriesDescription": ["Hand PA", "LUMBAR SPINE LAT", "Hüfte axial"],
    "ProtocolName": ["ELBOW AP", "Abdomen liegend"],
    "PerformedProcedureStepDescription": ["Wrist 2 views", "RX GENOU"],
    "RequestedProcedureDescription": ["XR Pelvis", "Sprunggelenk"],
}


@pytest.mark.parametrize(
    ("keyword", "said"), [(keyword, said) for keyword in OTHER_PARTS for said in OTHER_PARTS[keyword]]
)
def test_another_part_of_the_body_is_refused_by_a_word_of_the_element(keyword: str, said: str, drawn: Any) -> None:
    error = refusal(drawn(Modality="DX", SpecificCharacterSet="ISO_IR 192", **{keyword: said}))
    assert error.reason is Reason.OTHER_BODY_PART
    assert error.detail.startswith(f"{keyword} (")
    assert error.detail.endswith("; expected a radiograph of the chest")


@pytest.mark.parametrize(
    "item", [region("Hip joint"), region("Mano"), region(code="85562004"), region(code="T-D8700", scheme="SRT")]
)
def test_the_anatomic_region_is_known_by_its_meaning_or_its_code(item: list[Dataset], drawn: Any) -> None:
    error = refusal(drawn(AnatomicRegionSequence=item, BodyPartExamined="CHEST"))
    assert error.reason is Reason.OTHER_BODY_PART
    assert error.detail.startswith("AnatomicRegionSequence (0008,2218) says ")


CHEST_FILMS: list[dict[str, Any]] = [
    *({"Modality": modality} for modality in (None, "", "CR", "DX", "DR", "RG", "cr", "DX ")),
    *({"SOPClassUID": f"{STORAGE}{last}"} for last in ("1", "1.1", "1.1.1", "7", "7.2")),
    *({"SOPClassUID": uid} for uid in (None, "1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1.99999")),
    *(
        {"BodyPartExamined": said}
        for said in (
            *("CHEST", "THORAX", "", "CHEST PA", "PORT CHEST", "CHESTPA", "Chest_AP", "RIBS", "RIB", "LUNG", "HEART"),
            *("TORAX", "TÓRAX", "TORACE", "PECHO", "POITRINE", "BORSTKAS", "Lunge", "STERNUM", "MEDIASTINUM", "T?RAX"),
            *("CHESTABDOMEN", "NECKCHESTABDPELV", "WHOLEBODY", "OTHER", "DEFAULT", "2- TORAX", "CHEST ABDOMEN"),
        )
    ),
    *(
        {"StudyDescription": said}
        for said in (
            *("CHEST PA AND LATERAL", "XR CHEST 1 VIEW PORTABLE", "KNEE PORTABLE CHEST", "Abdomen with CXR", "SHIP 7"),
            *("Thorax p.a. und seitlich", "Röntgen-Thorax", "Bettlunge", "Thoraxübersicht", "Rippenthorax links"),
            *("Thorax de face", "Radiographie thoracique", "Gril costal", "RX Poumons F/P", "Face", "Au lit, face"),
            *("Tórax PA y lateral", "RX torácica", "Dos proyecciones", "Proyección PA de pie", "Parrilla costal"),
            *(
                "RX torace in due proiezioni",
                "Radiografia toracica",
                "In piedi",
                "Tórax em PA",
                "X-thorax",
                "Longen PA",
            ),
            *(
                "ROCHESTER MAIN CAMPUS",
                "C-ARM ROOM",
                "Mobile, head up 30 degrees",
                "PA 6 foot",
                "PE protocol",
                "Arms up",
            ),
        )
    ),
    {"BodyPartExamined": "CHEST", "StudyDescription": "ABDOMEN ACUTE SERIES"},
    {"SeriesDescription": "Thorax pa", "StudyDescription": "Becken und Thorax"},
    {"ProtocolName": "W033 Chest PA", "StudyDescription": "HAND"},
    {"AnatomicRegionSequence": region("Chest", "816094009"), "BodyPartExamined": "SKULL"},
    {"AnatomicRegionSequence": region(code="816094009"), "BodyPartExamined": "SKULL"},
    {"AnatomicRegionSequence": []},
    {"RequestAttributesSequence": request("XR CHEST"), "StudyDescription": "FOOT"},
    {"PatientName": "Hand^Foot", "PatientComments": "hip replaced", "InstitutionName": "Hip and Knee Clinic"},
    {"ReasonForTheRequestedProcedure": "fell on the hip"},
]


@pytest.mark.parametrize("elements", CHEST_FILMS, ids=str)
def test_a_film_of_the_chest_is_decoded_as_ever(elements: dict[str, Any], drawn: Any) -> None:
    found, facts = decode_bytes(drawn(SpecificCharacterSet="ISO_IR 192", **elements), 16)
    bare, bare_facts = decode_bytes(drawn(), 16)
    assert np.array_equal(found, bare)
    assert facts == bare_facts


def test_the_first_element_that_names_a_part_decides(drawn: Any) -> None:
    assert refusal(drawn(BodyPartExamined="HAND", StudyDescription="CHEST")).detail.startswith("BodyPartExamined")
    unknown = drawn(BodyPartExamined="OTHER", SeriesDescription="PA", StudyDescription="HIP")
    assert refusal(unknown).detail == "StudyDescription (0008,1030) says HIP; expected a radiograph of the chest"
    asked = drawn(RequestAttributesSequence=request("XR HIP"), StudyDescription="CHEST")
    assert refusal(asked).detail.startswith("RequestedProcedureDescription (0032,1060) says HIP")


def test_several_values_are_one_text(drawn: Any) -> None:
    assert refusal(drawn(BodyPartExamined=["OTHER", "KNEE"])).reason is Reason.OTHER_BODY_PART
    assert decode_bytes(drawn(BodyPartExamined=["KNEE", "CHEST"]), 16)[1].format == "DICOM"


def test_utf_8_where_another_character_set_is_declared(drawn: Any) -> None:
    data = drawn(StudyDescription="XXXXXXX")
    assert refusal(data.replace(b"XXXXXXX ", "Schädel".encode())).reason is Reason.OTHER_BODY_PART


def test_nothing_of_the_header_but_the_word_that_decides_is_told(drawn: Any) -> None:
    names = {"PatientName": "Doe^Jane", "PatientID": "4711"}
    said = refusal(drawn(StudyDescription="Hip of Jane Doe 4711", **names)).detail
    assert said == "StudyDescription (0008,1030) says HIP; expected a radiograph of the chest"
    assert refusal(drawn(Modality="Doe, Jane", **names)).detail.startswith("Modality (0008,0060) is no term of DICOM;")


@pytest.mark.parametrize(
    "elements", [{"Modality": "CT"}, {"BodyPartExamined": "HIP"}, {"SOPClassUID": f"{STORAGE}2.1"}]
)
def test_any_dicom_asks_no_header(elements: dict[str, Any], drawn: Any) -> None:
    refusal(drawn(**elements))
    assert np.array_equal(decode_bytes(drawn(**elements), 16, any_dicom=True)[0], decode_bytes(drawn(), 16)[0])
    with pytest.raises(ImageError) as error:
        decode_bytes(drawn(**elements, NumberOfFrames=80), 16, any_dicom=True)
    assert error.value.reason is Reason.MULTI_FRAME


HIDDEN_BEHIND = [
    {"NumberOfFrames": 200},
    {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3},
    {"Rows": 65},
    {"PixelData": None},
    {"Rows": None},
    {"BitsAllocated": 1},
    {"WindowCenter": 5, "WindowWidth": -5},
]


@pytest.mark.parametrize("elements", HIDDEN_BEHIND, ids=str)
def test_the_header_speaks_before_the_pixels(
    elements: dict[str, Any], drawn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom, "stored_values", lambda _: pytest.fail("pixels were decoded"))
    for said, reason in (
        ({"Modality": "MR"}, Reason.OTHER_MODALITY),
        ({"BodyPartExamined": "HIP"}, Reason.OTHER_BODY_PART),
    ):
        with pytest.raises(ImageError) as error:
            dicom.decode_dicom(drawn(**said, **elements))
        assert error.value.reason is reason


def test_a_syntax_that_nobody_decodes_is_not_asked_for(drawn: Any) -> None:
    dataset = dcmread(io.BytesIO(drawn(Modality="CT")))
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = encapsulate([b"no codestream"])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True)
    assert refusal(buffer.getvalue()).reason is Reason.OTHER_MODALITY


def test_what_ends_early_is_truncated_only_where_its_header_is_of_a_chest(drawn: Any) -> None:
    for elements, reason in (
        ({"Modality": "DX", "BodyPartExamined": "CHEST"}, Reason.TRUNCATED),
        ({"Modality": "DX", "BodyPartExamined": "HIP"}, Reason.OTHER_BODY_PART),
        ({"Modality": "CT", "BodyPartExamined": "CHEST"}, Reason.OTHER_MODALITY),
    ):
        data = drawn(**elements)
        start = data.index(b"\x28\x00\x10\x00")  # Rows: from there on the header says all that it has to say
        ends = range(start, len(data), 97)
        assert {refusal(data[:end]).reason for end in ends} == {reason}


def test_a_modality_that_was_cut_off_is_no_other(drawn: Any) -> None:
    data = drawn(Modality="DX")
    place = data.index(b"\x08\x00\x60\x00CS") + 8
    assert refusal(data[: place + 1]).reason is Reason.TRUNCATED


@pytest.mark.parametrize("kind", ["88.11", "104.1", "11.1"])
def test_an_object_without_a_picture_stays_no_image(kind: str, drawn: Any) -> None:
    bare = {"PixelData": None, "Rows": None, "Columns": None}
    assert refusal(drawn(Modality="SR", SOPClassUID=f"{STORAGE}{kind}", **bare)).reason is Reason.NOT_AN_IMAGE


# Reports, encapsulated documents, a presentation state, waveforms, raw data, spectra, a plan of radiotherapy.
NO_PICTURES = words("88.11 88.33 88.59 88.67 104.1 104.2 11.1 9.1.1 66 4.2 481.5 67 78.1")


@pytest.mark.parametrize("modality", ["SR", "DX", "CT", None])
@pytest.mark.parametrize("kind", NO_PICTURES)
def test_a_report_with_the_size_of_a_picture_is_no_image_whatever_its_header_says(
    kind: str, modality: str | None, drawn: Any
) -> None:
    elements = {"Modality": modality, "SOPClassUID": f"{STORAGE}{kind}", "BodyPartExamined": "HAND"}
    data = drawn(PixelData=None, **elements)
    for any_dicom in (False, True):
        with pytest.raises(ImageError) as error:
            dicom.decode_dicom(data, any_dicom)
        assert error.value.reason is Reason.NOT_AN_IMAGE
    assert refusal(drawn(**elements)).reason is Reason.OTHER_MODALITY  # it has pixels


@pytest.mark.parametrize("kind", words("6.2 30 66.4 81.1 481.2"))
def test_volumes_maps_segmentations_and_doses_are_pictures_of_another_modality(kind: str, drawn: Any) -> None:
    error = refusal(drawn(PixelData=None, SOPClassUID=f"{STORAGE}{kind}"))
    assert error.reason is Reason.OTHER_MODALITY


def test_every_region_of_the_standard_is_the_chest_or_another_part() -> None:
    """PS3.16, CID 4031, which Body Part Examined is defined by."""
    named = {name: named_part(getattr(codes.cid4031, name).meaning, coded=True) for name in codes.cid4031.dir()}
    assert len(named) > 100
    assert {name for name, part in named.items() if part is None} == {
        *("EntireBody", "Phantom", "SternoclavicularJoint", "Trachea"),
    }
    assert {name for name, part in named.items() if part and part.is_chest} == {
        *("ApexOfLung", "Bronchus", "Chest", "ChestAbdomenAndPelvis", "ChestAndAbdomen", "Heart", "Mediastinum"),
        *("NeckAndChest", "NeckChestAbdomenAndPelvis", "NeckChestAndAbdomen", "Rib", "Sternum"),
    }


def test_every_defined_term_of_body_part_examined_is_known() -> None:
    """PS3.16, Annex L, the terms of CID 4031."""
    others = words("""
        ABDOMEN ABDOMENPELVIS ACJOINT ANKLE BILEDUCT BILIARYTRACT BLADDER BREAST CALCANEUS CSPINE CTSPINE
        CLAVICLE COCCYX COLON COMMONBILEDUCT DUODENUM ELBOW ESOPHAGUS EXTREMITY EYE FEMUR FIBULA FINGER FOOT
        FOREARM GALLBLADDER HAND HEAD HEADNECK HIP HUMERUS ILEUM ILIUM IAC JAW JEJUNUM KNEE LARGEINTESTINE
        LARYNX LOWERLEG LOWERLIMB LSPINE LSSPINE MANDIBLE MASTOID MAXILLA NECK OPTICCANAL ORBIT PANCREAS
        PANCREATICDUCT PANCBILEDUCT PAROTID PATELLA PELVIS PELVISLOWEXTREMT PROSTATE RECTUM SIJOINT SSPINE
        SCAPULA SELLA SESAMOID SHOULDER SKULL SMALLINTESTINE SPINE STOMACH SUBMANDIBULAR TMJ THIGH TSPINE
        TLSPINE THUMB TOE UPPERARM UPPERLIMB UPRURINARYTRACT URETER URETHRA WRIST ZYGOMA
    """)
    chests = words("""
        CHEST CHESTABDOMEN CHESTABDPELVIS NECKCHEST NECKCHESTABDOMEN NECKCHESTABDPELV BRONCHUS HEART MEDIASTINUM
        RIB STERNUM
    """)
    for term in (*others, *chests):
        part = named_part(term, coded=True)
        assert part is not None, term
        assert part.is_chest == (term in chests), term
    assert [named_part(term, coded=True) for term in ("WHOLEBODY", "PHANTOM", "SCJOINT", "TRACHEA")] == [None] * 4
