import pytest

from cxr.core.errors import Reason, UsageError
from cxr.core.image import ImageFacts
from cxr.inference.gate import Flag
from cxr.screening.schema import Agreement, Prediction, Row, agreement, schema_of
from tests.screening.fakes import model_record

FACTS = ImageFacts(299, 200, "L", 8, "PNG", ("exif_rotated", "luma_601"))
ONE = schema_of([model_record("cnn1", "cnn1-a", ("covid", "normal"))])
TWO = schema_of(
    [model_record("cnn1", "cnn1-a", ("covid", "normal")), model_record("cnn3", "cnn3-b", ("normal", "covid"))],
    ["StudyDate"],
)


def named(schema: object, row: Row) -> dict[str, str]:
    columns = [column.name for column in schema.columns]  # type: ignore[attr-defined]
    return dict(zip(columns, schema.cells(row), strict=True))  # type: ignore[attr-defined]


def test_the_header_follows_the_models_order_of_classes() -> None:
    assert [column.name for column in ONE.columns] == [
        "path",
        "status",
        "reason",
        "prediction",
        "probability_covid",
        "probability_normal",
        "confidence",
        "margin",
        "prediction_set",
        "decision",
        "refer_reason",
        "in_training_set",
        "flags",
        "format",
        "width",
        "height",
        "photometric",
        "bit_depth",
        "brightness",
        "steps",
        "detail",
        "sha256",
        "model",
    ]


def test_further_networks_have_columns_with_their_name_and_the_first_ones_stay() -> None:
    names = [column.name for column in TWO.columns]
    assert names[: len(ONE.columns)] == [column.name for column in ONE.columns]
    assert names[len(ONE.columns) :] == [
        "dicom_StudyDate",
        "cnn3_prediction",
        "cnn3_probability_normal",
        "cnn3_probability_covid",
        "cnn3_confidence",
        "cnn3_margin",
        "cnn3_prediction_set",
        "cnn3_decision",
        "cnn3_refer_reason",
        "cnn3_in_training_set",
        "cnn3_model",
        "agreement",
    ]


def test_an_answer_has_six_decimals_and_its_facts() -> None:
    row = Row(
        "a.png", answers=(Prediction("covid", (0.75, 0.25)),), flags=(Flag.SMALL, Flag.FLAT), format="PNG", facts=FACTS
    )
    cells = named(ONE, row)
    assert (cells["status"], cells["prediction"], cells["probability_covid"]) == ("ok", "covid", "0.750000")
    assert (cells["confidence"], cells["margin"], cells["flags"]) == ("0.750000", "0.500000", "small flat")
    assert (cells["width"], cells["height"], cells["steps"]) == ("299", "200", "exif_rotated luma_601")


def test_a_failure_has_the_same_columns_and_an_escaped_detail() -> None:
    cells = named(TWO, Row("b.png", Reason.MULTI_FRAME, "=3 frames\n", format="GIF", sha256="ab"))
    assert len(cells) == len(TWO.columns)
    assert (cells["status"], cells["reason"], cells["detail"]) == ("rejected", "multi_frame", r"\x3d3 frames\n")
    assert {name for name, cell in cells.items() if cell} == {
        *("path", "status", "reason", "detail", "format", "sha256", "model", "cnn3_model")
    }


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [
        (["covid", "covid"], Agreement.UNANIMOUS),
        (["covid", "normal"], Agreement.SPLIT),
        (["covid", "normal", "covid"], Agreement.MAJORITY),
        (["a", "b", "c"], Agreement.SPLIT),
        (["a", "a", "b", "b"], Agreement.SPLIT),
    ],
)
def test_agreement_counts_the_most_frequent_prediction(predictions: list[str], expected: Agreement) -> None:
    assert agreement(predictions) is expected


def test_networks_of_one_name_are_told_apart_by_their_identity() -> None:
    schema = schema_of([model_record("cnn1", "cnn1-a", ("x",)), model_record("cnn1", "cnn1-b", ("x",))])
    assert "cnn1-b_prediction" in [column.name for column in schema.columns]


def test_one_network_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="named twice"):
        schema_of([model_record("cnn1", "cnn1-a", ("x",)), model_record("cnn1", "cnn1-a", ("x",))])
