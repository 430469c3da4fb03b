"""The figures of train.py, each beside what it shall be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from timing import quartiles, ratios, table

AIMS = {"cnn1": 1.5, "vgg16": 5.0, "resnet50": 5.0}  # (b) / (a), seconds, at least
LETTERS = {"ours": "a", "plain": "b", "warm": "c"}


class Case(NamedTuple):
    """What is trained, and on how many images."""

    network: str
    images: int

    def __str__(self) -> str:
        return f"{self.network}, {self.images:,} images"


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        seconds: From TensorFlow's import to the trained weights.
        cpu: CPU seconds of that.
        whole: Seconds of the whole process.
        whole_cpu: CPU seconds of that.
        val_accuracy: Of the best epoch; shows that something was learned, and no more.
    """

    seconds: float
    cpu: float
    whole: float
    whole_cpu: float
    val_accuracy: float


Arms = Mapping[str, Sequence[Run]]
COLUMNS = ("seconds", "cpu", "whole", "whole_cpu", "val_accuracy")


def report(measured: Mapping[Case, Arms], epochs: int) -> str:
    """Return what was measured, and the ratios beside what they shall be."""
    count = len(next(iter(measured.values()))["ours"])
    head = ("arm", "seconds", "CPU seconds", "whole process, seconds", "whole process, CPU", "validation accuracy")
    absolute = [
        [f"({LETTERS[arm]}) {case}", *(quartiles([getattr(run, column) for run in runs]) for column in COLUMNS)]
        for case, arms in measured.items()
        for arm, runs in arms.items()
    ]
    figures = [row for case, arms in measured.items() for row in _ratios(case, arms)]
    return "\n".join(
        [
            f"{epochs} epochs, {count} rounds, medians [quartiles]",
            *("", table(head, absolute)),
            *("", table(("figure", "measured", "shall be", "is it"), figures)),
        ]
    )


def _ratios(case: Case, arms: Arms) -> list[list[object]]:
    def of(arm: str, column: str) -> list[float]:
        return [getattr(run, column) for run in arms[arm]]

    found = {column: ratios(of("plain", column), of("ours", column)) for column in COLUMNS[:4]}
    aim, gain = AIMS[case.network], found["seconds"]
    names = ("seconds", "CPU seconds", "whole process, seconds", "whole process, CPU")
    rows: list[list[object]] = [
        [f"(b) / (a), {case}, {name}", value, "", ""] for name, value in zip(names, found.values(), strict=True)
    ]
    rows[0][2:] = [f">= {aim}", "yes" if gain.median >= aim else "no"]
    if "warm" in arms:
        rows.append([f"(b) / (c), {case}, seconds", ratios(of("plain", "seconds"), of("warm", "seconds")), "", ""])
    return rows
