"""From the split table and the array of planes to what the fit loop takes."""

import numpy as np
import pandas as pd

from cxr.errors import DataError
from cxr.planes import Plane
from cxr.training.loop import Examples


def examples(table: pd.DataFrame, images: Plane, split: str, classes: tuple[str, ...]) -> Examples:
    """Gather the planes and one-hot targets of one split, in the table's order.

    Args:
        table: A split table.
        images: uint8 (n, side, side), all of them.
        split: `train`, `validation` or `test`.
        classes: Order of the target columns.

    Raises:
        DataError: The split has no rows, or a label is not among `classes`.
    """
    rows = table[table["split"] == split]
    unknown = sorted(set(rows["label"]) - set(classes))
    if rows.empty or unknown:
        fault = f"labels {unknown} that are not in params.yaml 'classes'" if unknown else f"no rows for {split}"
        raise DataError(f"the split table has {fault}; run: dvc repro split")
    numbers = rows["label"].map({label: number for number, label in enumerate(classes)}).to_numpy()
    planes = np.ascontiguousarray(images[rows["index"].to_numpy()])
    return Examples(planes, np.eye(len(classes), dtype=np.float32)[numbers], classes)
