"""Recompute what a model's description claims: its bytes, its test split, and its metrics on it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cxr.core.files import JsonObject, Track, scratch_folder, untracked
from cxr.core.manifest import data_fingerprint
from cxr.core.params import DataParams, SeedParams, section, top_level
from cxr.core.process import worker_processes
from cxr.dataset.decoding import DecodedRelease, decode_release
from cxr.dataset.prepare import Prepared, PrepareParams, prepare_table
from cxr.dataset.release import chosen_classes, read_patients, read_release, read_sources
from cxr.dataset.sampling import BalanceParams, SplitParams, balance_rows, split_rows
from cxr.evaluation.stats.classification import measure
from cxr.inference.model_folder import ScreeningModel
from cxr.inference.network import fingerprint, softmax
from cxr.inference.outputs import run_network

TOLERANCE = 1e-5  # metrics have six decimals; another processor may turn the last one


@dataclass(frozen=True, slots=True)
class Check:
    """One claim of a description beside what was found."""

    claim: str
    stated: str
    found: str
    holds: bool


def verify(model: ScreeningModel, data: Path, track: Track = untracked) -> list[Check]:
    """Build the test split again from `data` with the params that the model names, and measure the model on it.

    Args:
        model: With the params of the whole pipeline in its description, as `evaluate` writes them.
        data: The release that it says it was trained on.
        track: Shows the progress of decoding.

    Returns:
        Network bytes, data and split, then every metric.

    Raises:
        DataError, ParamsError, SplitError: The release cannot give such a split.
    """
    values = model.description["params"]
    with scratch_folder() as scratch:
        decoded, prepared = _prepare_again(values, data, model.plane_side, scratch, track)
        table = _split_again(values, prepared.table)
        test = run_network(model, table[table["split"] == "test"], decoded.planes[model.plane_side])
    stated = model.description["evaluation"]
    probabilities = model.decisions.probabilities(test.logits) if model.decisions else softmax(test.logits)
    found = _flat(measure(test.truth, probabilities, model.classes))
    return [
        _equal("network sha256", model.description["network"]["sha256"], fingerprint(model.folder)),
        _equal("data sha256", model.description["data"]["sha256"], data_fingerprint(table)),
        _equal("test images", str(stated["test_images"]), str(len(test))),
        *(_close(name, _flat(stated)[name], value) for name, value in found.items()),
    ]


def _prepare_again(
    values: JsonObject, data: Path, side: int, scratch: Path, track: Track
) -> tuple[DecodedRelease, Prepared]:
    """Decode the release in `data` with the params `values`, also for `side`; its count is not checked."""
    shared, own = top_level(values, DataParams), section(values, "prepare", PrepareParams)
    images = chosen_classes(read_release(data), shared.classes, own.discard)
    with worker_processes(sum(map(len, images.values()))) as each:
        sides = list(dict.fromkeys([shared.image.small, side]))
        decoded = decode_release(data, images, sides, scratch, track, each)
    return decoded, prepare_table(decoded, read_sources(data), read_patients(data), own, track)


def _split_again(values: JsonObject, table: pd.DataFrame) -> pd.DataFrame:
    """Balance and split a manifest with the params `values`."""
    seed = top_level(values, SeedParams).seed
    balanced = balance_rows(table, section(values, "balance", BalanceParams), seed)
    return split_rows(balanced, section(values, "split", SplitParams), seed)


def _flat(metrics: JsonObject) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        nested: dict[str, Any] = value if isinstance(value, dict) else {"": value}
        flat |= {f"{name} {key}".strip(): number for key, number in nested.items() if isinstance(number, float)}
    return flat


def _equal(claim: str, stated: str, found: str) -> Check:
    return Check(claim, stated, found, stated == found)


def _close(claim: str, stated: float, found: float) -> Check:
    return Check(claim, f"{stated:.6f}", f"{found:.6f}", abs(stated - found) <= TOLERANCE)
