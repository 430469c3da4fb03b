"""Which images are used, and where each goes: balanced classes; train, validation and test.

Balancing chooses as many images of each class as the smallest has; rows are chosen, never copied. The split is
stratified by class, with a patient and a group of duplicates on one side. The test split is one share of the images, or
one of k folds that together hold every image once.
"""

import math
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


def require_rows(params: BalanceParams) -> None:
    """Raise ParamsError where all rows are asked for and fewer as well."""
    if params.rows == "all" and (params.per_class or params.blocks):
        raise ParamsError("params.yaml: balance.rows is 'all', so balance.per_class and balance.blocks must be empty")


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
    require_rows(params)
    unknown = sorted(set(params.without) - set(table["source"]))
    if unknown:
        raise DataError(
            f"balance.without names {unknown[0]}, which is no source of the images; expected some of: "
            f"{', '.join(sorted(set(table['source']) - {''})) or 'none'}"
        )
    table = table[~table["source"].isin(params.without)]
    distinct = table.drop_duplicates("pixels_sha256", keep="first")
    if params.rows == "all":
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
MOST_FOLDS = 10**9  # more than images; 1 over the smallest numbers is infinite


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

    test: float = Field(
        0.2,
        gt=0,
        le=0.5,
        description="Share of the images in the test split: one k-th of them, such as 0.5, 0.333, 0.25, 0.2 or 0.1.",
    )
    validation: float = Field(
        0.16,
        gt=0,
        le=0.5,
        description="Share of all images in validation: one k-th of those not in test, as 0.2 or 0.16 beside test 0.2.",
    )
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
        ParamsError: As `fold_counts`.
        SplitError: A class has fewer images than folds, or there are fewer groups than folds.
    """
    folds, fold, folds_of_rest = fold_counts(params)
    labels, groups = table["label"].to_numpy(), leakage_groups(table)
    names = np.full(len(table), "train", dtype=object)
    _require_images(labels, groups, folds, "", "raise split.test" if params.folds is None else "lower split.folds")
    names[_fold(labels, groups, folds, fold, seed)] = "test"
    rest = np.flatnonzero(names == "train")
    _require_images(
        labels[rest], groups[rest], folds_of_rest, " that are not in the test split", "raise split.validation"
    )
    validation = _fold(labels[rest], groups[rest], folds_of_rest, 0, seed)
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


def fold_counts(params: SplitParams) -> tuple[int, int, int]:
    """Return how many folds there are, which of them is the test split, and how many folds the rest is divided into.

    Raises:
        ParamsError: A share is not one k-th of the rows it is taken from, or leaves none of them; or `fold` is not one
            of `folds`.
    """
    folds, fold = _test_fold(params)
    rest = _folds_of(_share_of_rest(params.validation, params.test))
    if rest is None:
        raise ParamsError(_wrong_validation(params))
    return folds, fold, rest


def _test_fold(params: SplitParams) -> tuple[int, int]:
    folds, fold = params.folds, params.fold
    if folds is None and fold is None:
        by_share = _folds_of(params.test)
        if by_share is None:
            raise ParamsError(_wrong_test(params))
        return by_share, 0
    if folds is None or fold is None or fold >= folds:
        said = ["empty" if value is None else value for value in (folds, fold)]
        raise ParamsError(
            f"params.yaml: split.folds is {said[0]} and split.fold is {said[1]}; expected two whole numbers "
            "with 0 <= fold < folds, or both empty for one test split of the share split.test"
        )
    return folds, fold


def _share_of_rest(validation: float, test: float) -> float:
    return validation / (1 - test)


def _of_all(share_of_rest: float, test: float) -> float:
    return round(share_of_rest * (1 - test), 3)


def _folds_of(share: float) -> int | None:
    """Return k of a share that is one k-th, else None; a whole is none, for it leaves nothing."""
    folds = round(min(1 / share, MOST_FOLDS))
    return folds if folds > 1 and abs(1 / folds - share) <= TOLERANCE else None


def _nearest(share: float) -> list[float]:
    """Return the two shares nearest to one that is no k-th, the nearer first, with as many digits as are said."""
    most = max(2, math.floor(1 / share))
    return sorted((round(1 / most, 3), round(1 / (most + 1), 3)), key=lambda one: abs(one - share))


def _wrong_test(params: SplitParams) -> str:
    """Say what is wrong with `test`, with values that work together: another one may ask for another `validation`."""
    pairs = [f"{test:g} with split.validation {_beside(test, params):g}" for test in _nearest(params.test)]
    return (
        f"params.yaml: split.test is {params.test:g}, which is not one k-th of the images; the nearest that are: "
        f"{', or '.join(pairs)}"
    )


def _beside(test: float, params: SplitParams) -> float:
    """Return `validation` where it can stay beside another `test`, else the nearest that can."""
    share = _share_of_rest(params.validation, test)
    return params.validation if _folds_of(share) else _of_all(_nearest(share)[0], test)


def _wrong_validation(params: SplitParams) -> str:
    share = _share_of_rest(params.validation, params.test)
    nearest = " or ".join(f"{_of_all(one, params.test):g}" for one in _nearest(share))
    both = f"params.yaml: split.validation is {params.validation:g} and split.test is {params.test:g}"
    if params.validation + params.test >= 1:
        return f"{both}, so nothing is left to train on; lower split.validation, to {nearest}"
    return (
        f"{both}, so validation is not one k-th of the images that are not in test; the nearest that are: "
        f"split.validation {nearest}"
    )


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


def _require_images(
    labels: NDArray[np.object_], groups: NDArray[np.int64], folds: int, which: str, remedy: str
) -> None:
    """Refuse classes with fewer images than folds, and fewer groups than folds.

    Args:
        labels: Of the images that are divided.
        groups: Which of them stay together.
        folds: Into how many.
        which: What the sentence says of these images.
        remedy: What else than to add images helps, where there are more folds than two.

    Raises:
        SplitError: Naming each such class, or the number of groups.
    """
    needed = f"at least {folds} are needed for {folds} equal shares. Add images"
    instead = f", or {remedy} in params.yaml" if folds > 2 else ""
    few = [(label, count) for label, count in zip(*np.unique(labels, return_counts=True), strict=True) if count < folds]
    if few or not len(labels):
        counts = " and ".join(f"{label} has {count}" for label, count in few) or "no class has any"
        raise SplitError(f"a class has too few images{which}: {counts}; {needed}{instead}")
    families = len(np.unique(groups))
    if families < folds:
        raise SplitError(
            f"the {len(groups)} images{which} are of {families} groups by patient and duplicate, which stay together; "
            f"{needed}{instead}"
        )


def _fold(
    labels: NDArray[np.object_], groups: NDArray[np.int64], folds: int, number: int, seed: int
) -> NDArray[np.int64]:
    splitter = GroupedFolds(n_splits=folds, shuffle=True, random_state=seed)
    _, chosen = next(islice(splitter.split(labels, labels, groups), number, None))
    return np.asarray(chosen)
