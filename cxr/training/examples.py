"""From the split table and the array of planes to what the fit loop takes."""

from dataclasses import replace

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


def weighted(train: Examples, table: pd.DataFrame, evenness: float) -> Examples:
    """Give each training image its weight in the loss, so that classes count alike, and their sources more alike.

    A source with n images of its class counts as n ** (1 - evenness) there.

    Args:
        train: The examples of the split `train`.
        table: The split table that they were gathered from.
        evenness: 0 leaves every image its weight of one, whatever the classes' sizes; 1 makes sources count alike.

    Returns:
        The examples, with weights of mean one.
    """
    if not evenness:
        return train
    rows = table[table["split"] == "train"]
    sizes = rows.groupby(["label", "source"])["file"].transform("size").to_numpy(np.float64)
    weights = pd.Series(sizes**-evenness, rows.index)
    shares = (weights / weights.groupby(rows["label"]).transform("sum")).to_numpy()
    return replace(train, weights=np.asarray(shares * len(rows) / rows["label"].nunique(), np.float32))
