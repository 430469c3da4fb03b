"""Choose the network that screens folders, and describe it so that a number can be traced to data, code and weights."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cxr.decisions import DECISIONS_FILE
from cxr.errors import ParamsError
from cxr.evaluation.candidates import Candidate
from cxr.evaluation.flat import flat_metrics
from cxr.evaluation.params import BEST, EvaluateParams
from cxr.evaluation.reporting.card_figures import describe_for_card
from cxr.files import JsonObject, sha256_of, write_json
from cxr.model_folder import DESCRIPTION_FILE, NETWORK_FILE, NETWORK_WEIGHTS_FILE
from cxr.model_parts import copy_gate

PIPELINE_SECTIONS = ("classes", "image", "prepare", "balance", "split")


def choose(candidates: Sequence[Candidate], params: EvaluateParams) -> Candidate:
    """Return the network that is to screen; the test split has no say in it.

    Raises:
        ParamsError: `screening_model` is neither `best` nor the name of a network.
    """
    if params.screening_model == BEST:
        return min(candidates, key=lambda candidate: candidate.validation_log_loss)
    return _named(candidates, "screening_model", params.screening_model, f"{BEST} or ")


def choose_fast(candidates: Sequence[Candidate], params: EvaluateParams) -> Candidate:
    """Return the network that is shipped for speed. Raises ParamsError: `fast_model` is not the name of a network."""
    return _named(candidates, "fast_model", params.fast_model)


def _named(candidates: Sequence[Candidate], key: str, name: str, besides: str = "") -> Candidate:
    by_name = {candidate.name: candidate for candidate in candidates}
    if name not in by_name:
        raise ParamsError(f"params.yaml: evaluate.{key} is '{name}'; expected {besides}one of {', '.join(by_name)}")
    return by_name[name]


def describe_screening(candidate: Candidate, report: JsonObject, values: Mapping[str, Any]) -> JsonObject:
    """Return the model's description with the params of the whole pipeline and what was measured on the test split."""
    description = candidate.model.description
    pipeline = {name: values[name] for name in PIPELINE_SECTIONS}
    model = next(one for one in report["models"] if one["name"] == candidate.name)
    evaluation = flat_metrics(model) | {"card": describe_for_card(report, candidate.name)}
    return description | {"params": pipeline | description["params"], "evaluation": evaluation}


def write_screening(
    folder: Path, candidate: Candidate, report: JsonObject, values: Mapping[str, Any], gate: Path | None = None
) -> JsonObject:
    """Copy the exported network and the gate in `gate`, write decisions and description, and return the description."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (NETWORK_FILE, NETWORK_WEIGHTS_FILE):
        shutil.copyfile(candidate.model.folder / name, folder / name)
    write_json(folder / DECISIONS_FILE, candidate.decided)
    decisions = {"decisions": {"sha256": sha256_of(folder / DECISIONS_FILE)}}
    named = copy_gate(gate, folder) if gate else {}
    description = describe_screening(candidate, report, values) | decisions | named
    write_json(folder / DESCRIPTION_FILE, description)
    return description
