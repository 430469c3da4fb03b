"""Altered pictures: perturbed, masked, shuffled and filtered; what networks answer to them, and what that means."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, rotate

from cxr.core.image import Masks, Plane, to_plane
from cxr.core.records import AuditRecord, Result
from cxr.dataset.appearance import centre_mask
from cxr.evaluation.audits.subject import FULL, AuditData, ByVariant, NetworkAudit, Subject
from cxr.evaluation.stats.intervals import DIGITS, POINTS, SHARE, Interval, Labels, balanced_accuracy, rounded, score

WHITE = 255


def jpeg(planes: Plane, quality: int) -> Plane:
    """Compress and decompress each plane as greyscale JPEG."""
    return _each(planes, lambda plane: _through_jpeg(plane, quality))


def brightness(planes: Plane, factor: float) -> Plane:
    """Multiply grey levels by `factor`, clipped at white."""
    return _each(planes, lambda plane: to_bytes(plane * np.float32(factor)))


def contrast(planes: Plane, factor: float) -> Plane:
    """Multiply each plane's distance from its own mean grey by `factor`, clipped at black and white."""
    return _each(planes, lambda plane: to_bytes(plane.mean() + factor * (plane - plane.mean())))


def noise(planes: Plane, deviation: float, seed: int) -> Plane:
    """Add Gaussian noise of this standard deviation in grey levels; a plane's noise follows from seed and position."""
    return np.stack(
        [
            to_bytes(plane + np.random.default_rng((seed, number)).normal(0, deviation, plane.shape))
            for number, plane in enumerate(planes)
        ]
    )


def blur(planes: Plane, deviation: float) -> Plane:
    """Convolve each plane with a Gaussian of this standard deviation in pixels."""
    return _each(planes, lambda plane: to_bytes(gaussian_filter(plane.astype(np.float32), deviation, mode="nearest")))


def turn(planes: Plane, degrees: float) -> Plane:
    """Rotate about the centre, counter-clockwise, bilinear; what comes in from outside repeats the edge."""
    return _each(
        planes,
        # A black corner would be a mark of its own.
        lambda plane: to_bytes(rotate(plane.astype(np.float32), degrees, reshape=False, order=1, mode="nearest")),
    )


def crop(planes: Plane, share: float) -> Plane:
    """Cut this share of the side from every edge and bring the rest back to the old side."""
    side = planes.shape[1]
    edge = round(share * side)
    return _each(
        planes, lambda plane: to_plane(np.ascontiguousarray(plane[edge : side - edge, edge : side - edge]), side)
    )


def invert(planes: Plane) -> Plane:
    """Make black white and white black."""
    return np.asarray(WHITE - planes, np.uint8)


def mirror(planes: Plane) -> Plane:
    """Swap left and right."""
    return np.ascontiguousarray(planes[:, :, ::-1])


def to_bytes(grey: NDArray[np.floating]) -> Plane:
    """Round to whole grey levels, clipped to 0..255."""
    return np.asarray(np.clip(np.rint(grey), 0, WHITE), np.uint8)


def _each(planes: Plane, change: Callable[[Plane], Plane]) -> Plane:
    return np.stack([change(plane) for plane in planes])


def _through_jpeg(plane: Plane, quality: int) -> Plane:
    buffer = BytesIO()
    Image.fromarray(plane).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


MIDDLE = 128  # grey that stands for no deviation


def shuffle_patches(planes: Plane, grid: int, seed: int) -> Plane:
    """Cut each plane into grid x grid patches and put them in another order.

    Texture stays, layout goes (Geirhos 2019). A plane's order follows from seed and position. Where the side is no
    multiple of `grid`, the rest at the right and lower edge stays in its place.

    Args:
        planes: uint8 (n, side, side).
        grid: Patches along a side, at most side.
        seed: Of the orders.
    """
    size = planes.shape[1] // grid
    shuffled = planes.copy()
    for number, plane in enumerate(planes):
        order = np.random.default_rng((seed, grid, number)).permutation(grid * grid)
        square = plane[: grid * size, : grid * size].reshape(grid, size, grid, size)
        patches = square.swapaxes(1, 2).reshape(grid * grid, size, size)[order]
        square = patches.reshape(grid, grid, size, size).swapaxes(1, 2)
        shuffled[number, : grid * size, : grid * size] = square.reshape(grid * size, grid * size)
    return shuffled


def low_pass(planes: Plane, cut: float) -> Plane:
    """Keep what varies slowly: a Gaussian whose gain is exp(-1/2) = 0.61 at `cut` cycles a side."""
    return np.stack([to_bytes(_smooth(plane, cut)) for plane in planes])


def high_pass(planes: Plane, cut: float) -> Plane:
    """Keep what `low_pass` takes away, around middle grey."""
    return np.stack([to_bytes(plane - _smooth(plane, cut) + MIDDLE) for plane in planes])


def _smooth(plane: Plane, cut: float) -> NDArray[np.float32]:
    deviation = plane.shape[0] / (2 * np.pi * cut)
    return np.asarray(gaussian_filter(plane.astype(np.float32), deviation, mode="nearest"))


# Rows and columns as shares of the side: a box around the lungs of a frontal film that fills the picture. It is no
# segmentation: it holds heart and spine as well, and cuts a lung that lies elsewhere.
BOX_ROWS, BOX_COLUMNS = (0.15, 0.80), (0.12, 0.88)


MASKS, PREDICTED, BOX = "masks", "predicted", "box"  # how lungs were found: the release's masks, a segmenter's, or none


@dataclass(frozen=True, slots=True)
class Regions:
    """The box of the lungs in each of n images.

    Attributes:
        how: MASKS, PREDICTED or BOX.
        inside: bool (n, side, side), or (1, side, side) for one box.
    """

    how: str
    inside: NDArray[np.bool_]

    def lungs_blacked(self, planes: Plane) -> Plane:
        """Black out the box."""
        return np.where(self.inside, np.uint8(0), planes)

    def lungs_only(self, planes: Plane) -> Plane:
        """Black out all but the box."""
        return np.where(self.inside, planes, np.uint8(0))


def find_regions(side: int, masks: Masks | None, *, predicted: bool = False) -> Regions:
    """Return the boxes of the masks; the fixed box for an image without one, and for all where `masks` is None.

    Args:
        side: Of the planes, in pixels.
        masks: bool (n, side, side).
        predicted: Whether a segmenter made them.
    """
    fixed = _box(side, BOX_ROWS, BOX_COLUMNS)
    if masks is None or not masks.any():
        return Regions(BOX, fixed[None])
    return Regions(
        PREDICTED if predicted else MASKS, np.stack([_around(mask) if mask.any() else fixed for mask in masks])
    )


def border_only(planes: Plane) -> Plane:
    """Black out all but the frame of a tenth of the side, where hardly any lung is."""
    return np.where(centre_mask(planes.shape[1]), np.uint8(0), planes)


def _box(side: int, rows: tuple[float, float], columns: tuple[float, float]) -> NDArray[np.bool_]:
    inside = np.zeros((side, side), np.bool_)
    (top, bottom), (left, right) = ([round(end * side) for end in ends] for ends in (rows, columns))
    inside[top:bottom, left:right] = True
    return inside


def _around(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    inside = np.zeros_like(mask)
    inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return inside


Predict = Callable[[Plane], NDArray[np.float32]]  # uint8 (n, side, side) to logits float32 (n, classes)

GRIDS = (2, 4, 8)
CUTS = (2, 4, 8, 16)  # cycles a side

Change = Callable[[Plane], Plane]


def changes(seed: int) -> dict[str, tuple[str, Change]]:
    """Return what it is in words and the change itself, by name; `seed` is that of the noise."""
    return {
        "jpeg_75": ("JPEG quality 75", partial(jpeg, quality=75)),
        "jpeg_50": ("JPEG quality 50", partial(jpeg, quality=50)),
        "brighter_10": ("10 % brighter", partial(brightness, factor=1.1)),
        "brighter_20": ("20 % brighter", partial(brightness, factor=1.2)),
        "darker_10": ("10 % darker", partial(brightness, factor=0.9)),
        "darker_20": ("20 % darker", partial(brightness, factor=0.8)),
        "contrast_up_20": ("20 % more contrast", partial(contrast, factor=1.2)),
        "contrast_down_20": ("20 % less contrast", partial(contrast, factor=0.8)),
        "noise": ("Gaussian noise, 8 grey levels", partial(noise, deviation=8, seed=seed)),
        "blur": ("Gaussian blur, 1 pixel", partial(blur, deviation=1)),
        "turned_left_5": ("turned left by 5 degrees", partial(turn, degrees=5)),
        "turned_right_5": ("turned right by 5 degrees", partial(turn, degrees=-5)),
        "crop_5": ("5 % cut from every edge", partial(crop, share=0.05)),
        "inverted": ("black and white swapped", invert),
        "mirrored": ("left and right swapped", mirror),
    }


def variants(planes: Plane, masks: Masks | None, seed: int) -> Iterator[tuple[str, Plane]]:
    """Give name and altered pictures one after another, so that only one copy is in memory.

    Args:
        planes: The test images, uint8 (n, side, side).
        masks: Their lungs, bool (n, side, side); None where there are no masks.
        seed: Of noise and patch orders.
    """
    regions = find_regions(planes.shape[1], masks)
    yield "lungs_blacked", regions.lungs_blacked(planes)
    yield "border_only", border_only(planes)
    yield "lungs_only", regions.lungs_only(planes)
    for name, (_, change) in changes(seed).items():
        yield name, change(planes)
    for grid in GRIDS:
        yield f"shuffle_{grid}", shuffle_patches(planes, grid, seed)
    for cut in CUTS:
        yield f"low_{cut}", low_pass(planes, cut)
        yield f"high_{cut}", high_pass(planes, cut)


def predict_variants(
    networks: Mapping[str, Predict], full: Mapping[str, Labels], planes: Plane, masks: Masks | None, seed: int
) -> dict[str, ByVariant]:
    """Show every variant to every network.

    Args:
        networks: By name.
        full: What each answers to the unaltered pictures, class numbers int64 (n,), from its saved outputs.
        planes: The test images, uint8 (n, side, side).
        masks: Their lungs; None where there are no masks.
        seed: Of noise and patch orders.

    Returns:
        By network, class numbers int64 (n,) by variant; the unaltered pictures are named `full`.
    """
    answers: dict[str, dict[str, Labels]] = {name: {FULL: full[name]} for name in networks}
    for variant, altered in variants(planes, masks, seed):
        for name, predict in networks.items():
            answers[name][variant] = np.asarray(predict(altered).argmax(axis=1), np.int64)
    return dict(answers)


LARGEST_FALL = 0.05
NOT_BENIGN = ("inverted", "mirrored")  # another picture: low bones, a heart on the right


@dataclass(frozen=True, slots=True)
class Perturbed:
    """What a change to the pictures does.

    Attributes:
        perturbation: Name of the change.
        text: What it is, in words.
        balanced_accuracy: On the changed pictures, 0 to 1.
        change: That less the balanced accuracy on the unaltered ones.
        flips: Share of answers that change.
    """

    perturbation: str
    text: str
    balanced_accuracy: float
    change: float
    flips: float


def measure_robustness(truth: Labels, answers: ByVariant) -> tuple[Perturbed, ...]:
    """Return a row a change, given the true classes int64 (n,) and the answers."""
    full = balanced_accuracy(truth, answers[FULL])
    rows = []
    for name, (text, _) in changes(0).items():
        value = balanced_accuracy(truth, answers[name])
        change = round(value - full, DIGITS) + 0.0  # never -0.0
        flips = round(float(np.mean(answers[name] != answers[FULL])), DIGITS)
        rows.append(Perturbed(name, text, round(value, DIGITS), change, flips))
    return tuple(rows)


class _RobustnessAudit(NetworkAudit[tuple[Perturbed, ...]]):
    """Do answers survive changes that a radiologist would not mind?"""

    def measure(self, subject: Subject, _data: AuditData) -> tuple[Perturbed, ...]:
        """Return a row a change."""
        return measure_robustness(subject.test.truth, subject.answers)

    def judge(self, figures: tuple[Perturbed, ...], model: str | None) -> AuditRecord:
        """Warn where a benign change costs too much."""
        benign = [row for row in figures if row.perturbation not in NOT_BENIGN]
        worst, restless = min(benign, key=lambda row: row.change), max(benign, key=lambda row: row.flips)
        return self.record(
            Result.WARN if worst.change < -LARGEST_FALL else Result.PASS,
            f"The worst of {len(benign)} benign changes for {model} is: {worst.text}; balanced accuracy "
            f"{'falls' if worst.change < 0 else 'rises'} by {POINTS.number(abs(worst.change))}. Most answers change, "
            f"{SHARE.number(restless.flips)}, with: {restless.text}.",
            f"A warning if balanced accuracy falls by more than {100 * LARGEST_FALL:.0f} points; inversion and "
            "mirroring are shown and not judged.",
            {row.perturbation: {"change": row.change, "flips": row.flips} for row in figures},
            model,
        )


ROBUSTNESS = _RobustnessAudit("robustness", "Robustness to benign changes", fixable=False)


LEAST_DEPENDENCE = 0.5
REGIONS = (FULL, "lungs_blacked", "border_only", "lungs_only")
BLACKED = {
    MASKS: "boxes around the lung masks are",
    PREDICTED: "boxes around the lungs that the segmenter finds are",
    BOX: "a fixed box around the lungs is",
}


@dataclass(frozen=True, slots=True)
class LungDependence:
    """Balanced accuracies, 0 to 1, with parts of the picture blacked out.

    No training picture had a black box, so a low dependence says more than a high one: a network may fail on the box,
    and not for want of lungs.

    Attributes:
        regions: How the lungs were found, see `Regions`.
        full: On the whole pictures.
        lungs_blacked: Without the lungs.
        border_only: From the border alone.
        lungs_only: From the lungs alone.
        lung_dependence: (full - lungs_blacked) / (full - chance): 1 where nothing is left without the lungs, 0 where
            they do not matter; None for a network that is not clearly better than chance, whose interval reaches it.
    """

    regions: str
    full: Interval
    lungs_blacked: Interval
    border_only: Interval
    lungs_only: Interval
    lung_dependence: float | None


def dependence(truth: Labels, answers: ByVariant, how: str, weights: NDArray[np.float64]) -> LungDependence:
    """Return balanced accuracies with parts of the picture blacked out.

    Args:
        truth: int64 (n,), class numbers.
        answers: Of the network, by variant.
        how: How the lungs were found, see `Regions`.
        weights: Of the bootstrap, float64 (draws, n).
    """
    scores = {name: score(truth, answers[name], weights) for name in REGIONS}
    chance = 1 / len(np.unique(truth))
    full = scores[FULL].interval
    better = (scores[FULL].value if full.low is None else full.low) > chance
    lost = scores[FULL].value - scores["lungs_blacked"].value
    return LungDependence(
        regions=how,
        lung_dependence=rounded(lost / (scores[FULL].value - chance)) if better else None,
        **{name: each.interval for name, each in scores.items()},
    )


class _LungDependenceAudit(NetworkAudit[LungDependence]):
    """What is left of a network's accuracy without the lungs?"""

    def measure(self, subject: Subject, data: AuditData) -> LungDependence:
        """Return the dependence on the test split."""
        how = find_regions(subject.model.plane_side, data.masks, predicted=data.predicted).how
        return dependence(subject.test.truth, subject.answers, how, data.weights)

    def judge(self, figures: LungDependence, model: str | None) -> AuditRecord:
        """Warn where the network hardly needs the lungs."""
        share = figures.lung_dependence
        where = BLACKED[figures.regions]
        if share is None:
            result, found = Result.NOT_MEASURABLE, f"{model} is not clearly better than chance on the whole pictures."
        else:
            result = Result.WARN if share < LEAST_DEPENDENCE else Result.PASS
            found = (
                f"{model} loses {SHARE.number(share)} of what it is above chance when {where} blacked out: balanced "
                f"accuracy {SHARE.interval(figures.full)} whole, {SHARE.interval(figures.lungs_blacked)} without, "
                f"{SHARE.interval(figures.border_only)} from the border, {SHARE.interval(figures.lungs_only)} "
                f"from the lungs alone."
            )
        limit = (
            f"A warning below {SHARE.number(LEAST_DEPENDENCE)}; a high value proves little, because no training "
            "image had a black box."
        )
        return self.record(result, found, limit, figures, model)


LUNG_DEPENDENCE = _LungDependenceAudit("lung_dependence", "Dependence on the lungs", fixable=False)


ABOVE_CHANCE = 0.15


@dataclass(frozen=True, slots=True)
class Shuffled:
    """Pictures cut into grid x grid patches in another order.

    Attributes:
        grid: Patches along a side.
        balanced_accuracy: On them, 0 to 1.
    """

    grid: int
    balanced_accuracy: float | None


@dataclass(frozen=True, slots=True)
class Filtered:
    """Low-pass or high-pass pictures.

    Attributes:
        kind: low or high.
        cut: Of the filter, cycles a side.
        balanced_accuracy: On them, 0 to 1.
    """

    kind: str
    cut: float
    balanced_accuracy: float | None


@dataclass(frozen=True, slots=True)
class Texture:
    """What is left when layout is gone.

    Attributes:
        shuffled: A row a grid.
        chance: Balanced accuracy of guessing, not rounded.
    """

    shuffled: tuple[Shuffled, ...]
    chance: float


def frequencies(truth: Labels, answers: ByVariant) -> tuple[Filtered, ...]:
    """Return the balanced accuracies on low-pass and high-pass pictures, given the true classes int64 (n,)."""
    return tuple(
        Filtered(kind, cut, rounded(balanced_accuracy(truth, answers[f"{kind}_{cut}"])))
        for kind in ("low", "high")
        for cut in CUTS
    )


class _TextureAudit(NetworkAudit[Texture]):
    """Is texture enough for a network, without anatomy?"""

    def measure(self, subject: Subject, data: AuditData) -> Texture:
        """Return the accuracies on shuffled pictures."""
        truth, answers = subject.test.truth, subject.answers
        rows = (Shuffled(grid, rounded(balanced_accuracy(truth, answers[f"shuffle_{grid}"]))) for grid in GRIDS)
        return Texture(tuple(rows), data.baseline.chance)

    def judge(self, figures: Texture, model: str | None) -> AuditRecord:
        """Warn where the finest patches are enough."""
        finest = max(figures.shuffled, key=lambda row: row.grid)
        grid, reached, limit = finest.grid, finest.balanced_accuracy or 0.0, figures.chance + ABOVE_CHANCE
        return self.record(
            Result.WARN if reached > limit else Result.PASS,
            f"On pictures cut into {grid} x {grid} patches and shuffled, {model} reaches {SHARE.number(reached)} "
            f"balanced accuracy; chance is {SHARE.number(figures.chance)}.",
            f"A warning above {SHARE.number(limit)}: then texture is enough, and anatomy is not needed.",
            {f"grid_{row.grid}": row.balanced_accuracy for row in figures.shuffled},
            model,
        )


TEXTURE = _TextureAudit("texture", "Patch shuffling", fixable=False)
