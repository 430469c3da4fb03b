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

PIPELINE_SECTIONS = ("classes", "image", "prepare", "balance", "split")


def choose(candidates: Sequence[Candidate], params: EvaluateParams) -> Candidate:
    """Return the network that is to screen; the test split has no say in it.

    Raises:
        ParamsError: `screening_model` is neither `best` nor the name of a network.
    """
    if params.screening_model == BEST:
        return min(candidates, key=lambda candidate: candidate.validation_log_loss)
    by_name = {candidate.name: candidate for candidate in candidates}
    if params.screening_model not in by_name:
        raise ParamsError(
            f"params.yaml: evaluate.screening_model is '{params.screening_model}'; "
            f"expected {BEST} or one of {', '.join(by_name)}"
        )
    return by_name[params.screening_model]


def describe_screening(candidate: Candidate, report: JsonObject, values: Mapping[str, Any]) -> JsonObject:
    """Return the model's description with the params of the whole pipeline and what was measured on the test split."""
    description = candidate.model.description
    pipeline = {name: values[name] for name in PIPELINE_SECTIONS}
    model = next(one for one in report["models"] if one["name"] == candidate.name)
    evaluation = flat_metrics(model) | {"card": describe_for_card(report, candidate.name)}
    return description | {"params": pipeline | description["params"], "evaluation": evaluation}


def write_screening(folder: Path, candidate: Candidate, report: JsonObject, values: Mapping[str, Any]) -> JsonObject:
    """Copy the exported network, write its decisions and its description, and return the description."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (NETWORK_FILE, NETWORK_WEIGHTS_FILE):
        shutil.copyfile(candidate.model.folder / name, folder / name)
    write_json(folder / DECISIONS_FILE, candidate.decided)
    decisions = {"decisions": {"sha256": sha256_of(folder / DECISIONS_FILE)}}
    description = describe_screening(candidate, report, values) | decisions
    write_json(folder / DESCRIPTION_FILE, description)
    return description
