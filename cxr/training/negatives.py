"""Pictures that are no chest radiographs, drawn: what the gate learns to reject. Each kind is drawn by one function."""

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from cxr.planes import Plane
from cxr.training import negatives_bodies as bodies
from cxr.training import negatives_films as films
from cxr.training import negatives_patterns as patterns
from cxr.training import negatives_scenes as scenes
from cxr.training import negatives_writing as writing

Lots = np.random.Generator

# From lots and the side in pixels to uint8 (side, side).
DRAWN: Mapping[str, Callable[[Lots, int], Plane]] = {
    "noise": patterns.noise,
    "gradient": patterns.gradient,
    "stripes": patterns.stripes,
    "checker": patterns.checker,
    "blobs": patterns.blobs,
    "field": scenes.field,
    "shapes": scenes.shapes,
    "leaves": scenes.leaves,
    "landscape": scenes.landscape,
    "figure": scenes.figure,
    "ellipses": bodies.ellipses,
    "bones": bodies.bones,
    "text": writing.text,
}
# The same, from some radiographs besides, uint8 (n, side, side).
MADE_OF_FILMS: Mapping[str, Callable[[Lots, int, Plane], Plane]] = {
    "screenshot": writing.screenshot,
    "shuffled": films.shuffled,
    "tiled": films.tiled,
    "scrambled": films.scrambled,
}
ENLARGED = "enlarged"  # any of DRAWN out of few pixels
KINDS = (*DRAWN, *MADE_OF_FILMS, ENLARGED)
FEWEST, MOST = 6, 32  # pixels of a side


def draw_negatives(count: int, planes: Plane, seed: int) -> tuple[Plane, list[str]]:
    """Draw `count` pictures, the kinds in turn; equal for equal arguments.

    Args:
        count: Of pictures.
        planes: uint8 (n, side, side), upright radiographs that some kinds are made of.
        seed: Of all lots.

    Returns:
        uint8 (count, side, side), and the kind of each.
    """
    kinds = [KINDS[number % len(KINDS)] for number in range(count)]
    return np.stack([_draw(kind, np.random.default_rng([seed, n]), planes) for n, kind in enumerate(kinds)]), kinds


def _draw(kind: str, rng: Lots, planes: Plane) -> Plane:
    side = planes.shape[1]
    if kind == ENLARGED:
        return _enlarged(rng, DRAWN[rng.choice(list(DRAWN))](rng, side))
    return DRAWN[kind](rng, side) if kind in DRAWN else MADE_OF_FILMS[kind](rng, side, planes)


def _enlarged(rng: Lots, picture: Plane) -> Plane:
    few = int(rng.integers(FEWEST, MOST))
    small = Image.fromarray(picture).resize((few, few), Image.Resampling.BOX)
    smooth = (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)[rng.integers(3)]
    return np.asarray(small.resize(picture.shape[::-1], smooth))
