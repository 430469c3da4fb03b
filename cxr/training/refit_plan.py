"""Which images a refit learns from and is asked about when a source or a hospital is held out."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from pydantic import Field

from cxr.core.errors import ParamsError
from cxr.core.params import Section
from cxr.models import SmallParams

DECIMALS = 6  # of what is written of an answer
ANSWER_BATCH = 64


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
            f"release/params.yaml: leave_source_out.target is '{target}', which is not among classes: "
            f"{', '.join(classes)}"
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


class LeaveHospitalOutParams(Section):
    """The section `leave_hospital_out` of release/params.yaml."""

    network: str = Field("lite0", description="What is trained again; its recipe is the section train_<network>.")
    hospitals: tuple[str, ...] = Field((), description="Sources that are left out, one after the other; empty: none.")


@dataclass(frozen=True, slots=True)
class LeftOutHospital:
    """One training and what it is asked about.

    Attributes:
        hospital: The source that is left out.
        learned: Rows of the split table without it and without what shares a group with it.
        asked: All its rows of the manifest, also those that balancing left aside.
    """

    hospital: str
    learned: pd.DataFrame
    asked: pd.DataFrame


def plan_hospitals(
    table: pd.DataFrame, manifest: pd.DataFrame, hospitals: Sequence[str], classes: Sequence[str]
) -> list[LeftOutHospital]:
    """Plan a training for each hospital.

    Args:
        table: The split table.
        manifest: The table that `prepare` wrote.
        hospitals: Sources of the manifest.
        classes: All labels; what is of another class is not asked about.

    Raises:
        ParamsError: A hospital is no source of the manifest, or without it a class has no image to learn from.
    """
    plan = []
    for hospital in hospitals:
        asked = manifest[(manifest["source"] == hospital) & manifest["label"].isin(classes)]
        if asked.empty:
            known = ", ".join(sorted(set(manifest["source"]) - {""})) or "none"
            raise ParamsError(
                f"release/params.yaml: leave_hospital_out.hospitals names {hospital}, which is no source of the "
                f"images; expected some of: {known}"
            )
        learned = table[~table["group"].isin(table.loc[_related(table, asked), "group"])]
        left = set(zip(learned["split"], learned["label"], strict=True))
        lacking = [label for label in classes for split in ("train", "validation") if (split, label) not in left]
        if lacking:
            raise ParamsError(
                f"release/params.yaml: leave_hospital_out.hospitals names {hospital}, without which {lacking[0]} has "
                "no image left to learn from; leave it out of the list"
            )
        plan.append(LeftOutHospital(hospital, learned, asked))
    return plan


def _related(table: pd.DataFrame, asked: pd.DataFrame) -> "pd.Series[bool]":
    """Tell which rows are of the films asked about, or show one of them or one of their patients again."""
    patients = set(asked["patient"]) - {""}
    same = table["duplicate_group"].isin(asked["duplicate_group"]) | table["patient"].isin(patients)
    return same | table["file"].isin(asked["file"])
