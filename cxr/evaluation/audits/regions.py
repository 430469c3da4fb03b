"""Where the lungs are: the bounding box of an image's lung mask, or one box for all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.dataset.appearance import centre_mask
from cxr.evaluation.audits.answers import Masks
from cxr.planes import Plane

# Rows and columns as shares of the side: a box around the lungs of a frontal film that fills the picture. It is no
# segmentation: it holds heart and spine as well, and cuts a lung that lies elsewhere.
BOX_ROWS, BOX_COLUMNS = (0.15, 0.80), (0.12, 0.88)


@dataclass(frozen=True, slots=True)
class Regions:
    """The box of the lungs in each of n images.

    Attributes:
        how: masks or box.
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


def find_regions(side: int, masks: Masks | None) -> Regions:
    """Return the boxes of the masks; the fixed box for an image without one, and for all where `masks` is None."""
    fixed = _box(side, BOX_ROWS, BOX_COLUMNS)
    if masks is None or not masks.any():
        return Regions("box", fixed[None])
    return Regions("masks", np.stack([_around(mask) if mask.any() else fixed for mask in masks]))


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
