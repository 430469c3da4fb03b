"""What a prepared data set is, in counts: the content of reports/data.json."""

import hashlib
from collections.abc import Mapping

import pandas as pd

from cxr.files import JsonObject


def data_fingerprint(table: pd.DataFrame) -> str:
    """Return the SHA-256 over file, label, pixels and, where there is one, split of every row, in file order."""
    columns = [column for column in ("file", "label", "pixels_sha256", "split") if column in table.columns]
    rows = sorted("\t".join(map(str, row)) + "\n" for row in table[columns].itertuples(index=False))
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def data_summary(table: pd.DataFrame) -> JsonObject:
    """Return what a model's description says of the data it was made from."""
    counts = {"images_per_split": _counts(table["split"])} if "split" in table.columns else {}
    return {
        "images": len(table),
        "synthetic_images": int(table["synthetic"].sum()),
        "sha256": data_fingerprint(table),
        "images_per_class": _counts(table["label"]),
    } | counts


def describe_data(
    table: pd.DataFrame, unreadable: Mapping[str, str], discarded: Mapping[str, int], masks: int
) -> JsonObject:
    """Count a manifest by class, source, size, mode and depth, and its duplicates.

    Args:
        table: A manifest.
        unreadable: Reason by file, of the files that gave no image.
        discarded: Images by discarded class.
        masks: Mask files left aside.

    Returns:
        Keys in a fixed order, counts sorted by name.
    """
    by_class = table.groupby("label", sort=True)
    return data_summary(table) | {
        "classes": {str(label): _describe_class(rows) for label, rows in by_class},
        "duplicates": _describe_duplicates(table),
        "patients_known": int(table.loc[table["patient"] != "", "patient"].nunique()),
        "unreadable": dict(sorted(unreadable.items())),
        "discarded": dict(sorted(discarded.items())),
        "masks_left_aside": masks,
    }


def _describe_class(rows: pd.DataFrame) -> JsonObject:
    return {
        "images": len(rows),
        "source": _counts(rows["source"].replace("", "unknown")),
        "size": _counts(rows["width"].astype(str) + "x" + rows["height"].astype(str)),
        "mode": _counts(rows["mode"]),
        "bit_depth": _counts(rows["bit_depth"].astype(str)),
        "format": _counts(rows["format"]),
    }


def _describe_duplicates(table: pd.DataFrame) -> JsonObject:
    exact, near = table.groupby("pixels_sha256"), table.groupby("duplicate_group")
    exact_sizes, near_sizes = exact.size(), near.size()
    labels = near["label"].nunique()
    return {
        "exact_groups": int((exact_sizes > 1).sum()),
        "exact_files": int(exact_sizes[exact_sizes > 1].sum()),
        "groups": int((near_sizes > 1).sum()),
        "files": int(near_sizes[near_sizes > 1].sum()),
        "largest_group": int(near_sizes.max()),
        "groups_with_several_labels": int((labels > 1).sum()),
    }


def _counts(values: "pd.Series[str]") -> dict[str, int]:
    return {str(name): int(count) for name, count in values.value_counts().sort_index().items()}
