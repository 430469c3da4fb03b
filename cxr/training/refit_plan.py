"""Which images a refit learns from and is asked about when one source is held out, decided on the split table."""

from dataclasses import dataclass

import pandas as pd
from pydantic import Field

from cxr.core.errors import ParamsError
from cxr.core.params import Section
from cxr.models import SmallParams


class LeaveSourceOutParams(Section):
    """The section `leave_source_out` of params.yaml."""

    target: str = Field("covid", description="Class whose sources are held out, one after the other.")
    epochs: int = Field(ge=1, description="Passes of each refit, in place of train_cnn1.epochs; fewer, for the time.")

    def shortened(self, recipe: SmallParams) -> SmallParams:
        """Return the recipe with this section's number of epochs; warm-up and decay of the rate follow it."""
        return recipe.model_copy(update={"epochs": self.epochs})


@dataclass(frozen=True, slots=True)
class Refit:
    """One training and what it is asked about.

    Attributes:
        held_out: The source, as the split table spells it; empty where nothing is held out.
        learned: Rows of the split table; of them `train` is trained on, and `validation` chooses the epoch.
        answered: Rows of the split table, at least one.
    """

    held_out: str
    learned: pd.DataFrame
    answered: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Plan:
    """All refits.

    Attributes:
        target: The class whose sources are held out.
        refits: The one with nothing held out first, then by source; empty where no source can be held out.
        impossible: Sources without which a class has no image left in train or in validation.
    """

    target: str
    refits: tuple[Refit, ...]
    impossible: tuple[str, ...]


def plan_refits(table: pd.DataFrame, target: str, classes: tuple[str, ...]) -> Plan:
    """Plan a refit for every source of a class, and one with nothing held out to compare them with.

    A held-out source is answered whole, whatever the split. What shares a group with one of its images (a patient, a
    picture) is not learned from either: the public collections copied from each other.

    Args:
        table: A split table. Images whose source is empty cannot be held out; every refit learns from them.
        target: One of `classes`.
        classes: All labels.

    Raises:
        ParamsError: `target` is not a class.
    """
    if target not in classes:
        raise ParamsError(
            f"params.yaml: leave_source_out.target is '{target}', which is not among classes: {', '.join(classes)}"
        )
    of_target = table["label"] == target
    sources = sorted(set(table.loc[of_target, "source"]) - {""})
    held_out = [Refit(source, _without(table, source), table[table["source"] == source]) for source in sources]
    possible = [refit for refit in held_out if _has_all(refit.learned, classes)]
    everything = Refit("", table, table[of_target & (table["split"] == "test")])
    return Plan(
        target,
        (everything, *possible) if possible else (),
        tuple(refit.held_out for refit in held_out if not _has_all(refit.learned, classes)),
    )


def _without(table: pd.DataFrame, source: str) -> pd.DataFrame:
    groups = table.loc[table["source"] == source, "group"]
    return table[~table["group"].isin(groups)]


def _has_all(table: pd.DataFrame, classes: tuple[str, ...]) -> bool:
    left = set(zip(table["split"], table["label"], strict=True))
    return all((split, label) in left for split in ("train", "validation") for label in classes)
