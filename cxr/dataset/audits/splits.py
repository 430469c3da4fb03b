"""Does the split keep what belongs together on one side, and does the participant flow add up?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import DataError
from cxr.core.files import read_json
from cxr.core.manifest import SPLITS, data_fingerprint
from cxr.core.records import Audit, AuditRecord, Result, from_json
from cxr.dataset.audits.sources import SourceCount
from cxr.dataset.sampling import IDENTITIES, leaks

LEAK_ACROSS_SPLITS = Audit("leak_across_splits", "One picture or patient in two splits", fixable=True)
SPLIT_HYGIENE = Audit("split_hygiene", "Split hygiene", fixable=True)
FLOW = Audit("flow", "Every file is accounted for", fixable=True)


@dataclass(frozen=True, slots=True)
class FlowStep:
    """A step of the participant flow, as STARD asks for it.

    Attributes:
        step: Its name.
        images: That are left, by class.
        dropped: Images less than in the step before.
        why: They are; empty where none is.
    """

    step: str
    images: Mapping[str, int]
    dropped: int
    why: str


@dataclass(frozen=True, slots=True)
class SplitReport:
    """The content of reports/split.json.

    Attributes:
        flow: All steps, from the release to the splits.
        classes_by_split: Images by split and class.
        groups: Number of groups that stay together.
        sha256: Of file, label, pixels and split of every image.
        sources: Images by class and source.
        audits: Of the split.
    """

    flow: tuple[FlowStep, ...]
    classes_by_split: Mapping[str, Mapping[str, int]]
    groups: int
    sha256: str
    sources: tuple[SourceCount, ...]
    audits: tuple[AuditRecord, ...]


TOLERANCE = 0.01  # of a class's share in a split


def leak_across_splits(table: pd.DataFrame) -> AuditRecord:
    """Look for a file, equal pixels, a duplicate group or a patient in two splits, in the facts themselves."""
    found = leaks(table)
    counts = dict.fromkeys(IDENTITIES, 0) | {leak.column: leak.values for leak in found}
    return LEAK_ACROSS_SPLITS.record(
        Result.FAIL if found else Result.PASS,
        "; ".join(leak.sentence for leak in found) + "."
        if found
        else f"None is in two splits: {kept_together(int((table['patient'] != '').sum()), len(table))}.",
        "Any is a failure.",
        counts,
    )


def kept_together(patients_known: int | None, images: int) -> str:
    """Say what a split kept on one side, which of patients is no more than is known of them.

    Args:
        patients_known: Images whose patient is known; None: of how many it is, is not recorded.
        images: Of the split.
    """
    if patients_known is None:
        return "near duplicates kept together, and patients where they are known"
    if patients_known == 0:
        return "near duplicates kept together; patients unknown"
    if patients_known < images:
        return (
            f"near duplicates kept together, and patients where they are known, which is of {patients_known:,} of "
            f"{images:,} images"
        )
    return "patients and near duplicates kept together"


def split_hygiene(table: pd.DataFrame, seed: int) -> AuditRecord:
    """Check that groups are whole and classes in proportion, and record what the split was made with.

    A class's share may differ from its share in all rows by 1 %, or by what the largest group weighs in that split.
    """
    shared = int((table.groupby("group")["split"].nunique() > 1).sum())
    counts = pd.crosstab(table["split"], table["label"])
    off = (counts.div(counts.sum(axis=1), axis=0) - table["label"].value_counts(normalize=True)).abs()
    weight = table["group"].value_counts().max() / counts.sum(axis=1)
    uneven = bool((off.max(axis=1) > np.maximum(weight, TOLERANCE) + 1e-9).any())
    empty = [name for name in SPLITS if name not in counts.index]
    groups, deviation = int(table["group"].nunique()), round(float(off.max().max()), 6)
    values = {
        "seed": seed,
        "sha256": data_fingerprint(table),
        "groups": groups,
        "shared_groups": shared,
        "largest_group": int(table["group"].value_counts().max()),
        "shares": {name: round(float((table["split"] == name).mean()), 6) for name in SPLITS},
        "largest_deviation": deviation,
    }
    fault = f" No image is in {', '.join(empty)}." if empty else ""
    found = (
        f"{groups} groups, {shared} in more than one split; a class's share in a split differs from its "
        f"share in all images by {deviation:.3f} at most.{fault}"
    )
    return SPLIT_HYGIENE.record(
        Result.FAIL if shared or empty else Result.WARN if uneven else Result.PASS,
        found,
        f"A shared group or an empty split is a failure, a deviation of more than {TOLERANCE:.2f} (or of one group in "
        "a small split) a warning.",
        values,
    )


def release_flow(
    labels: Mapping[str, str], unreadable: Mapping[str, str], discarded: Mapping[str, int]
) -> list[FlowStep]:
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
        _step("in the data", found | dict(sorted(discarded.items())), 0, ""),
        _step("of the classes", found, sum(discarded.values()), f"class left aside: {named}" if discarded else ""),
        _step("readable", readable, len(unreadable), _reasons(unreadable)),
    ]


def sample_flow(prepared: pd.DataFrame, split: pd.DataFrame) -> list[FlowStep]:
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


def read_flow(path: Path) -> list[FlowStep]:
    """Return the steps that `prepare` wrote into its report.

    Raises:
        DataError: The file is absent or has none.
    """
    try:
        return [from_json(FlowStep, step) for step in read_json(path)["flow"]]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} has no flow of the data ({error!r}); run the stage that writes it: dvc repro"
        ) from error


def class_counts(labels: "pd.Series[str]") -> dict[str, int]:
    """Return the images by label, sorted."""
    return {str(label): int(count) for label, count in labels.value_counts().sort_index().items()}


def _step(step: str, images: Mapping[str, int], dropped: int, why: str) -> FlowStep:
    return FlowStep(step, dict(images), dropped, why)


def _reasons(unreadable: Mapping[str, str]) -> str:
    kinds: dict[str, list[str]] = {}
    for file, reason in sorted(unreadable.items()):
        kinds.setdefault(reason, []).append(file)
    return "; ".join(f"{reason}: {_some(files)}" for reason, files in sorted(kinds.items()))


def _some(files: Sequence[str]) -> str:
    return ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")


def _sizes(chosen: Mapping[str, int]) -> str:
    return " or ".join(map(str, sorted(set(chosen.values()))))


SHOWN = 3  # gaps that the sentence names


def check_flow(flow: Sequence[FlowStep], prepared: pd.DataFrame, split: pd.DataFrame) -> AuditRecord:
    """Return the audit `flow`: the steps follow from each other and from the tables.

    Args:
        flow: All steps, of `prepare`, `balance` and `split`.
        prepared: The manifest.
        split: The split table.
    """
    gaps = list(_gaps(flow, prepared, split))
    total = _total(flow[0])
    found = f"The data have {total:,} files; {len(split):,} are used, and of every other one it is known why not."
    if gaps:
        found = f"{len(gaps)} of the counts do not follow: {'; '.join(gaps[:SHOWN])}."
    return FLOW.record(
        Result.FAIL if gaps else Result.PASS,
        found,
        "A count that does not follow from the one before it, or from the tables, is a failure.",
        {"files": total, "used": len(split), "gaps": gaps},
    )


def _gaps(flow: Sequence[FlowStep], prepared: pd.DataFrame, split: pd.DataFrame) -> Iterator[str]:
    steps = [step for step in flow if step.step not in SPLITS]
    for before, after in pairwise(steps):
        missing = _total(before) - _total(after)
        if missing != after.dropped:
            yield f"'{after.step}' has {missing} files less than '{before.step}', and names {after.dropped}"
    by_step = {step.step: step for step in flow}
    if by_step["readable"].images != class_counts(prepared["label"]):
        yield "the readable files are not those of the manifest"
    if sum(_total(by_step[name]) for name in SPLITS) != len(split):
        yield "the splits together are not the balanced rows"
    strange = sorted(set(split["file"]) - set(prepared["file"]))
    if strange:
        yield f"{strange[0]} is in the split and not in the manifest"


def _total(step: FlowStep) -> int:
    return sum(step.images.values())
