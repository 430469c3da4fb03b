"""Do class activation maps depend on what was learned, and do they lie in the lungs?"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cxr.core.files import scratch_folder
from cxr.core.image import Masks, Plane
from cxr.core.records import AuditRecord, Result
from cxr.evaluation.audits.subject import AuditData, NetworkAudit, Subject
from cxr.evaluation.stats.intervals import HUNDREDTHS, rounded
from cxr.inference.network import NETWORK_FILE, LinearHead, Maps, Network, class_maps, openvino_module, read_linear_head
from cxr.inference.outputs import SavedOutputs

MOST_IMAGES = 200
VOID_ABOVE = 0.5
LEAST_ENRICHMENT = 1.0
FOUND = {False: "lungs", True: "lungs that the segmenter finds"}


@dataclass(frozen=True, slots=True)
class Enrichment:
    """How much of a class's maps lies in the lungs.

    Attributes:
        label: The true class.
        n: Images that count: with a mask and a map that is not blank.
        enrichment_median: Median of (share of energy inside the lungs) / (share of area): 1 is no preference; None
            without images.
    """

    label: str = field(metadata={"key": "class"})
    n: int
    enrichment_median: float | None


@dataclass(frozen=True, slots=True)
class Attention:
    """What class activation maps are worth.

    Attributes:
        similarity_randomised: Mean structural similarity with the maps of random weights, -1 to 1; None where no map
            can be compared.
        void: Whether the maps hardly change when the weights do, so that they show the architecture and not what was
            learned; None as above.
        cells: Rows and columns of the feature map: two maps of 2 x 2 cells are similar whatever was learned.
        inside: By true class; None where there are no masks.
        predicted: Whether a segmenter made the masks.
    """

    similarity_randomised: float | None
    void: bool | None
    cells: tuple[int, ...]
    inside: tuple[Enrichment, ...] | None
    predicted: bool = False


def attention(
    xml: Path, network: Network, head: LinearHead, test: SavedOutputs, planes: Plane, masks: Masks | None, seed: int
) -> Attention:
    """Compare maps with those of a network of random weights, and their energy inside the lungs with the lungs' area.

    Maps are of the predicted class.

    Args:
        xml: The exported network.
        network: The same, compiled.
        head: Its last layer.
        test: Its outputs on the test split.
        planes: The test images, uint8 (n, side, side); at most 200, evenly taken, are compared.
        masks: Their lungs; None where there are no masks.
        seed: Of the random weights.
    """
    predicted = np.asarray(test.logits.argmax(axis=1), np.int64)
    some = np.unique(np.linspace(0, len(test) - 1, min(len(test), MOST_IMAGES)).round().astype(np.int64))
    trained = class_maps(network, head, planes[some], predicted[some])
    drawn = class_maps(randomised_network(xml, seed), head, planes[some], predicted[some])
    similar = mean_similarity(trained, drawn)
    inside = None
    if masks is not None and masks.any():
        inside = enrichment(test, class_maps(network, head, planes, predicted), masks)
    return Attention(
        similarity_randomised=rounded(similar),
        void=None if similar is None else similar > VOID_ABOVE,
        cells=network.predict(planes[:1]).feature_map.shape[1:3],
        inside=inside,
    )


def randomised_network(xml: Path, seed: int) -> Network:
    """Return the exported network with each float constant of two or more dimensions drawn anew.

    These are the kernels of convolutions (with what batch normalisation was folded into them) and the head. A constant
    is replaced by normal numbers of its own mean and standard deviation, so that a scalar stays what it is.

    Args:
        xml: An exported network.
        seed: Of the numbers.
    """
    openvino = openvino_module()
    generator = np.random.default_rng(seed)
    model = openvino.Core().read_model(str(xml))
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or not node.get_element_type().is_real() or len(node.shape) < 2:
            continue
        values = np.array(node.data, np.float32)
        drawn = generator.normal(values.mean(), values.std(), values.shape).astype(np.float32)
        node.output(0).replace(openvino.opset13.constant(drawn).output(0))
    with scratch_folder() as folder:
        path = folder / NETWORK_FILE
        openvino.save_model(model, str(path), compress_to_fp16=False)
        return Network(path)


WINDOW, TRUNCATE = 1.5, 3.5  # standard deviation in pixels; 11 x 11 pixels, as published
C1, C2 = 0.01**2, 0.03**2  # of a range of 1


def similarity(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the mean structural similarity of two maps with values from 0 to 1; 1 for equal maps.

    Args:
        first: (h, w).
        second: (h, w).
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    mean_a, mean_b = _blurred(a), _blurred(b)
    variance_a, variance_b = _blurred(a * a) - mean_a**2, _blurred(b * b) - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    structure = (2 * covariance + C2) / (variance_a + variance_b + C2)
    return float(np.mean(luminance * structure))


def _blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(gaussian_filter(values, WINDOW, truncate=TRUNCATE))


def mean_similarity(trained: Maps, drawn: Maps) -> float | None:
    """Return the mean structural similarity of (n, side, side) maps; blank and not finite ones do not count."""
    comparable = (trained.max(axis=(1, 2)) > 0) & np.isfinite(drawn).all(axis=(1, 2))
    values = [similarity(first, second) for first, second in zip(trained[comparable], drawn[comparable], strict=True)]
    return float(np.mean(values)) if values else None


def enrichment(test: SavedOutputs, maps: Maps, masks: Masks) -> tuple[Enrichment, ...]:
    """Return a row a true class, given maps and masks (n, side, side)."""
    energy, area = maps.sum(axis=(1, 2), dtype=np.float64), masks.mean(axis=(1, 2))
    counted = (energy > 0) & (area > 0)
    inside = (maps * masks).sum(axis=(1, 2), dtype=np.float64)
    ratio: NDArray[np.float64] = np.divide(inside, energy * area, out=np.zeros(len(maps)), where=counted)
    rows = []
    for number, name in enumerate(test.classes):
        values = ratio[counted & (test.truth == number)]
        median = float(np.median(values)) if len(values) else None
        rows.append(Enrichment(name, len(values), rounded(median)))
    return tuple(rows)


class _AttentionAudit(NetworkAudit[Attention]):
    """Do class activation maps depend on what was learned, and do they lie in the lungs?"""

    def measure(self, subject: Subject, data: AuditData) -> Attention:
        """Compare the maps of the predicted classes on the test images."""
        xml, test = subject.model.folder / NETWORK_FILE, subject.test
        head = read_linear_head(xml, test.features, test.logits)
        found = attention(xml, subject.model.network, head, test, *data.pictures(subject.model.plane_side), data.seed)
        return replace(found, predicted=data.predicted)

    def judge(self, figures: Attention, model: str | None) -> AuditRecord:
        """Warn of maps that are void, or that lie outside the lungs."""
        inside = figures.inside or ()
        outside = any(row.enrichment_median is not None and row.enrichment_median < LEAST_ENRICHMENT for row in inside)
        result = Result.WARN if figures.void or outside else Result.PASS
        found = (
            f"The maps of {model}, {' x '.join(map(str, figures.cells))} cells, and those of the same network with "
            f"random weights have a structural similarity of {figures.similarity_randomised or 0:.3f}"
        )
        if figures.void is None:
            result, found = Result.NOT_MEASURABLE, f"No map of {model} can be compared with one of random weights"
        elif figures.void:
            found += ": they are void, because they hardly depend on what was learned"
        medians = ", ".join(f"{HUNDREDTHS.number(row.enrichment_median)} for {row.label}" for row in inside)
        found += (
            f"; energy in the {FOUND[figures.predicted]} over their area, median: {medians}."
            if inside
            else "; there are no lung masks."
        )
        limit = (
            f"A warning if the similarity is above {VOID_ABOVE}, or, with lung masks, if a class's median of energy by "
            f"area is below {LEAST_ENRICHMENT}."
        )
        return self.record(result, found, limit, figures, model)


ATTENTION = _AttentionAudit("attention", "Class activation maps", fixable=False)
