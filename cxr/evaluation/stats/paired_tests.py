"""Two networks on the same images: exact McNemar, what gap it could see, and Holm's correction."""

from collections.abc import Sequence

from scipy.stats import binomtest

SIGNIFICANT = 0.05


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p that two networks are right equally often (McNemar 1947).

    Args:
        only_first: Images that only the first has right.
        only_second: Images that only the second has right.
    """
    discordant = only_first + only_second
    return float(binomtest(min(only_first, only_second), discordant).pvalue) if discordant else 1.0


def detectable_gap(discordant: int) -> int | None:
    """Return the smallest gap in images that is significant when `discordant` images are right for one only.

    None where no gap is: five discordant images never reach p below 0.05.
    """
    gaps = range(discordant % 2, discordant + 1, 2)
    return next((gap for gap in gaps if mcnemar_p(*_sides(discordant, gap)) < SIGNIFICANT), None)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return the p values adjusted for their number (Holm 1979), in the same order; None stays and does not count."""
    known = sorted((value, number) for number, value in enumerate(values) if value is not None)
    adjusted: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (value, number) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * value))
        adjusted[number] = largest
    return adjusted


def _sides(discordant: int, gap: int) -> tuple[int, int]:
    return (discordant + gap) // 2, (discordant - gap) // 2
