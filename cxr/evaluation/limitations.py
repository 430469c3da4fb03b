"""What the figures of a report cannot show; a sentence about the data follows from the data or from its sources."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from cxr.dataset.audits.sources import SourceCount
from cxr.evaluation.audits.age_blocks import is_paediatric
from cxr.evaluation.audits.shortcut_baseline import BaselineFigures
from cxr.evaluation.reporting.format import SHARE

ALWAYS = (
    "The test split is random over the same collections as the training split: it is internal testing. Other "
    "hospitals, detectors and years are not in it.",
    "Labels are those of the collections; how each was established (PCR, radiologist, text) is not known per image.",
    "Patients are known for some files only: images of one patient may stand in two splits where neither the release "
    "nor the pixels say so.",
    "Age, sex, view and severity are not recorded: subgroups by them cannot be measured.",
    "Classes are balanced by sampling; at the prevalence of a ward or of a screening programme predictive values are "
    "lower.",
    "Prediction sets and operating points hold for images like those of the validation split, and for no others.",
    "One split and one seed: the spread over seeds is not in the intervals.",
)
BANNER = (
    "These figures do not show that a network detects disease: it may recognise the collection of an image instead."
)

_Counts = Mapping[str, Mapping[str, int]]


def limitations(classes: Sequence[str], sources: Sequence[SourceCount]) -> tuple[str, ...]:
    """Return the sentences, those about this data first.

    Args:
        classes: In order.
        sources: Images by class and collection; what has no known collection is left out or has None.
    """
    counts = {name: {one.source: one.images for one in sources if one.label == name and one.source} for name in classes}
    return (*_ages(counts), *_collections(counts), *ALWAYS)


def banner(baselines: BaselineFigures) -> tuple[str, ...]:
    """Return the permanent sentences, with what the source and overall grey alone give on this data."""
    if baselines.source is None:
        return (BANNER,)
    return (
        BANNER,
        f"On this test split, knowing only the source collection gives {SHARE.number(baselines.source)} accuracy "
        f"without looking at the image, and 22 numbers of overall grey give {SHARE.number(baselines.appearance.value)} "
        "balanced accuracy.",
    )


def _ages(counts: _Counts) -> Iterator[str]:
    """Say of which classes all images are of children, by collections known for that, and others are not."""
    known = {name: [is_paediatric(source) for source in own] for name, own in counts.items() if own}
    young = [name for name, marks in known.items() if all(marks)]
    mixed = [name for name in known if name not in young]
    if young and mixed:
        yield (
            f"All images of {_listed(young)} are of children aged one to five (Kermany 2018), and those of "
            f"{_listed(mixed)} are not: a network may tell ages apart, not diseases."
        )


def _collections(counts: _Counts) -> Iterator[str]:
    known = {name: set(own) for name, own in counts.items() if own}
    apart = [f"{one} and {other}" for one, other in combinations(known, 2) if known[one].isdisjoint(known[other])]
    if apart:
        yield f"No collection has images of both {', nor of both '.join(apart)}: recognising the collection is enough."
    if unknown := [name for name in counts if name not in known]:
        yield (
            f"Where the images of {_listed(unknown)} come from is not known: whether a network recognises the "
            "collection cannot be measured there."
        )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
