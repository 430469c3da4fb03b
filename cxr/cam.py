"""Class activation maps: where in the picture the score of a class comes from.

In a network that ends in global average pooling and one linear layer Grad-CAM (Selvaraju 2017) is the rectified sum of
the feature maps weighted with the class's weights, which is CAM (Zhou 2016): no gradient is needed.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.head import Head
from cxr.network import Network
from cxr.planes import Plane

Maps = NDArray[np.float32]
Labels = NDArray[np.int64]

BLOCK = 64  # planes at a time: feature maps are large
# How a map is drawn over a film: from low to high blue, green, yellow, red; OPACITY is where it is highest.
RAMP = np.array([(40, 60, 160), (40, 150, 140), (240, 220, 70), (250, 90, 60)], np.float64)
OPACITY = 0.6


def class_maps(network: Network, head: Head, planes: Plane, classes: Labels) -> Maps:
    """Return the map of each plane for the class named beside it.

    Args:
        network: Gives the last feature map.
        head: Its last layer.
        planes: uint8 (n, side, side).
        classes: int64 (n,), class numbers.

    Returns:
        float32 (n, side, side), from 0 to 1 where a map is not blank: divided by its largest value, enlarged
        bilinearly from the feature map's size. Blank where nothing speaks for the class.
    """
    parts = []
    for start in range(0, len(planes), BLOCK):
        block, wanted = planes[start : start + BLOCK], classes[start : start + BLOCK]
        feature_map = network.predict(block).feature_map
        maps = weighted(feature_map, head.weights[:, wanted])
        parts.append(np.stack([enlarge(scaled(each), planes.shape[1]) for each in maps]))
    return np.concatenate(parts)


def weighted(feature_map: NDArray[np.float32], weights: NDArray[np.float32]) -> Maps:
    """Return the rectified weighted sum over d, float32 (n, h, w), of (n, h, w, d) and weights (d, n)."""
    return np.asarray(np.maximum(np.einsum("nhwd,dn->nhw", feature_map, weights), 0), np.float32)


def scaled(each: Maps) -> Maps:
    """Divide a map by its largest value; a blank one stays blank. Not finite values stay what they are."""
    largest = each.max()
    return np.asarray(each / largest) if largest > 0 else each


def enlarge(each: Maps, side: int) -> Maps:
    """Resize float32 (h, w) bilinearly to (side, side)."""
    return np.asarray(Image.fromarray(each).resize((side, side), Image.Resampling.BILINEAR))
