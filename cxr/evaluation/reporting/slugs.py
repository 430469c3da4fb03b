"""Names that may stand in an id."""

import re


def slug(name: object) -> str:
    """Return `name` in lower case with a hyphen for everything but letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-") or "model"
