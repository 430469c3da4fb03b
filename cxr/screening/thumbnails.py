"""Small pictures for a page: enough to recognise a film, and to see what the network saw."""

from io import BytesIO

from PIL import Image

from cxr.planes import Plane

SIDE = 112  # pixels
_QUALITY = 55  # about 2 kB a film


def thumbnail_of(plane: Plane) -> bytes:
    """Return uint8 (side, side) as grey WebP bytes."""
    buffer = BytesIO()
    Image.fromarray(plane).save(buffer, "WEBP", quality=_QUALITY, method=4)
    return buffer.getvalue()
