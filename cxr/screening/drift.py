"""Does a batch look like the validation images? Kolmogorov and Smirnov's statistic, and the mix of predictions."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cxr.inference.decisions import Reference

MIN_IMAGES = 30  # answered files; below, only a grotesque difference could be told from chance
MAX_P = 0.01
MIN_EFFECT = 0.1  # of 1; smaller differences are real in any large batch, and change no decision worth naming
_DRAWS = 9_999
_SEED = 1


@dataclass(slots=True)
class Histogram:
    """Values counted below, at and between the percentiles of a reference; memory does not grow with their number.

    Attributes:
        percentiles: Of the reference, 0th to last, ascending; equal ones are where the reference has many equal values.
        total: Sum of the values.
    """

    percentiles: Sequence[float]
    total: float = 0.0
    _points: list[float] = field(init=False)
    _counts: list[int] = field(init=False)  # below the first point, at it, between it and the second, ...

    def __post_init__(self) -> None:
        self._points = sorted(set(self.percentiles))
        self._counts = [0] * (2 * len(self._points) + 1)

    def add(self, value: float) -> None:
        """Count a value."""
        place = bisect_left(self._points, value)
        at = place < len(self._points) and self._points[place] == value
        self._counts[2 * place + at] += 1
        self.total += value

    @property
    def number(self) -> int:
        """How many values were counted."""
        return sum(self._counts)

    @property
    def mean(self) -> float:
        """Of the values counted, at least one."""
        return self.total / self.number

    @property
    def reference_mean(self) -> float:
        """Of the reference, by the trapezium rule over its percentiles."""
        values = np.asarray(self.percentiles)
        return float((values[1:] + values[:-1]).mean() / 2)

    def widest(self) -> "Split":
        """Return where the two distribution functions differ most, looked for at the percentiles only.

        Between two of 101 percentiles the reference rises by 0.01, so the largest difference anywhere is at most
        that much larger. Both sides of each point are compared, so that equal values count as equal.
        """
        last = len(self.percentiles) - 1
        counted = np.cumsum(self._counts) / self.number
        shares = [
            (counted[2 * place + included], (place_of(self.percentiles, point) - included) / last, point, included)
            for place, point in enumerate(self._points)
            for included, place_of in enumerate((bisect_left, bisect_right))
        ]
        here, reference, point, included = max(shares, key=lambda one: abs(one[0] - one[1]))
        if here >= reference:
            return Split(("below", "at most")[included], point, float(here), reference)
        return Split(("at least", "above")[included], point, float(1 - here), 1 - reference)


@dataclass(frozen=True, slots=True)
class Split:
    """A value that parts a batch and its reference most unequally.

    Attributes:
        side: `below`, `at most`, `at least` or `above` the value: where the larger share of the batch lies.
        value: The value.
        here: Share of the batch on that side, 0 to 1.
        reference: Of the reference.
    """

    side: str
    value: float
    here: float
    reference: float

    @property
    def distance(self) -> float:
        """Kolmogorov and Smirnov's statistic."""
        return self.here - self.reference


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of a batch beside that of validation.

    Attributes:
        figure: `class_mix`, `confidence`, `brightness` or `side`.
        effect: Largest difference of the distribution functions; for the class mix, total variation. 0 to 1.
        p: How often chance alone gives such an effect where nothing differs.
        here: The batch's: mean, or share by class.
        reference: Validation's, likewise.
        split: Where values differ most; None of the class mix.
    """

    figure: str
    effect: float
    p: float
    here: float | Mapping[str, float]
    reference: float | Mapping[str, float]
    split: Split | None = None

    @property
    def far_off(self) -> bool:
        """Whether the difference is neither chance nor tiny."""
        return self.p < MAX_P and self.effect >= MIN_EFFECT


@dataclass(frozen=True, slots=True)
class FigureRecord:
    """A `Comparison` as the manifest keeps it, rounded to six decimals."""

    figure: str
    far_off: bool
    effect: float
    p: float
    here: float | Mapping[str, float]
    validation: float | Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DriftRecord:
    """How the answers of a network compare with its validation images: numbers of both, and each figure."""

    images: int
    validation_images: int
    figures: tuple[FigureRecord, ...]


def compare_values(figure: str, values: Histogram, reference_images: int) -> Comparison:
    """Compare counted values, at least one, with the percentiles of `reference_images` values."""
    split = values.widest()
    p = kolmogorov_p(split.distance, values.number, reference_images)
    return Comparison(figure, split.distance, p, values.mean, values.reference_mean, split)


def compare_mix(here: Mapping[str, int], reference: Mapping[str, int]) -> Comparison:
    """Compare counts by class, of the same classes, neither all 0, by their total variation.

    Its distribution under chance is drawn: two multinomial samples of these sizes with the pooled shares.
    """
    one, other = (np.array([counts[name] for name in reference]) for counts in (here, reference))
    shares = (one + other) / (one.sum() + other.sum())
    random = np.random.default_rng(_SEED)
    drawn = [random.multinomial(counts.sum(), shares, _DRAWS) / counts.sum() for counts in (one, other)]
    effect = _variation(one / one.sum(), other / other.sum())
    as_large = (_variation(*drawn) >= effect - 1e-12).sum()
    here, there = (dict(zip(reference, (counts / counts.sum()).tolist(), strict=True)) for counts in (one, other))
    return Comparison("class_mix", float(effect), float((1 + as_large) / (1 + _DRAWS)), here, there)


def kolmogorov_p(distance: float, one: int, other: int) -> float:
    """Return the asymptotic p of the two-sample statistic, corrected as by Stephens (1970).

    Args:
        distance: 0 to 1.
        one: Number of values of one sample, at least 1.
        other: Of the other.
    """
    root = np.sqrt(one * other / (one + other))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:  # the series converges slowly there, and its sum is 1 to twelve digits
        return 1.0
    order = np.arange(1, 101)
    terms = np.where(order % 2, 2.0, -2.0) * np.exp(-2 * (order * scaled) ** 2)
    return float(np.clip(terms.sum(), 0, 1))


def _variation(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.abs(one - other).sum(axis=-1) / 2)


# What may lie behind a figure that is far off.
MEANINGS = {
    "class_mix": "perhaps another share of disease, other patients, or pictures of another kind",
    "confidence": "the network is more sure or less sure of these files than of the validation images",
    "brightness": "perhaps other devices, exposure or processing, or black and white swapped",
    "side": "perhaps other devices, or pictures that were scaled or cropped",
}
NAMES = {
    "class_mix": "the predictions",
    "confidence": "the confidence",
    "brightness": "the brightness",
    "side": "the longer side",
}


@dataclass(slots=True)
class DriftCounts:
    """Counts of one network's answers beside its reference."""

    reference: Reference
    predictions: dict[str, int] = field(init=False)
    values: dict[str, Histogram] = field(init=False)

    def __post_init__(self) -> None:
        reference = self.reference
        self.predictions = dict.fromkeys(reference.predictions, 0)
        self.values = {
            "confidence": Histogram(reference.confidence),
            "brightness": Histogram(reference.brightness),
            "side": Histogram(reference.side),
        }

    def count(self, prefix: str, row: Mapping[str, str]) -> None:
        """Count a row with an answer of the network whose columns begin with `prefix`."""
        self.predictions[row[f"{prefix}prediction"]] += 1
        self.values["confidence"].add(float(row[f"{prefix}confidence"]))
        self.values["brightness"].add(float(row["brightness"]))
        self.values["side"].add(float(max(int(row["width"]), int(row["height"]))))

    @property
    def images(self) -> int:
        """Answers counted."""
        return sum(self.predictions.values())

    @property
    def comparisons(self) -> list[Comparison]:
        """One for each figure; none with too few images."""
        if self.images < MIN_IMAGES:
            return []
        mix = compare_mix(self.predictions, self.reference.predictions)
        return [mix, *(compare_values(name, self.values[name], self.reference.images) for name in self._compared)]

    @property
    def _compared(self) -> list[str]:
        """The values that are compared: not the size where a release has scaled all of its films to one."""
        return [name for name in self.values if name != "side" or self.reference.side[0] < self.reference.side[-1]]

    @property
    def record(self) -> DriftRecord:
        """What the manifest keeps; `figures` is empty where there are too few images."""
        return DriftRecord(
            images=self.images,
            validation_images=self.reference.images,
            figures=tuple(
                FigureRecord(
                    figure=one.figure,
                    far_off=one.far_off,
                    effect=round(one.effect, 6),
                    p=round(one.p, 6),
                    here=_rounded(one.here),
                    validation=_rounded(one.reference),
                )
                for one in self.comparisons
            ),
        )

    def sentences(self) -> list[str]:
        """Say, in plain words, how the batch compares."""
        if self.images < MIN_IMAGES:
            files = "file" if self.images == 1 else "files"
            return [f"not compared with validation: {self.images} answered {files}, at least {MIN_IMAGES} are needed"]
        far = [one for one in self.comparisons if one.far_off]
        if not far:
            names = ["predictions", *(NAMES[name].removeprefix("the ") for name in self._compared)]
            return [f"{', '.join(names[:-1])} and {names[-1]} are like validation's ({self.reference.images:,})"]
        return [
            *(f"unlike validation in {NAMES[one.figure]}: {_figures(one)}; {MEANINGS[one.figure]}" for one in far),
            "so the figures of the model card, and the decisions, may not hold for these files",
        ]


def _figures(one: Comparison) -> str:
    if one.split:
        # As in the table: a rounded limit would have another share of its rows.
        form = "{:.6g} pixels" if one.figure == "side" else "{:.6f}"
        where = f"{one.split.side} {form.format(one.split.value)}"
        return f"{one.split.here:.0%} of the files here and {one.split.reference:.0%} there are {where}"
    assert isinstance(one.here, Mapping)
    assert isinstance(one.reference, Mapping)
    there = one.reference
    return ", ".join(f"{name} {share:.0%} here and {there[name]:.0%} there" for name, share in one.here.items())


def _rounded(value: float | Mapping[str, float]) -> float | dict[str, float]:
    if isinstance(value, Mapping):
        return {name: round(share, 6) for name, share in value.items()}
    return round(value, 6)
