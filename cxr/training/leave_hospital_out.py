"""Train a network again without each of some hospitals, and keep what it says of the one that it never saw."""

import gc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from cxr.core.image import Plane
from cxr.core.params import CommonParams
from cxr.models import TrainParams
from cxr.models.layers import keras
from cxr.training.refit_plan import ANSWER_BATCH, DECIMALS, LeftOutHospital
from cxr.training.train import train_network


def leave_hospitals_out(
    plan: Sequence[LeftOutHospital],
    name: str,
    images: Plane,
    shared: CommonParams,
    recipe: TrainParams,
    weights: Path,
    cache: Path | None = None,
) -> pd.DataFrame:
    """Train the network once for each hospital, from the same seed, and collect what it says.

    Args:
        plan: From `plan_hospitals`.
        name: Of the network's module in `cxr.models`.
        images: uint8 (n, side, side); rows are named by the column `index` of the plan's tables.
        shared: Seed, classes and runtime.
        recipe: The section `train_<name>`.
        weights: Folder where files of weights are looked for.
        cache: Folder where features of a frozen backbone are kept.

    Returns:
        Columns network, held_out, file, split (`held_out`, or `validation`: what decisions are fitted on), actual, and
        logit_<class> (six decimals) for each class. Without hospitals there are no rows.
    """
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    parts = []
    for number, one in enumerate(plan, start=1):
        console.print(f"left out {number} of {len(plan)}: {one.hospital}, {len(one.asked)} films", style="bold")
        # Forget the last training: memory stays that of one, and no name or seed depends on how many came before.
        keras.utils.clear_session()
        gc.collect()
        trained = train_network(name, one.learned, images, shared, recipe, weights, cache)
        logits = keras.Model(trained.model.inputs, trained.model.output["logits"])
        validation = one.learned[one.learned["split"] == "validation"]
        for split, rows in (("validation", validation), ("held_out", one.asked)):
            parts.append(_answers(logits, rows, images, shared.classes).assign(held_out=one.hospital, split=split))
    columns = ["network", "held_out", "file", "split", "actual", *(f"logit_{label}" for label in shared.classes)]
    found = pd.concat(parts) if parts else pd.DataFrame(columns=columns)
    return found.assign(network=name)[columns].sort_values(["held_out", "split", "file"], ignore_index=True)


def _answers(model: keras.Model, rows: pd.DataFrame, images: Plane, classes: Sequence[str]) -> pd.DataFrame:
    planes = np.ascontiguousarray(images[rows["index"].to_numpy()])
    logits = model.predict(planes[..., np.newaxis], batch_size=ANSWER_BATCH, verbose=0).round(DECIMALS)
    return pd.DataFrame(
        {
            "file": rows["file"].to_numpy(),
            "actual": rows["label"].to_numpy(),
            **{f"logit_{label}": logits[:, number] for number, label in enumerate(classes)},
        }
    )
