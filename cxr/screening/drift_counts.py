"""What is counted over the rows of a table to compare it with a network's validation images."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cxr.files import JsonObject
from cxr.reference import Reference
from cxr.screening.drift import MIN_IMAGES, Comparison, Histogram, compare_mix, compare_values

# What may lie behind a figure that is far off.
MEANINGS = {
    "class_mix": "another share of disease, other patients, or pictures of another kind",
    "confidence": "the network is less or more sure than on pictures like those it was fitted with",
    "brightness": "other devices, exposure or processing, or low samples taken for bright ones",
    "side": "other devices, or pictures that were scaled or cropped",
}
NAMES = {"class_mix": "the mix of predictions", "confidence": "confidence", "brightness": "brightness", "side": "size"}


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
        return [mix, *(compare_values(name, values, self.reference.images) for name, values in self.values.items())]

    def facts(self) -> JsonObject:
        """Return what the manifest says; `figures` is empty where there are too few images."""
        return {
            "images": self.images,
            "validation_images": self.reference.images,
            "figures": [
                {
                    "figure": one.figure,
                    "far_off": one.far_off,
                    "effect": round(one.effect, 6),
                    "p": round(one.p, 6),
                    "here": _rounded(one.here),
                    "validation": _rounded(one.reference),
                }
                for one in self.comparisons
            ],
        }

    def sentences(self) -> list[str]:
        """Say, in plain words, how the batch compares."""
        if self.images < MIN_IMAGES:
            return [f"not compared with validation: {self.images} answered files, at least {MIN_IMAGES} are needed"]
        far = [one for one in self.comparisons if one.far_off]
        if not far:
            return [f"predictions, confidence, brightness and size are like validation's ({self.reference.images:,})"]
        return [
            *(f"{NAMES[one.figure]} is far from validation's: {_figures(one)}; {MEANINGS[one.figure]}" for one in far),
            "figures measured on validation, and so the decisions, may not hold for these files",
        ]


def _figures(one: Comparison) -> str:
    if isinstance(one.here, Mapping) and isinstance(one.reference, Mapping):
        there = one.reference
        return ", ".join(f"{name} {share:.0%} here and {there[name]:.0%} there" for name, share in one.here.items())
    digits = 0 if one.figure == "side" else 3
    unit = " pixels" if one.figure == "side" else ""
    return f"on average {one.here:.{digits}f}{unit} here and {one.reference:.{digits}f}{unit} there"


def _rounded(value: float | Mapping[str, float]) -> float | dict[str, float]:
    if isinstance(value, Mapping):
        return {name: round(share, 6) for name, share in value.items()}
    return round(value, 6)
