"""Whether it is known of every file why it was used or dropped."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import pandas as pd

from cxr.audit import Result, audit
from cxr.dataset.audits.flow import class_counts
from cxr.files import JsonObject
from cxr.manifest import SPLITS

SHOWN = 3  # gaps that the sentence names


def flow_adds_up(flow: Sequence[JsonObject], prepared: pd.DataFrame, split: pd.DataFrame) -> JsonObject:
    """Return the audit `flow`: the steps follow from each other and from the tables.

    Args:
        flow: All steps, of `prepare`, `balance` and `split`.
        prepared: The manifest.
        split: The split table.
    """
    gaps = list(_gaps(flow, prepared, split))
    total = _total(flow[0])
    found = f"{total} files are in the release; {len(split)} are used, and of every other one it is known why not."
    if gaps:
        found = f"{len(gaps)} of the counts do not follow: {'; '.join(gaps[:SHOWN])}."
    return audit(
        "flow",
        "Every file is accounted for",
        Result.FAIL if gaps else Result.PASS,
        found,
        "A count that does not follow from the one before it, or from the tables, is a failure.",
        fixable=True,
        values={"files": total, "used": len(split), "gaps": gaps},
    )


def _gaps(flow: Sequence[JsonObject], prepared: pd.DataFrame, split: pd.DataFrame) -> Iterator[str]:
    steps = [step for step in flow if step["step"] not in SPLITS]
    for before, after in pairwise(steps):
        missing = _total(before) - _total(after)
        if missing != after["dropped"]:
            yield f"'{after['step']}' has {missing} files less than '{before['step']}', and names {after['dropped']}"
    by_step = {step["step"]: step for step in flow}
    if by_step["readable"]["images"] != class_counts(prepared["label"]):
        yield "the readable files are not those of the manifest"
    if sum(_total(by_step[name]) for name in SPLITS) != len(split):
        yield "the splits together are not the balanced rows"
    strange = sorted(set(split["file"]) - set(prepared["file"]))
    if strange:
        yield f"{strange[0]} is in the split and not in the manifest"


def _total(step: JsonObject) -> int:
    return sum(step["images"].values())
