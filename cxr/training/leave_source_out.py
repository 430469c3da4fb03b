"""Refit a network without one source after the other, and keep what it says of the source it never saw."""

import gc
from functools import partial

import numpy as np
import pandas as pd
from rich.console import Console

from cxr.core.errors import ParamsError
from cxr.core.image import Plane
from cxr.core.params import CommonParams
from cxr.inference.network import softmax
from cxr.models import SmallParams, cnn1
from cxr.models.layers import keras
from cxr.training.devices import in_float32, make_reproducible, precision
from cxr.training.loop import Phase, examples, fit, weighted
from cxr.training.refit_plan import ANSWER_BATCH, DECIMALS, Plan, Refit


def leave_source_out(plan: Plan, images: Plane, shared: CommonParams, recipe: SmallParams) -> pd.DataFrame:
    """Train cnn1 once for each planned refit, from the same seed, and collect its answers.

    Args:
        plan: From `plan_refits`.
        images: uint8 (n, side, side); rows are named by the column `index` of the plan's tables.
        shared: Seed, classes and runtime.
        recipe: The section `train_cnn1`, with the number of epochs of a refit.

    Returns:
        Columns held_out, file, actual, and probability_<class> (uncalibrated, six decimals) for each class, sorted by
        held_out and file. Without refits there are no rows.

    Raises:
        DataError: A label is not among the classes.
        ParamsError: The network's input would be larger than the planes.
    """
    if recipe.side > images.shape[1]:
        raise ParamsError(
            f"params.yaml: train_cnn1.side is {recipe.side}, but the planes have {images.shape[1]} pixels; "
            f"lower it, or raise image.side"
        )
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    _announce(console, plan)
    parts = []
    for number, refit in enumerate(plan.refits, start=1):
        title = f"held out {number} of {len(plan.refits)}"
        console.print(
            f"{title}: {refit.held_out or 'nothing'}; {len(refit.answered)} images will be asked about", style="bold"
        )
        parts.append(_answers(refit, _refitted(refit, images, shared, recipe, title), images, shared.classes))
    columns = ["held_out", "file", "actual", *(f"probability_{name}" for name in shared.classes)]
    table = pd.concat(parts) if parts else pd.DataFrame(columns=columns)
    return table[columns].sort_values(["held_out", "file"], ignore_index=True)


def _announce(console: Console, plan: Plan) -> None:
    for source in plan.impossible:
        console.print(f"{source} cannot be held out: without it, train or validation lacks a class")
    if not plan.refits:
        console.print(f"nothing to hold out: {plan.target} has no source that the others could stand in for")


def _refitted(refit: Refit, images: Plane, shared: CommonParams, recipe: SmallParams, title: str) -> keras.Model:
    # Forget the last refit: memory stays that of one, and no name or seed depends on how many came before.
    keras.utils.clear_session()
    gc.collect()
    make_reproducible(shared.runtime, shared.seed)
    train, validation = (examples(refit.learned, images, split, shared.classes) for split in ("train", "validation"))
    train = weighted(train, refit.learned, recipe.even_sources)
    build = partial(cnn1.build, images.shape[1], len(shared.classes), recipe)
    with precision(shared.runtime):
        model = build()
        fit(model, train, validation, recipe, shared.seed, Phase(title))
    kept = in_float32(model, build)
    return keras.Model(kept.inputs, kept.output["logits"])


def _answers(refit: Refit, model: keras.Model, images: Plane, classes: tuple[str, ...]) -> pd.DataFrame:
    planes = np.ascontiguousarray(images[refit.answered["index"].to_numpy()])
    logits = model.predict(planes[..., np.newaxis], batch_size=ANSWER_BATCH, verbose=0)
    probabilities = softmax(logits).round(DECIMALS)
    return pd.DataFrame(
        {
            "held_out": refit.held_out,
            "file": refit.answered["file"].to_numpy(),
            "actual": refit.answered["label"].to_numpy(),
            **{f"probability_{name}": probabilities[:, number] for number, name in enumerate(classes)},
        }
    )
