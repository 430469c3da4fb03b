"""The audits of the data: what `prepare` and `split` add to reports/data.json and reports/split.json."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
from threadpoolctl import threadpool_limits

from cxr.core.files import Track, untracked
from cxr.core.manifest import SPLITS, data_fingerprint
from cxr.core.process import worker_processes
from cxr.core.records import Audit, AuditRecord, waive
from cxr.dataset.audits.formats import (
    FORMAT_LEAK_DECODED,
    FORMAT_LEAK_HEADER,
    format_leak_decoded,
    format_leak_header,
)
from cxr.dataset.audits.sources import (
    CLASS_BY_SOURCE,
    CLASS_BY_SOURCE_SAMPLE,
    METADATA_CONTRADICTION,
    ChangePoint,
    class_by_source,
    find_change_points,
    metadata_consistency,
    source_counts,
)
from cxr.dataset.audits.splits import (
    FLOW,
    LEAK_ACROSS_SPLITS,
    SPLIT_HYGIENE,
    FlowStep,
    SplitReport,
    check_flow,
    class_counts,
    leak_across_splits,
    release_flow,
    sample_flow,
    split_hygiene,
)
from cxr.dataset.duplicates import (
    EXACT_DUPLICATES,
    LABEL_CONFLICTS,
    NEAR_DUPLICATES,
    exact_duplicates,
    label_conflicts,
    leakage_groups,
    near_duplicates,
)
from cxr.dataset.prepare import Prepared

PREPARE = (
    EXACT_DUPLICATES,
    NEAR_DUPLICATES,
    LABEL_CONFLICTS,
    FORMAT_LEAK_HEADER,
    FORMAT_LEAK_DECODED,
    CLASS_BY_SOURCE,
    METADATA_CONTRADICTION,
)
SPLIT = (FLOW, LEAK_ACROSS_SPLITS, SPLIT_HYGIENE, CLASS_BY_SOURCE_SAMPLE)
AUDITS: Mapping[str, tuple[Audit, ...]] = {"prepare": PREPARE, "split": SPLIT}  # by stage, in the order of the reports

SEED = 7  # of the audits' own folds and permutations: they describe the data, not an experiment


@dataclass(frozen=True, slots=True)
class AuditedRelease:
    """What `prepare` adds to reports/data.json.

    Attributes:
        audits: Of the release.
        flow: Its first steps.
        change_points: By class.
    """

    audits: tuple[AuditRecord, ...]
    flow: tuple[FlowStep, ...]
    change_points: Mapping[str, ChangePoint]


def audit_release(
    prepared: Prepared,
    headers: pd.DataFrame,
    labels: Mapping[str, str],
    discarded: Mapping[str, int],
    waivers: Mapping[str, str],
    track: Track = untracked,
) -> AuditedRelease:
    """Audit the prepared images and count where files went.

    Args:
        prepared: Array and table.
        headers: As `cxr.dataset.audits.formats.read_headers` returns them, a row for each of the table.
        labels: Class of every file of the classes, readable or not.
        discarded: Images by discarded class.
        waivers: Reason by audit.
        track: Shows the progress.

    Raises:
        ParamsError: A waiver names no audit, or gives no reason.
    """
    table, features, groups = prepared.table, prepared.looks, leakage_groups(prepared.table)
    classes = table["label"].to_numpy(dtype=str)
    with worker_processes(len(table)) as each, threadpool_limits(limits=1):
        # What takes longest begins now, beside the rest.
        header_leak = each(_in_one_thread, [partial(format_leak_header, headers, classes, groups, SEED)])
        changes = find_change_points(table, features, groups, SEED, track)
        asked: tuple[Callable[[], AuditRecord], ...] = (
            lambda: exact_duplicates(table),
            lambda: near_duplicates(table, prepared.nearest),
            lambda: label_conflicts(table),
            lambda: format_leak_decoded(list(prepared.images), classes, groups, SEED),
            lambda: class_by_source(table),
            lambda: metadata_consistency(table, features, groups, changes, SEED),
            lambda: next(header_leak),
        )
        audits = [audit() for audit in track(asked, "auditing", len(asked))]
    in_order = [next(one for one in audits if one.id == audit.id) for audit in PREPARE]
    return AuditedRelease(
        audits=tuple(waive(in_order, waivers)),
        flow=tuple(release_flow(labels, prepared.unreadable, discarded)),
        change_points=changes,
    )


def _in_one_thread(audit: Callable[[], AuditRecord]) -> AuditRecord:
    """Run an audit so that its figures do not depend on the number of cores, and small problems need not wait."""
    with threadpool_limits(limits=1):
        return audit()


def audit_split(
    prepared: pd.DataFrame,
    split: pd.DataFrame,
    flow: Sequence[FlowStep],
    seed: int,
    waivers: Mapping[str, str],
) -> SplitReport:
    """Return the content of reports/split.json.

    Args:
        prepared: The manifest.
        split: The split table.
        flow: The steps of `prepare`, from reports/data.json.
        seed: That the split was made with.
        waivers: Reason by audit.

    Raises:
        ParamsError: A waiver names no audit, or gives no reason.
    """
    steps = [*flow, *sample_flow(prepared, split)]
    audits = [
        check_flow(steps, prepared, split),
        leak_across_splits(split),
        split_hygiene(split, seed),
        class_by_source(split, CLASS_BY_SOURCE_SAMPLE),
    ]
    return SplitReport(
        flow=tuple(steps),
        classes_by_split={name: class_counts(split.loc[split["split"] == name, "label"]) for name in SPLITS},
        groups=int(split["group"].nunique()),
        sha256=data_fingerprint(split),
        sources=source_counts(split),
        audits=tuple(waive(audits, waivers)),
    )
