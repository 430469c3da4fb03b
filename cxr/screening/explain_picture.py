"""One picture of an explanation: the film, the film under its map, and what must be read with it, printed below."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cxr.cam import OPACITY, RAMP, enlarge
from cxr.planes import Plane

SIDE = 448  # pixels of each of the two films
GAP = 8
TEXT = 15  # pixels
LINE = 20
INK, PAPER = (235, 235, 235), (16, 16, 16)
WIDTH = 2 * SIDE + 3 * GAP


def picture_of(film: Plane, map_: NDArray[np.float32], lines: Sequence[str]) -> bytes:
    """Return PNG bytes, equal for equal arguments.

    Args:
        film: uint8 (SIDE, SIDE).
        map_: float32 (n, n), from 0 to 1.
        lines: What is printed below; long ones are wrapped. What is not ASCII is printed as an escape, because the
            font has no other signs.
    """
    font = _font()
    wrapped = [part for line in lines for part in wrap(_ascii(line), font)]
    image = Image.new("RGB", (WIDTH, SIDE + 2 * GAP + LINE * len(wrapped) + GAP), PAPER)
    image.paste(Image.fromarray(film).convert("RGB"), (GAP, GAP))
    image.paste(Image.fromarray(heated(film, map_)), (2 * GAP + SIDE, GAP))
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(wrapped):
        draw.text((GAP, 2 * GAP + SIDE + number * LINE), line, fill=INK, font=font)
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def heated(film: Plane, map_: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the film with the map in colour over it, uint8 (side, side, 3); where the map is 0 it is untouched."""
    heat = enlarge(map_, len(film))[..., None]
    colours = np.concatenate([np.interp(heat, np.linspace(0, 1, len(RAMP)), channel) for channel in RAMP.T], axis=2)
    weight = OPACITY * heat
    return np.asarray(np.rint((1 - weight) * film[..., None] + weight * colours), np.uint8)


def wrap(line: str, font: ImageFont.FreeTypeFont) -> list[str]:
    """Break a line where it would leave the picture: between words, and within one that alone is too long."""
    parts, rest = [], line
    while rest and font.getlength(rest) > WIDTH - 2 * GAP:
        fits = next(n for n in range(len(rest), 0, -1) if font.getlength(rest[:n]) <= WIDTH - 2 * GAP)
        at = rest.rfind(" ", 1, fits + 1)
        cut = at if at > 0 else fits
        parts.append(rest[:cut])
        rest = rest[cut:].lstrip(" ")
    return [*parts, rest]


def _font() -> ImageFont.FreeTypeFont:
    """Return Pillow's own font, laid out by Pillow alone: another layout engine may be there on one machine only."""
    font = ImageFont.load_default(TEXT)
    assert isinstance(font, ImageFont.FreeTypeFont), "a font with a size is one"
    return font.font_variant(layout_engine=ImageFont.Layout.BASIC)


def _ascii(line: str) -> str:
    return line.encode("ascii", "backslashreplace").decode("ascii")
