"""What differs between two listings of one place."""

from collections.abc import Sequence
from dataclasses import dataclass

from cxr.files import JsonObject
from cxr.screening.candidates import Candidate


@dataclass(frozen=True, slots=True)
class Changes:
    """What a revision has of another one.

    Attributes:
        since: The earlier revision, as manifests name it.
        unchanged: Cells of files with equal marks in both.
        new: Number of files that the earlier one has not.
        changed: Number of files with another mark.
        deleted: Cells of files that only the earlier one has.
    """

    since: JsonObject
    unchanged: frozenset[str]
    new: int
    changed: int
    deleted: tuple[str, ...]

    def facts(self) -> JsonObject:
        """For the manifest."""
        counts = {"new": self.new, "changed": self.changed, "unchanged": len(self.unchanged)}
        return {**self.since, **counts, "deleted": list(self.deleted)}


def changes_between(before: Sequence[Candidate], after: Sequence[Candidate], since: JsonObject) -> Changes:
    """Compare two listings by the checksums in their marks; a file without one counts as changed."""
    earlier = {one.cell: one.mark.partition(" ")[2] for one in before}
    unchanged, new = set(), 0
    for one in after:
        told = earlier.pop(one.cell, None)
        if told is None:
            new += 1
        elif told and told == one.mark.partition(" ")[2]:
            unchanged.add(one.cell)
    changed = len(after) - new - len(unchanged)
    return Changes(since, frozenset(unchanged), new, changed, tuple(sorted(earlier)))
