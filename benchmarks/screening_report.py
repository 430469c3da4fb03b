"""The figures of screening.py, each beside what it shall be."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from timing import Quartiles, quartiles, ratios, table

# What each figure shall be: at least.
TIMES_SMALL, TIMES_BIG, TIMES_FIRST, TIMES_MEMORY = 10, 4, 6, 3
SHARE_OF_DECODING, SHARE_OF_LIMIT = 0.7, 0.85
GROWTH = 0.1  # either way, at most

Rows = list[list[object]]


@dataclass(frozen=True)
class Measured:
    """What the rounds gave.

    Attributes:
        arms: Of `tool` and `script` with `small`, `big` or `huge` a Timed a round; of `loops` the rates a round.
        files: How many files are in each of the sizes.
    """

    arms: Mapping[str, list[Any]]
    files: Mapping[str, int]

    def seconds(self, arm: str) -> list[float]:
        return [run.seconds for run in self.arms[arm]]

    def first(self, arm: str) -> list[float]:
        return [run.first for run in self.arms[arm]]

    def after_start(self, less: str, more: str) -> list[float]:
        """Return images a second of (a) once it runs: of what `more` has beyond `less`."""
        extra = self.files[more] - self.files[less]
        pairs = zip(self.seconds(f"tool {more}"), self.seconds(f"tool {less}"), strict=True)
        return [extra / (long - short) for long, short in pairs]

    def decoders(self) -> list[str]:
        return [name for name in self.arms["loops"][0] if name != "forward"]

    def decoding(self) -> list[float]:
        """Return images a second of (c): the fastest loop of each round."""
        return [max(rates[name] for name in self.decoders()) for rates in self.arms["loops"]]

    def limit(self) -> list[float]:
        """Return images a second of decoding and forward pass one after the other, on the same cores."""
        pairs = zip(self.decoding(), self.arms["loops"], strict=True)
        return [1 / (1 / decode + 1 / rates["forward"]) for decode, rates in pairs]


def report(measured: Measured) -> str:
    """Return what was measured, and the ratios beside what they shall be."""
    count = len(measured.arms["loops"])
    lines = [f"{count} rounds, medians [quartiles]", "", _absolute(measured), "", _ratios(measured)]
    return "\n".join(lines)


def memory_lines(tool: Mapping[str, float], script: Mapping[str, float]) -> str:
    """Return the peaks, in megabytes by size, beside what they shall be."""
    peaks: Rows = [
        [f"({letter}) {size}", f"{megabytes:.0f} MB"]
        for letter, arm in (("a", tool), ("b", script))
        for size, megabytes in arm.items()
    ]
    rows: Rows = []
    for size in script:
        gain = script[size] / tool[size]
        rows.append([f"(b) / (a), {size}", f"{gain:.2f}", f">= {TIMES_MEMORY}", _verdict(gain >= TIMES_MEMORY)])
    if "huge" in tool:
        growth = tool["huge"] / tool["big"] - 1
        rows.append(["(a), huge beyond big", f"{growth:+.1%}", f"within {GROWTH:.0%}", _verdict(abs(growth) <= GROWTH)])
    head = ("peak of the memory of all processes together (PSS)", "measured")
    return f"\n{table(head, peaks)}\n\n{_figures(rows)}\nEach in a run of its own, which was not timed."


def _absolute(measured: Measured) -> str:
    files, rows = measured.files, []
    for size in files:
        for letter, arm in (("a", f"tool {size}"), ("b", f"script {size}")):
            if arm in measured.arms:
                first, seconds = (quartiles(of(arm)) for of in (measured.first, measured.seconds))
                rows.append([f"({letter}) {files[size]:,} files", f"{seconds} s, first answer {first} s"])
    for less, more in _steps(measured):
        rate = quartiles(measured.after_start(less, more))
        rows.append([f"(a) after start-up, {files[less]:,} to {files[more]:,}", f"{rate} images/s"])
    for name in (*measured.decoders(), "forward"):
        letter = "" if name == "forward" else "(c) "
        rows.append([letter + name, f"{quartiles([rates[name] for rates in measured.arms['loops']])} images/s"])
    return table(("what", "measured"), rows)


def _ratios(measured: Measured) -> str:
    wanted: list[tuple[str, Quartiles, float]] = []
    for size, least in (("small", TIMES_SMALL), ("big", TIMES_BIG)):
        gain = ratios(measured.seconds(f"script {size}"), measured.seconds(f"tool {size}"))
        wanted.append((f"(b) / (a), whole process, {measured.files[size]:,} files", gain, least))
    for size in ("small", "big"):
        gain = ratios(measured.first(f"script {size}"), measured.first(f"tool {size}"))
        wanted.append((f"(b) / (a), first answer, {measured.files[size]:,} files", gain, TIMES_FIRST))
    for less, more in _steps(measured):
        rate, step = measured.after_start(less, more), f"{measured.files[less]:,} to {measured.files[more]:,}"
        wanted.append((f"(a) after start-up / (c), {step}", ratios(rate, measured.decoding()), SHARE_OF_DECODING))
        wanted.append((f"(a) after start-up / limit, {step}", ratios(rate, measured.limit()), SHARE_OF_LIMIT))
    rows: Rows = [[name, value, f">= {least}", _verdict(value.median >= least)] for name, value, least in wanted]
    return _figures(rows) + "\nlimit: 1 / (1 / (c) + 1 / forward). One of (c) and limit is enough."


def _steps(measured: Measured) -> list[tuple[str, str]]:
    sizes = list(measured.files)
    return list(pairwise(sizes))


def _figures(rows: Rows) -> str:
    return table(("figure", "measured", "shall be", "is it"), rows)


def _verdict(holds: bool) -> str:
    return "yes" if holds else "no"
