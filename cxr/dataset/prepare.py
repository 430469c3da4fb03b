"""The table of a decoded release, its duplicates, and a description of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from cxr.core.errors import DataError, ParamsError
from cxr.core.files import JsonObject, Track, untracked
from cxr.core.image import Plane
from cxr.core.manifest import COLUMNS, _counts, data_summary
from cxr.core.params import Section
from cxr.dataset.appearance import Features
from cxr.dataset.decoding import Decoded, DecodedRelease
from cxr.dataset.duplicates import compare_pictures, exact_duplicate_pairs, group_numbers


class DuplicateParams(Section):
    """The section `prepare.duplicates`."""

    max_distance: int = Field(51, ge=0, le=128, description="Largest Hamming distance of a candidate, bits of 256.")
    min_correlation: float = Field(0.97, gt=0, le=1, description="Smallest correlation of a confirmed pair.")


class PrepareParams(Section):
    """The section `prepare` of params.yaml."""

    expected_files: int = Field(ge=1, description="Fewer images of the classes than this: an unfinished pull.")
    discard: tuple[str, ...] = Field((), description="Class folders that are left aside.")
    unreadable: Literal["stop", "drop"] = Field("stop", description="What an unreadable file does.")
    duplicates: DuplicateParams
    waivers: dict[str, str] = Field({}, description="Why an audit may fail without stopping, by the audit's id.")


class OutOfScopeParams(Section):
    """The section `out_of_scope` of release/params.yaml."""

    labels: tuple[str, ...] = Field(
        (), description="Folders of data/ of no class: the network that screens is asked about their films."
    )


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` hands on.

    Attributes:
        images: uint8 (n, side, side), of the smallest side.
        table: n rows with the columns of `cxr.core.manifest.COLUMNS`.
        unreadable: Files that gave no image, with the reason.
        nearest: int64 (n,), see `cxr.dataset.duplicates.Likeness`.
        looks: float64 (n, 22), see `cxr.dataset.appearance.appearance_features`.
    """

    images: Plane
    table: pd.DataFrame
    unreadable: dict[str, str]
    nearest: NDArray[np.int64]
    looks: Features


def check_count(images: dict[str, list[Path]], expected: int) -> None:
    """Stop where a pull was not finished: DVC would take what is there for the data set. Raises DataError."""
    count = sum(map(len, images.values()))
    if count < expected:
        raise DataError(
            f"data/ has {count} images of the classes, prepare.expected_files says {expected}: a pull was not "
            f"finished, or files were removed. Bring them back with 'git checkout data.dvc && dvc pull data', or, "
            f"if the data is meant to be smaller, set prepare.expected_files in params.yaml"
        )


def films_of_no_class(
    images: Mapping[str, list[Path]], classes: Sequence[str], params: OutOfScopeParams
) -> dict[str, list[Path]]:
    """Return the images that the network that screens is asked about although it has no class for them.

    Args:
        images: All images of the release by label.
        classes: That the networks learn.
        params: The labels.

    Returns:
        By label, in the order of the params. A label that the release lacks has no images.

    Raises:
        ParamsError: A label is a class.
    """
    learned = [label for label in params.labels if label in classes]
    if learned:
        raise ParamsError(
            f"params.yaml: out_of_scope.labels names {learned[0]}, which is a class that the networks learn; expected "
            "folders of data/ of no class, such as those of prepare.discard"
        )
    return {label: images.get(label, []) for label in params.labels}


def prepare_table(
    decoded: DecodedRelease,
    sources: Mapping[str, str],
    patients: Mapping[str, str],
    params: PrepareParams,
    track: Track = untracked,
) -> Prepared:
    """Build the table, and group the duplicates.

    Raises:
        DataError: A file is unreadable and the params say `stop`.
    """
    unreadable = {item.file: item.error for item in decoded.files if item.error}
    if unreadable and params.unreadable == "stop":
        first = "; ".join(f"{file} ({error})" for file, error in list(unreadable.items())[:5])
        raise DataError(
            f"{len(unreadable)} image files cannot be used: {first}. Repair or remove them, or set "
            f"prepare.unreadable: drop in params.yaml to go on without them"
        )
    readable = [item for item in decoded.files if not item.error]
    planes = next(iter(decoded.planes.values()))
    rows = [_row(index, item, sources, patients) for index, item in enumerate(readable)]
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "duplicate_group"])
    limits = params.duplicates
    likeness = compare_pictures(planes, decoded.hashes, limits.max_distance, limits.min_correlation, track)
    pairs = [exact_duplicate_pairs(table["pixels_sha256"].tolist()), likeness.pairs]
    table["duplicate_group"] = group_numbers(len(table), np.concatenate(pairs))
    return Prepared(planes, table[COLUMNS], unreadable, likeness.nearest, decoded.looks)


def _row(index: int, item: Decoded, sources: Mapping[str, str], patients: Mapping[str, str]) -> dict[str, object]:
    assert item.facts is not None
    return {
        "index": index,
        "file": item.file,
        "label": item.label,
        "source": sources.get(item.file, ""),
        "patient": patients.get(item.file, ""),
        "pixels_sha256": item.pixels_sha256,
        "width": item.facts.width,
        "height": item.facts.height,
        "mode": item.facts.mode,
        "bit_depth": item.facts.bit_depth,
        "format": item.facts.format,
        "steps": " ".join(item.facts.steps),
        "synthetic": int(item.facts.synthetic),
        "colour": round(item.facts.colour, 6),
    }


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
