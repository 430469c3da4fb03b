"""Choose as many images of each class as the smallest has; rows are chosen, never copied."""

from typing import Literal

import pandas as pd
from pydantic import Field

from cxr.core.errors import DataError, ParamsError
from cxr.core.manifest import file_numbers
from cxr.core.params import Section


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
