"""The rule by which a file becomes a plane: its name, and what it makes of a few drawn pictures.

The rule is part of a model: its weights, thresholds and digests of training pictures hold for planes made by it alone.

`triangle-1`: luminance of 8 bits (Rec. 601 of colour; integers of more bits divided by the full scale of the fewest of
8, 10, 12, 14 and 16 bits that hold them; transparency over black), stretched to a square by Pillow's antialiased
triangle filter, straight from the picture for every side.
"""

import hashlib
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from cxr.core.errors import ModelError
from cxr.core.files import JsonObject
from cxr.core.image import PlaneRule
from cxr.core.records import from_json
from cxr.imaging.decode import decode_planes

RULE = "triangle-1"
SIDES = (48, 128)  # of the planes that are looked at: smaller and larger than the drawn pictures, in both directions


@cache
def plane_rule() -> PlaneRule:
    """Return the rule of this program, with the libraries that it finds; it takes hundredths of a second."""
    digest = hashlib.sha256(RULE.encode())
    for picture in _probes():
        file = BytesIO()
        picture.save(file, "PNG", compress_level=1)
        planes, _, _ = decode_planes(file.getvalue(), SIDES)
        for side in SIDES:
            digest.update(planes[side].data)
    return PlaneRule(RULE, digest.hexdigest())


def require_plane_rule(folder: Path, description: JsonObject) -> None:
    """Refuse a model that was made for planes of another rule, which it would answer otherwise without a word.

    Args:
        folder: Of the model, for the sentence.
        description: The content of its model.json.

    Raises:
        ModelError: It names another rule, or none.
    """
    remedy = "train it again (dvc repro)"
    if "plane" not in description:
        raise ModelError(
            f"the description in {folder} does not say by which rule its planes are made, so that nobody can tell "
            f"whether this program makes the same: {remedy}, or take the version of cxr-batch that it was made with"
        )
    own = plane_rule()
    try:
        stated = from_json(PlaneRule, description["plane"])
    except ValueError as error:
        raise ModelError(f"'plane' in the description in {folder} has no rule and fingerprint; {remedy}") from error
    if stated != own:
        raise ModelError(
            f"the model in {folder} was made for planes by the rule {stated.rule} ({stated.fingerprint[:12]}...), and "
            f"this program with these libraries makes them by {own.rule} ({own.fingerprint[:12]}...): its answers "
            f"would be others. Install the versions of constraints.txt, take the version of cxr-batch that it was "
            f"made with, or {remedy}"
        )


def _probes() -> list[Image.Image]:
    """Draw grey, 12-bit, coloured and transparent pictures, of integers alone: the same on every machine."""
    rows, columns = np.mgrid[0:150, 0:220]
    pattern = rows * rows + 3 * columns * (columns % 7) + 5 * rows * (columns // 11)
    grey = (pattern % 256).astype(np.uint8)
    deep = (pattern % 4096).astype(np.uint16)
    colour = np.stack([grey, grey.T[:150, :150].repeat(2, axis=1)[:, :220], 255 - grey], axis=2)
    return [
        Image.fromarray(grey),
        Image.fromarray(grey[:70, :90]),
        Image.fromarray(deep),
        Image.fromarray(colour),
        Image.fromarray(np.stack([grey, 255 - grey // 2], axis=2)),
    ]
