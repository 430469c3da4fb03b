"""Operating points of decisions.json: thresholds on the calibrated probability of one class."""

from collections.abc import Mapping
from dataclasses import dataclass

from cxr.fields import Fields

LARGEST = 1e12  # of a temperature or threshold; softer than any network is wrong


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold and what it was chosen for.

    Attributes:
        threshold: The target class is suspected from this calibrated probability on.
        aim: What it was chosen for, in words.
    """

    threshold: float
    aim: str


def parse_points(fields: Fields) -> dict[str, OperatingPoint]:
    """Read `operating_points` by name. Raises ModelError where they are not that."""
    points = fields.inner("operating_points")
    return {name: _point(points.inner(name)) for name in points.form}


def parse_default(fields: Fields, points: Mapping[str, OperatingPoint]) -> str:
    """Read `default_operating_point`, one of `points`. Raises ModelError where it is none of them."""
    name = fields.text("default_operating_point")
    if name not in points:
        raise fields.wrong("default_operating_point", f"expected one of {', '.join(points) or 'operating_points'}")
    return name


def _point(point: Fields) -> OperatingPoint:
    return OperatingPoint(point.number("threshold", 0, LARGEST), point.text("aim"))
