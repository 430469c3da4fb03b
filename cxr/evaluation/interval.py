"""A figure with its interval."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval, six decimals; `cxr.evaluation.stats.intervals` makes them.

    Attributes:
        value: The figure; None where it is not defined.
        low: Lower bound; None where nothing shows the spread, then `high` is None as well.
        high: Upper bound.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


UNDEFINED = Interval(None)
