"""Does the split keep what belongs together on one side, and every class in proportion?"""

import numpy as np
import pandas as pd

from cxr.audit import Result, audit
from cxr.dataset.describing import data_fingerprint
from cxr.dataset.splitting import IDENTITIES, leaks
from cxr.files import JsonObject
from cxr.manifest import SPLITS

TOLERANCE = 0.01  # of a class's share in a split


def leak_across_splits(table: pd.DataFrame) -> JsonObject:
    """Look for a file, equal pixels, a duplicate group or a patient in two splits, in the facts themselves."""
    found = leaks(table)
    counts = dict.fromkeys(IDENTITIES, 0) | {leak.column: leak.values for leak in found}
    return audit(
        "leak_across_splits",
        "One picture or patient in two splits",
        Result.FAIL if found else Result.PASS,
        "; ".join(leak.sentence for leak in found) + "."
        if found
        else "No picture and no known patient is in two splits.",
        "Any is a failure.",
        fixable=True,
        values=counts,
    )


def split_hygiene(table: pd.DataFrame, seed: int) -> JsonObject:
    """Check that groups are whole and classes in proportion, and record what the split was made with.

    A class's share may differ from its share in all rows by 1 %, or by what the largest group weighs in that split.
    """
    shared = int((table.groupby("group")["split"].nunique() > 1).sum())
    counts = pd.crosstab(table["split"], table["label"])
    off = (counts.div(counts.sum(axis=1), axis=0) - table["label"].value_counts(normalize=True)).abs()
    weight = table["group"].value_counts().max() / counts.sum(axis=1)
    uneven = bool((off.max(axis=1) > np.maximum(weight, TOLERANCE) + 1e-9).any())
    empty = [name for name in SPLITS if name not in counts.index]
    values = {
        "seed": seed,
        "sha256": data_fingerprint(table),
        "groups": int(table["group"].nunique()),
        "shared_groups": shared,
        "largest_group": int(table["group"].value_counts().max()),
        "shares": {name: round(float((table["split"] == name).mean()), 6) for name in SPLITS},
        "largest_deviation": round(float(off.max().max()), 6),
    }
    fault = f" No image is in {', '.join(empty)}." if empty else ""
    found = (
        f"{values['groups']} groups, {shared} in more than one split; a class's share in a split differs from its "
        f"share in all images by {values['largest_deviation']:.3f} at most.{fault}"
    )
    return audit(
        "split_hygiene",
        "Split hygiene",
        Result.FAIL if shared or empty else Result.WARN if uneven else Result.PASS,
        found,
        f"A shared group or an empty split is a failure, a deviation of more than {TOLERANCE:.2f} (or of one group in "
        "a small split) a warning.",
        fixable=True,
        values=values,
    )
