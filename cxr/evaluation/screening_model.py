"""Choose the network that screens folders, and describe it so that a number can be traced to data, code and weights."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from cxr.errors import ParamsError
from cxr.evaluation.evaluating import Evaluation
from cxr.files import JsonObject, write_json
from cxr.model_folder import DESCRIPTION_FILE, NETWORK_FILE, NETWORK_WEIGHTS_FILE
from cxr.params import Section

BEST = "best"
PIPELINE_SECTIONS = ("classes", "image", "prepare", "balance", "split")


class EvaluateParams(Section):
    """The section `evaluate` of params.yaml."""

    screening_model: str = Field(BEST, description="A network's name, or best: the lowest validation log loss.")


def choose(evaluations: Sequence[Evaluation], params: EvaluateParams) -> Evaluation:
    """Return the evaluation of the network that is to screen; the test split has no say in it.

    Raises:
        ParamsError: `screening_model` is neither `best` nor the name of a network.
    """
    if params.screening_model == BEST:
        return min(evaluations, key=lambda evaluation: evaluation.validation_log_loss)
    by_name = {evaluation.name: evaluation for evaluation in evaluations}
    if params.screening_model not in by_name:
        raise ParamsError(
            f"params.yaml: evaluate.screening_model is '{params.screening_model}'; "
            f"expected {BEST} or one of {', '.join(by_name)}"
        )
    return by_name[params.screening_model]


def describe_screening(evaluation: Evaluation, values: Mapping[str, Any]) -> JsonObject:
    """Return the model's description with the params of the whole pipeline and the metrics of the test split."""
    description = evaluation.model.description
    pipeline = {name: values[name] for name in PIPELINE_SECTIONS}
    return description | {"params": pipeline | description["params"], "evaluation": evaluation.flat_metrics()}


def write_screening(folder: Path, evaluation: Evaluation, description: JsonObject) -> None:
    """Copy the exported network and write its description."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (NETWORK_FILE, NETWORK_WEIGHTS_FILE):
        shutil.copyfile(evaluation.model.folder / name, folder / name)
    write_json(folder / DESCRIPTION_FILE, description)
