"""The section `evaluate` of params.yaml."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from cxr.errors import ParamsError
from cxr.params import Section, section

BEST = "best"
TARGET = "covid"  # also what leave_source_out takes where params.yaml says nothing


class EvaluateParams(Section):
    """The section `evaluate` of params.yaml."""

    screening_model: str = Field(BEST, description="A network's name, or best: the lowest validation log loss.")
    fast_model: str = Field("cnn1", description="Name of the network that is written to models/fast as well.")
    target: str = Field(TARGET, description="Class that the operating points look for.")
    alpha: float = Field(0.02, gt=0, lt=0.5, description="Share of a class that its prediction sets may miss.")
    waivers: dict[str, str] = Field({}, description="Why an audit may fail without stopping, by the audit's id.")


def evaluate_params(values: Mapping[str, Any]) -> EvaluateParams:
    """Read the section `evaluate` of the content of params.yaml.

    Raises:
        ParamsError: A value is wrong, or the sources that `leave_source_out` holds out are those of another class.
    """
    own = section(values, "evaluate", EvaluateParams)
    held_out = (values.get("leave_source_out") or {}).get("target", TARGET)
    if held_out != own.target:
        raise ParamsError(
            f"params.yaml: evaluate.target is '{own.target}', but leave_source_out.target is '{held_out}'; "
            f"set both to the same class"
        )
    return own
