"""Every altered copy of the test pictures, made once and shown to all networks."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from cxr.evaluation.audits import perturbations, texture
from cxr.evaluation.audits.answers import ByVariant, Masks, Predict
from cxr.evaluation.audits.regions import border_only, find_regions
from cxr.evaluation.metrics import Labels
from cxr.planes import Plane

GRIDS = (2, 4, 8)
CUTS = (2, 4, 8, 16)  # cycles a side
FULL = "full"
NOT_BENIGN = ("inverted", "mirrored")  # another picture: low bones, a heart on the right

Change = Callable[[Plane], Plane]


def changes(seed: int) -> dict[str, tuple[str, Change]]:
    """Return what it is in words and the change itself, by name; `seed` is that of the noise."""
    return {
        "jpeg_75": ("JPEG quality 75", partial(perturbations.jpeg, quality=75)),
        "jpeg_50": ("JPEG quality 50", partial(perturbations.jpeg, quality=50)),
        "brighter_10": ("10 % brighter", partial(perturbations.brightness, factor=1.1)),
        "brighter_20": ("20 % brighter", partial(perturbations.brightness, factor=1.2)),
        "darker_10": ("10 % darker", partial(perturbations.brightness, factor=0.9)),
        "darker_20": ("20 % darker", partial(perturbations.brightness, factor=0.8)),
        "contrast_up_20": ("20 % more contrast", partial(perturbations.contrast, factor=1.2)),
        "contrast_down_20": ("20 % less contrast", partial(perturbations.contrast, factor=0.8)),
        "noise": ("Gaussian noise, 8 grey levels", partial(perturbations.noise, deviation=8, seed=seed)),
        "blur": ("Gaussian blur, 1 pixel", partial(perturbations.blur, deviation=1)),
        "turned_left_5": ("turned left by 5 degrees", partial(perturbations.turn, degrees=5)),
        "turned_right_5": ("turned right by 5 degrees", partial(perturbations.turn, degrees=-5)),
        "crop_5": ("5 % cut from every edge", partial(perturbations.crop, share=0.05)),
        "inverted": ("black and white swapped", perturbations.invert),
        "mirrored": ("left and right swapped", perturbations.mirror),
    }


def variants(planes: Plane, masks: Masks | None, seed: int) -> Iterator[tuple[str, Plane]]:
    """Give name and altered pictures one after another, so that only one copy is in memory.

    Args:
        planes: The test images, uint8 (n, side, side).
        masks: Their lungs, bool (n, side, side); None where the release has no masks.
        seed: Of noise and patch orders.
    """
    regions = find_regions(planes.shape[1], masks)
    yield "lungs_blacked", regions.lungs_blacked(planes)
    yield "border_only", border_only(planes)
    yield "lungs_only", regions.lungs_only(planes)
    for name, (_, change) in changes(seed).items():
        yield name, change(planes)
    for grid in GRIDS:
        yield f"shuffle_{grid}", texture.shuffle_patches(planes, grid, seed)
    for cut in CUTS:
        yield f"low_{cut}", texture.low_pass(planes, cut)
        yield f"high_{cut}", texture.high_pass(planes, cut)


def ask(
    networks: Mapping[str, Predict], full: Mapping[str, Labels], planes: Plane, masks: Masks | None, seed: int
) -> dict[str, ByVariant]:
    """Show every variant to every network.

    Args:
        networks: By name.
        full: What each answers to the unaltered pictures, class numbers int64 (n,), from its saved outputs.
        planes: The test images, uint8 (n, side, side).
        masks: Their lungs; None where the release has no masks.
        seed: Of noise and patch orders.

    Returns:
        By network, class numbers int64 (n,) by variant; the unaltered pictures are named `full`.
    """
    answers: dict[str, dict[str, Labels]] = {name: {FULL: full[name]} for name in networks}
    for variant, altered in variants(planes, masks, seed):
        for name, predict in networks.items():
            answers[name][variant] = np.asarray(predict(altered).argmax(axis=1), np.int64)
    return dict(answers)
