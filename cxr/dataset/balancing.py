"""Choose as many images of each class as the smallest has; rows are chosen, never copied."""

import pandas as pd
from pydantic import Field

from cxr.errors import DataError
from cxr.params import Section


class BalanceParams(Section):
    """The section `balance` of params.yaml."""

    per_class: int | None = Field(None, ge=1, description="Images a class; empty: as many as the smallest class has.")


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
        DataError: A class has fewer distinct images than `per_class`.
    """
    distinct = table.drop_duplicates("pixels_sha256", keep="first")
    sizes = distinct["label"].value_counts()
    target = params.per_class or int(sizes.min())
    if target > sizes.min():
        raise DataError(
            f"balance.per_class is {target}, but {sizes.idxmin()} has {sizes.min()} distinct images; lower it"
        )
    return distinct.groupby("label", sort=True).sample(n=target, random_state=seed).sort_index()
