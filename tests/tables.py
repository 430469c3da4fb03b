"""Manifests without images, for what works on tables alone."""

import pandas as pd

from cxr.core.manifest import COLUMNS


def manifest(counts: dict[str, int]) -> pd.DataFrame:
    """Return a manifest of distinct, unrelated images: `counts` rows per label."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    rows = range(len(labels))
    table = pd.DataFrame({"index": rows, "file": [f"{label}/images/{i}.png" for i, label in enumerate(labels)]})
    return table.assign(
        label=labels,
        source="",
        patient="",
        duplicate_group=rows,
        pixels_sha256=[f"{i:064x}" for i in rows],
        width=299,
        height=299,
        mode="L",
        bit_depth=8,
        format="PNG",
        steps="",
        synthetic=0,
        colour=0.0,
    )[COLUMNS]
