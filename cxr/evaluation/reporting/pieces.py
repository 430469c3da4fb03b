"""What a line consists of: words, and figures that know which number they were rounded from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Printed:
    """A figure of the report: the number as it stands in the JSON, and as it is printed."""

    value: int | float
    text: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """Words of the page that hold digits and are no figure of the report, such as the level of an interval."""

    text: str


Piece = str | Printed | Fixed
