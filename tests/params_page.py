"""Make docs/params.md from the sections' own fields: `python -m tests.params_page > docs/params.md`."""

from collections.abc import Iterator
from typing import get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cxr.core.params import CommonParams, DataParams, Section
from cxr.dataset.prepare import OutOfScopeParams, PrepareParams
from cxr.dataset.sampling import BalanceParams, SplitParams
from cxr.evaluation.candidates import EvaluateParams
from cxr.inference.ensemble import EnsembleParams
from cxr.models import architecture
from cxr.training.last_layer import LastLayerParams
from cxr.training.params import GateParams, LungParams, StudentParams, TeachersParams
from cxr.training.refit_plan import LeaveHospitalOutParams, LeaveSourceOutParams
from tests.networks import SHIPPED

SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥"}
KINDS = {int: "whole number", float: "number", bool: "true, false", str: "text"}
SHAPES = {
    "tuple[int": "list of whole numbers",
    "tuple": "list of text",
    "dict": "text by name",
    "int | None": "whole number or null",
}


def fields(kind: type[Section], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the fields of a section and of the sections within it, by name as `-S` takes it (`augment.zoom`)."""
    for key, field in sorted(kind.model_fields.items()):
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from fields(field.annotation, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", field


def limits_of(field: FieldInfo) -> str:
    """Return what a value may be: `number ≥ 0, < 1; required`."""
    choices = [value for value in get_args(field.annotation) if isinstance(value, str)]
    if choices:
        return ", ".join(choices)
    bounds = [
        f"{SIGNS[name]} {getattr(item, name)}" for item in field.metadata for name in SIGNS if hasattr(item, name)
    ]
    kind = KINDS.get(field.annotation, "")
    kind = kind or next((text for shape, text in SHAPES.items() if shape in str(field.annotation)), "text or null")
    required = "; required" if field.default is PydanticUndefined else ""
    return " ".join([kind, ", ".join(bounds)]).strip() + required


def recipes() -> dict[type[Section], list[str]]:
    """Return the names of the networks by the class of their section."""
    found: dict[type[Section], list[str]] = {}
    for name in SHIPPED:
        found.setdefault(architecture(name).params, []).append(name)
    return found


class TopLevel(CommonParams, DataParams):
    """All that stages share."""


SECTIONS = {
    "top level": TopLevel,
    "prepare": PrepareParams,
    "balance": BalanceParams,
    "split": SplitParams,
    **{", ".join(f"train_{name}" for name in names): kind for kind, names in recipes().items()},
    "train_gate": GateParams,
    "train_lungs": LungParams,
    "train_teachers": TeachersParams,
    "train_student": StudentParams,
    "ensemble": EnsembleParams,
    "last_layer": LastLayerParams,
    "leave_source_out": LeaveSourceOutParams,
    "leave_hospital_out": LeaveHospitalOutParams,
    "out_of_scope": OutOfScopeParams,
    "evaluate": EvaluateParams,
}
HEADER = """# params.yaml

What each value means, and what it may be. Made from the code by `python -m tests.params_page`; a test compares. A wrong
value stops the stage that reads it, before anything is computed. A stage depends on its own section and on the
top-level values that it reads.
"""


def render() -> str:
    parts = [HEADER]
    for name, kind in SECTIONS.items():
        rows = "\n".join(f"| `{key}` | {limits_of(field)} | {field.description or ''} |" for key, field in fields(kind))
        parts.append(f"\n## {name}\n\n| key | may be | meaning |\n|---|---|---|\n{rows}\n")
    return "".join(parts)


if __name__ == "__main__":
    print(render(), end="")
