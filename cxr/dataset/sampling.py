"""Which images are used, and where each goes: balanced classes; train, validation and test.

Balancing chooses as many images of each class as the smallest has; rows are chosen, never copied. The split is
stratified by class, with a patient and a group of duplicates on one side. The test split is one share of the images, or
one of k folds that together hold every image once.
"""

from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from sklearn.model_selection import StratifiedGroupKFold

from cxr.core.errors import DataError, ParamsError, SplitError
from cxr.core.manifest import file_numbers
from cxr.core.params import Section
from cxr.dataset.duplicates import leakage_groups


class BalanceParams(Section):
    """The section `balance` of params.yaml."""

    rows: Literal["even", "all"] = Field(
        "even", description="all: every distinct image; then even_sources makes classes count alike in training."
    )
    per_class: int | None = Field(None, ge=1, description="Images a class; empty: as many as the smallest class has.")
    without: tuple[str, ...] = Field(
        (), description="Sources that no split holds, such as other hospitals' films; last_layer may learn from them."
    )
    blocks: dict[str, int] = Field(
        {}, description="By class, last file number of the first of two collections that are drawn from alike."
    )


def balance_rows(table: pd.DataFrame, params: BalanceParams, seed: int) -> pd.DataFrame:
    """Keep one of each group of equal pixels, then draw the same number of rows from every class.

    Copying rows of a small class instead would put copies of one image into train and test, because
    splitting comes later.

    Args:
        table: A manifest.
        params: How many rows a class.
        seed: Decides which.

    Returns:
        The chosen rows in the manifest's order.

    Raises:
        ParamsError: All rows are asked for and fewer as well.
        DataError: A class has fewer distinct images than `per_class`, or a class of `blocks` or a source of `without`
            is absent.
    """
    unknown = sorted(set(params.without) - set(table["source"]))
    if unknown:
        raise DataError(
            f"balance.without names {unknown[0]}, which is no source of the images; expected some of: "
            f"{', '.join(sorted(set(table['source']) - {''})) or 'none'}"
        )
    table = table[~table["source"].isin(params.without)]
    distinct = table.drop_duplicates("pixels_sha256", keep="first")
    if params.rows == "all":
        if params.per_class or params.blocks:
            raise ParamsError(
                "params.yaml: balance.rows is 'all', so balance.per_class and balance.blocks must be empty"
            )
        return distinct
    sizes = distinct["label"].value_counts()
    target = params.per_class or int(sizes.min())
    if target > sizes.min():
        raise DataError(
            f"balance.per_class is {target}, but {sizes.idxmin()} has {sizes.min()} distinct images; lower it"
        )
    absent = sorted(set(params.blocks) - set(sizes.index))
    if absent:
        raise DataError(
            f"balance.blocks names {absent[0]}, which is no class; expected {', '.join(sorted(sizes.index))}"
        )
    whole = distinct[~distinct["label"].isin(list(params.blocks))]
    drawn = [whole.groupby("label", sort=True).sample(n=target, random_state=seed)] if len(whole) else []
    drawn += [
        _from_both(distinct[distinct["label"] == label], last, target, seed) for label, last in params.blocks.items()
    ]
    return pd.concat(drawn).sort_index()


def _from_both(rows: pd.DataFrame, last: int, target: int, seed: int) -> pd.DataFrame:
    """Draw half of `target` up to the number `last`, half from beyond it; what one side lacks the other gives."""
    lower = file_numbers(rows["file"]) <= last
    from_lower = max(min(target // 2, int(lower.sum())), target - int((~lower).sum()))
    return pd.concat(
        [
            rows[lower].sample(n=from_lower, random_state=seed),
            rows[~lower].sample(n=target - from_lower, random_state=seed),
        ]
    )


IDENTITIES = ("file", "pixels_sha256", "duplicate_group", "patient")
RELATIVE, ABSOLUTE = 1e-5, 1e-8  # of np.isclose, which scikit-learn asks
TOLERANCE = 0.005  # a fraction must be 1/k within this, because one of k folds is taken


@dataclass(frozen=True, slots=True)
class Leak:
    """Values of one column of a split table that stand in more than one split.

    Attributes:
        column: One of `IDENTITIES`.
        values: How many.
        sentence: With the first of them and its files.
    """

    column: str
    values: int
    sentence: str


class SplitParams(Section):
    """The section `split` of params.yaml."""

    test: float = Field(0.2, gt=0, le=0.5, description="Share of the images in the test split.")
    validation: float = Field(0.16, gt=0, le=0.5, description="Share of the images in the validation split.")
    folds: int | None = Field(
        None,
        ge=2,
        le=20,
        description="How many test splits hold every image once; empty: one, of the share test.",
    )
    fold: int | None = Field(None, ge=0, le=19, description="Which of them is the test split, from 0; only with folds.")
    waivers: dict[str, str] = Field({}, description="Why an audit may fail without stopping, by the audit's id.")


def split_rows(table: pd.DataFrame, params: SplitParams, seed: int) -> pd.DataFrame:
    """Add the columns `group` and `split`, and refuse a split that leaks; see `assign_splits`.

    Raises:
        ParamsError: As `assign_splits`.
        SplitError: As `assign_splits`, or `check_split` found a leak.
    """
    result = assign_splits(table, params, seed)
    check_split(result)
    return result


def assign_splits(table: pd.DataFrame, params: SplitParams, seed: int) -> pd.DataFrame:
    """Add the columns `group` and `split`.

    A group joins what must not be parted: images of one patient and images of one duplicate group.

    Args:
        table: Rows of a manifest.
        params: Shares of all rows; with `folds`, the test split is the `fold`-th of these, and `validation` /
            (1 - `test`) of the rest is validation, as without.
        seed: Decides which groups go where; the folds of one seed are those of one division.

    Returns:
        A copy of `table` with `group` (int) and `split` (train, validation or test).

    Raises:
        ParamsError: A share is not one k-th of the rows it is taken from, or `fold` is not one of `folds`.
        SplitError: A class has fewer images than folds.
    """
    labels, groups = table["label"].to_numpy(), leakage_groups(table)
    names = np.full(len(table), "train", dtype=object)
    names[_fold(labels, groups, *_test_fold(params), seed)] = "test"
    rest = np.flatnonzero(names == "train")
    share = params.validation / (1 - params.test)
    validation = _fold(labels[rest], groups[rest], _folds_of(share), 0, seed)
    names[rest[validation]] = "validation"
    return table.assign(group=groups, split=names)


def check_split(table: pd.DataFrame) -> None:
    """Assert that nothing which identifies a picture or a person stands in two splits.

    Raises:
        SplitError: Naming the first offender of each kind that `leaks` finds.
    """
    faults = [leak.sentence for leak in leaks(table)]
    if faults:
        raise SplitError("the split leaks: " + "; ".join(faults) + ". Make the split again: dvc repro -f split")


def leaks(table: pd.DataFrame) -> list[Leak]:
    """Look for what identifies a picture or a person and stands in two splits.

    It looks at the facts themselves (file, pixels, duplicate group, patient), not at the column `group` that
    the split was made from.
    """
    return [leak for column in IDENTITIES if (leak := _leak(table, column)) is not None]


def _leak(table: pd.DataFrame, column: str) -> Leak | None:
    known = table[table[column].astype(str) != ""]
    splits = known.groupby(column, sort=True)["split"].nunique()
    leaking = splits[splits > 1].index
    if leaking.empty:
        return None
    rows = known[known[column] == leaking[0]]
    where = ", ".join(f"{file} in {split}" for file, split in zip(rows["file"], rows["split"], strict=True))
    many = f"One value of {column} is" if len(leaking) == 1 else f"{len(leaking)} values of {column} are"
    sentence = f"{many} in more than one split, e.g. {leaking[0]} ({where})"
    return Leak(column, len(leaking), sentence)


def _test_fold(params: SplitParams) -> tuple[int, int]:
    """Return how many folds there are, and which of them is the test split."""
    folds, fold = params.folds, params.fold
    if folds is None and fold is None:
        return _folds_of(params.test), 0
    if folds is None or fold is None or fold >= folds:
        said = ["empty" if value is None else value for value in (folds, fold)]
        raise ParamsError(
            f"params.yaml: split.folds is {said[0]} and split.fold is {said[1]}; expected two whole numbers "
            "with 0 <= fold < folds, or both empty for one test split of the share split.test"
        )
    return folds, fold


def _folds_of(share: float) -> int:
    folds = round(1 / share)
    if abs(1 / folds - share) > TOLERANCE:
        raise ParamsError(
            f"split: a share of {share:.3f} is not one k-th of the rows it is taken from; nearest is {1 / folds:.3f} "
            f"(k = {folds}). test is a share of all rows, validation / (1 - test) of the rest: 0.2 and 0.16 give fifths"
        )
    return folds


class GroupedFolds(StratifiedGroupKFold):  # type: ignore[misc]
    """scikit-learn's StratifiedGroupKFold, the same folds in a tenth of the time.

    It asks for each group and each fold how uneven the folds would be, a call of NumPy each; here it is one a group.
    """

    def _find_best_fold(
        self, y_counts_per_fold: NDArray[np.float64], y_cnt: NDArray[np.int64], group_y_counts: NDArray[np.float64]
    ) -> int:
        tried = np.broadcast_to(y_counts_per_fold, (self.n_splits, *y_counts_per_fold.shape)).copy()
        numbers = np.arange(self.n_splits)
        tried[numbers, numbers] += group_y_counts
        unevenness = np.std(tried / y_cnt, axis=1).mean(axis=1).tolist()
        sizes = y_counts_per_fold.sum(axis=1).tolist()
        best = 0
        for number in range(1, self.n_splits):
            least, even = unevenness[best], unevenness[number]
            alike = abs(even - least) <= ABSOLUTE + RELATIVE * abs(least)
            if even < least or (alike and sizes[number] < sizes[best]):
                best = number
        return best


def _fold(
    labels: NDArray[np.object_], groups: NDArray[np.int64], folds: int, number: int, seed: int
) -> NDArray[np.int64]:
    smallest = min(np.unique(labels, return_counts=True)[1])
    if smallest < folds:
        raise SplitError(f"a class has {smallest} images; at least {folds} are needed for {folds} equal shares")
    splitter = GroupedFolds(n_splits=folds, shuffle=True, random_state=seed)
    _, chosen = next(islice(splitter.split(labels, labels, groups), number, None))
    return np.asarray(chosen)
