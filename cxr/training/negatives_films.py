"""Pictures made of radiographs that are no radiographs any more. Each draws uint8 (side, side)."""

import numpy as np
from PIL import Image

from cxr.planes import Plane
from cxr.training.negatives_patterns import Lots, finished


def shuffled(rng: Lots, side: int, planes: Plane) -> Plane:
    """Cut a radiograph into 4 to 36 squares and lay them in another order, some turned."""
    cells = int(rng.integers(2, 7))
    size = -(-side // cells)
    plane = _resized(_one(rng, planes), size * cells)
    squares = plane.reshape(cells, size, cells, size).swapaxes(1, 2).reshape(-1, size, size)
    order = rng.permutation(len(squares))
    while np.mean(order == np.arange(len(order))) > 0.3:
        order = rng.permutation(len(squares))
    turned = [np.rot90(squares[number], int(rng.choice([0, 0, 0, 0, 1, 2, 3]))) for number in order]
    return _resized(np.block([turned[row * cells : (row + 1) * cells] for row in range(cells)]), side)


def tiled(rng: Lots, side: int, planes: Plane) -> Plane:
    """Lay 2 to 16 radiographs beside each other, with or without gaps."""
    down, across = 1, 1
    while down * across < 2:
        down, across = (int(number) for number in rng.integers(1, 5, 2))
    gap, grey = int(rng.integers(0, 5)), int(rng.choice([0, 128, 255]))
    height, width = max(side // down, 8), max(side // across, 8)
    whole = np.full((down * height, across * width), grey, np.uint8)
    for row, column in np.ndindex(down, across):
        tile = Image.fromarray(_one(rng, planes)).resize((max(width - gap, 4), max(height - gap, 4)))
        top, left = row * height, column * width
        whole[top : top + tile.height, left : left + tile.width] = np.asarray(tile)
    return _resized(whole, side)


def scrambled(rng: Lots, side: int, planes: Plane) -> Plane:
    """Keep a radiograph's frequencies and draw their phases: its texture without its anatomy."""
    amplitude = np.abs(np.fft.rfft2(_one(rng, planes).astype(np.float64)))
    phase = np.angle(np.fft.rfft2(rng.normal(size=(side, side))))
    return finished(np.fft.irfft2(amplitude * np.exp(1j * phase), (side, side)), rng)


def _one(rng: Lots, planes: Plane) -> Plane:
    return np.asarray(planes[rng.integers(len(planes))])


def _resized(plane: Plane, side: int) -> Plane:
    return np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BILINEAR))
