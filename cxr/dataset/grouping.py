"""Which rows of a table must not be parted: the pictures of one patient, and the copies of one picture."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.dataset.duplicates import exact_duplicate_pairs, group_numbers


def leak_groups(table: pd.DataFrame) -> NDArray[np.int64]:
    """Return int64 (rows,): equal for rows that share a duplicate group or a known patient, also by a chain."""
    known = table["patient"].to_numpy() != ""
    keys = [
        f"patient {name}" if is_known else f"row {i}"
        for i, (name, is_known) in enumerate(zip(table["patient"], known, strict=True))
    ]
    same_patient = exact_duplicate_pairs(keys)
    same_picture = exact_duplicate_pairs([str(group) for group in table["duplicate_group"]])
    return group_numbers(len(table), np.concatenate([same_patient, same_picture]))
