"""Pictures for people: a film under its map in colour, and how pictures become bytes."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# From low to high blue, green, yellow, red; OPACITY is where the map is highest.
RAMP = np.array([(40, 60, 160), (40, 150, 140), (240, 220, 70), (250, 90, 60)], np.float64)
OPACITY = 0.6


def heat_over_film(film: NDArray[Any], heat: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a film with a map in colour over it, uint8 (..., 3); where the map is 0 the film is untouched.

    Args:
        film: (...), grey from 0 to 255.
        heat: From 0 to 1, of a shape that broadcasts with `film`.
    """
    places = np.linspace(0, 1, len(RAMP))
    colours = np.stack([np.interp(heat, places, channel) for channel in RAMP.T], axis=-1)
    weight = OPACITY * heat[..., None]
    return np.asarray(np.rint((1 - weight) * film[..., None] + weight * colours), np.uint8)


def image_bytes(image: Image.Image, form: str, **options: Any) -> bytes:
    """Return a picture as a file's bytes, equal for equal pictures.

    Args:
        image: The picture.
        form: Pillow's name of the format: `PNG`, `WEBP`.
        options: Of Pillow's writer of that format.
    """
    buffer = BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()
