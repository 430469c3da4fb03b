"""The audits of a release: what `prepare` adds to reports/data.json."""

from collections.abc import Mapping

import pandas as pd
from threadpoolctl import threadpool_limits

from cxr.audit import waive
from cxr.dataset.appearance import appearance
from cxr.dataset.audits.changes import change_points
from cxr.dataset.audits.contradiction import metadata_contradiction
from cxr.dataset.audits.flow import release_flow
from cxr.dataset.audits.formats import format_leak_decoded, format_leak_header
from cxr.dataset.audits.pictures import exact_duplicates, label_conflicts, near_duplicates
from cxr.dataset.audits.sources import class_by_source
from cxr.dataset.duplicates import nearest_distances
from cxr.dataset.grouping import leak_groups
from cxr.dataset.preparing import Prepared
from cxr.files import JsonObject

SEED = 7  # of the audits' own folds and permutations: they describe the data, not an experiment


def audit_release(
    prepared: Prepared,
    headers: pd.DataFrame,
    labels: Mapping[str, str],
    discarded: Mapping[str, int],
    waivers: Mapping[str, str],
) -> JsonObject:
    """Return the keys `audits`, `flow` and `change_points` of reports/data.json.

    Args:
        prepared: Array and table.
        headers: As `cxr.dataset.audits.headers.read_headers` returns them, a row for each of the table.
        labels: Class of every file of the classes, readable or not.
        discarded: Images by discarded class.
        waivers: Reason by audit.

    Raises:
        ParamsError: A waiver names no audit, or gives no reason.
    """
    # With one thread figures do not depend on the number of cores, and small problems need not wait for each other.
    with threadpool_limits(limits=1):
        table, features, groups = prepared.table, appearance(prepared.images), leak_groups(prepared.table)
        classes = table["label"].to_numpy(dtype=str)
        changes = change_points(table, features, groups, SEED)
        audits = [
            exact_duplicates(table),
            near_duplicates(table, nearest_distances(prepared.images)),
            label_conflicts(table),
            format_leak_header(headers, classes, groups, SEED),
            format_leak_decoded(list(prepared.images), classes, groups, SEED),
            class_by_source(table),
            metadata_contradiction(table, features, groups, changes, SEED),
        ]
        return {
            "audits": waive(audits, waivers),
            "flow": release_flow(labels, prepared.unreadable, discarded),
            "change_points": changes,
        }
