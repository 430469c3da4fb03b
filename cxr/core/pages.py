"""What pages for people are made of: a policy under which HTML opens offline, its data, pictures, Markdown tables."""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RESEARCH_ONLY = "For research. Not a medical device; it supports professionals and never decides."
INLINE = "'unsafe-inline'"  # of styles, where a script sets some


def content_policy(images: str, styles: str, scripts: Sequence[str] = (), *, more: str = "") -> str:
    """Return a Content-Security-Policy under which a page fetches nothing.

    Args:
        images: Where pictures may come from, such as `data:`.
        styles: INLINE, or the page's own style sheet, allowed by its digest.
        scripts: The page's own scripts, allowed by their digests; without any, none runs.
        more: Further directives.
    """
    allowed = {
        "default-src": "'none'",
        "img-src": images,
        "style-src": styles if styles == INLINE else _digest_source(styles),
        "script-src": " ".join(map(_digest_source, scripts)),
        "base-uri": "'none'",
    }
    directives = [f"{name} {sources}" for name, sources in allowed.items() if sources]
    return "; ".join([*directives, more] if more else directives)


def script_json(value: object) -> str:
    """Return JSON for a script element, which it cannot end, whatever a file is called."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def base64_text(content: bytes) -> str:
    """Return bytes as the part of a data address after its comma."""
    return base64.b64encode(content).decode()


def _digest_source(text: str) -> str:
    return f"'sha256-{base64_text(hashlib.sha256(text.encode()).digest())}'"


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


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; the first column is left-aligned, the others right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
