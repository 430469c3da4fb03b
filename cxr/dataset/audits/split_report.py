"""The audits of a split: the content of reports/split.json."""

from collections.abc import Mapping, Sequence

import pandas as pd

from cxr.audit import waive
from cxr.dataset.audits.accounted import flow_adds_up
from cxr.dataset.audits.flow import class_counts, sample_flow
from cxr.dataset.audits.sources import class_by_source, source_counts
from cxr.dataset.audits.splits import leak_across_splits, split_hygiene
from cxr.dataset.describing import data_fingerprint
from cxr.files import JsonObject
from cxr.manifest import SPLITS


def audit_split(
    prepared: pd.DataFrame,
    split: pd.DataFrame,
    flow: Sequence[JsonObject],
    seed: int,
    waivers: Mapping[str, str],
) -> JsonObject:
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
        flow_adds_up(steps, prepared, split),
        leak_across_splits(split),
        split_hygiene(split, seed),
        class_by_source(split, "class_by_source_sample", "the balanced sample"),
    ]
    return {
        "flow": steps,
        "classes_by_split": {name: class_counts(split.loc[split["split"] == name, "label"]) for name in SPLITS},
        "groups": int(split["group"].nunique()),
        "sha256": data_fingerprint(split),
        "sources": source_counts(split),
        "audits": waive(audits, waivers),
    }
