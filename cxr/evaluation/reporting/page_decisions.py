"""One model: operating points, net benefit, abstention and prediction sets."""

from collections.abc import Sequence

from cxr.evaluation.reporting.blocks import Block, Paragraph, Row, Table
from cxr.evaluation.reporting.cells import count, interval, interval_pieces, not_measured, number, table, text
from cxr.evaluation.reporting.charts_decisions import decision_chart, risk_chart
from cxr.evaluation.reporting.page_classes import SMALL
from cxr.evaluation.reporting.pieces import Piece
from cxr.files import JsonObject


def point_blocks(model: JsonObject, _place: str) -> list[Block]:
    """Thresholds frozen on validation, and what they mean where the disease is rarer."""
    points = model.get("operating_points")
    if not points:
        return [not_measured("Operating points")]
    return [_points(points), *([_prevalence(points)] if any(point.get("by_prevalence") for point in points) else [])]


def _points(points: Sequence[JsonObject]) -> Table:
    header = [
        "operating point",
        "threshold",
        "aim",
        "validation sensitivity",
        "validation specificity",
        "test sensitivity",
        "test specificity",
    ]
    rows = [
        [
            text(point["name"]),
            number(point.get("threshold"), 4),
            text(point.get("aim")),
            number(point.get("validation_sensitivity")),
            number(point.get("validation_specificity")),
            interval(point.get("sensitivity")),
            interval(point.get("specificity")),
        ]
        for point in points
    ]
    return table("Chosen on validation, only applied to the test split", header, rows)


def _prevalence(points: Sequence[JsonObject]) -> Table:
    rows = [
        [text(point["name"]), number(one["prevalence"], 2), number(one["ppv"]), number(one["npv"])]
        for point in points
        for one in point.get("by_prevalence") or []
    ]
    caption = "Predictive values where the disease is rarer, from test sensitivity and specificity"
    return table(caption, ["operating point", "prevalence", "PPV", "NPV"], rows)


def decision_curve_blocks(model: JsonObject, place: str) -> list[Block]:
    """Net benefit against treating all or none (Vickers and Elkin 2006)."""
    curve = model.get("decision_curve")
    return [decision_chart(place, curve)] if curve else [not_measured("Decision curve")]


def abstention_blocks(model: JsonObject, place: str) -> list[Block]:
    """Error by coverage, and prediction sets."""
    selective, conformal = model.get("selective"), model.get("conformal")
    blocks: list[Block] = []
    if conformal:
        blocks += [referred_paragraph(conformal), _coverage(conformal)]
        if conformal.get("sizes"):
            blocks.append(_sizes(conformal["sizes"]))
    else:
        blocks.append(not_measured("Prediction sets"))
    if selective and selective.get("curve"):
        return [*blocks, risk_chart(place, selective["curve"]), _selective(selective)]
    return [*blocks, not_measured("Error by coverage")]


def referred_paragraph(conformal: JsonObject) -> Paragraph:
    """Say how much is referred, and how many errors are in it."""
    referred = conformal.get("referred") or {}
    errors = count(referred.get("errors")).pieces
    pieces: list[Piece] = ["Referred (prediction set empty or of several classes): "]
    pieces += [*interval(referred.get("share")).pieces, " of the images. Of ", *errors, " errors "]
    pieces += [*count(referred.get("errors_referred")).pieces, " are among them"]
    if referred.get("share_of_errors_referred"):
        pieces += [" (", *interval_pieces(referred["share_of_errors_referred"]), ")"]
    pieces += ["; of what is answered, ", *interval(referred.get("error_answered")).pieces, " is wrong. "]
    pieces.append(
        "The promise of coverage holds for images like those of validation, and is void for another hospital's."
    )
    return Paragraph(tuple(pieces))


def _coverage(conformal: JsonObject) -> Table:
    rows = [
        Row((text(one["name"]), count(one["n"]), interval(one.get("coverage"))), grey=one["n"] < SMALL)
        for one in conformal.get("by_class") or []
    ]
    notes: tuple[Piece, ...] = ("Allowed to miss: ", *number(conformal.get("alpha"), 2).pieces, " of each class.")
    return table("Prediction sets: how often they hold the true class", ["class", "images", "coverage"], rows, notes)


def _sizes(sizes: JsonObject) -> Table:
    names = {"0": "none", "1": "one", "2": "two", "3": "three"}
    rows = [[text(names.get(size, f"{size} classes")), count(images)] for size, images in sizes.items()]
    return table("Classes in the prediction set", ["classes", "images"], rows)


def _selective(selective: JsonObject) -> Table:
    rows = [
        [number(one["coverage"], 2), number(one["risk"]), number(one.get("threshold"))]
        for one in selective.get("at") or []
    ]
    notes: tuple[Piece, ...] = (
        "Area under the curve ",
        *number(selective.get("aurc")).pieces,
        "; generalised (Traub et al.) ",
        *number(selective.get("augrc")).pieces,
        ".",
    )
    return table("Error if only the surest are answered", ["answered", "error", "least confidence"], rows, notes)
