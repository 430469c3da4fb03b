"""How many images of each class are left after each step, and why the others are not."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from cxr.errors import DataError
from cxr.files import JsonObject, read_json
from cxr.manifest import SPLITS


def release_flow(
    labels: Mapping[str, str], unreadable: Mapping[str, str], discarded: Mapping[str, int]
) -> list[JsonObject]:
    """Return the steps of `prepare`.

    Args:
        labels: Class of every file of the classes, readable or not.
        unreadable: Reason by file, of the files that gave no image.
        discarded: Images by discarded class.
    """
    found = class_counts(pd.Series(labels))
    readable = {label: count - sum(labels[file] == label for file in unreadable) for label, count in found.items()}
    named = ", ".join(sorted(discarded))
    return [
        _step("in the release", found | dict(sorted(discarded.items())), 0, ""),
        _step("of the classes", found, sum(discarded.values()), f"class left aside: {named}" if discarded else ""),
        _step("readable", readable, len(unreadable), _reasons(unreadable)),
    ]


def sample_flow(prepared: pd.DataFrame, split: pd.DataFrame) -> list[JsonObject]:
    """Return the steps of `balance` and the counts of each split.

    Args:
        prepared: The manifest.
        split: The balanced rows with the column `split`.
    """
    distinct = prepared.drop_duplicates("pixels_sha256", keep="first")
    copies, surplus = len(prepared) - len(distinct), len(distinct) - len(split)
    chosen = class_counts(split["label"])
    return [
        _step(
            "distinct", class_counts(distinct["label"]), copies, "equal pixels with an earlier file" if copies else ""
        ),
        _step("balanced", chosen, surplus, f"drawn at random: {_sizes(chosen)} of each class" if surplus else ""),
        *(_step(name, class_counts(split.loc[split["split"] == name, "label"]), 0, "") for name in SPLITS),
    ]


def read_flow(path: Path) -> list[JsonObject]:
    """Return the steps that `prepare` wrote into its report.

    Raises:
        DataError: The file is absent or has none.
    """
    try:
        flow: list[JsonObject] = read_json(path)["flow"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} has no flow of the data ({error!r}); run the stage that writes it: dvc repro"
        ) from error
    return flow


def class_counts(labels: "pd.Series[str]") -> dict[str, int]:
    """Return the images by label, sorted."""
    return {str(label): int(count) for label, count in labels.value_counts().sort_index().items()}


def _step(step: str, images: Mapping[str, int], dropped: int, why: str) -> JsonObject:
    return {"step": step, "images": dict(images), "dropped": dropped, "why": why}


def _reasons(unreadable: Mapping[str, str]) -> str:
    kinds: dict[str, list[str]] = {}
    for file, reason in sorted(unreadable.items()):
        kinds.setdefault(reason, []).append(file)
    return "; ".join(f"{reason}: {_some(files)}" for reason, files in sorted(kinds.items()))


def _some(files: Sequence[str]) -> str:
    return ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")


def _sizes(chosen: Mapping[str, int]) -> str:
    return " or ".join(map(str, sorted(set(chosen.values()))))
