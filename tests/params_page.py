"""Make docs/params.md from the sections' own fields: `python -m tests.params_page > docs/params.md`."""

from collections.abc import Iterator
from typing import get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cxr.dataset.balancing import BalanceParams
from cxr.dataset.preparing import PrepareParams
from cxr.dataset.splitting import SplitParams
from cxr.evaluation.params import EvaluateParams
from cxr.params import CommonParams, Section
from cxr.training.held_out import LeaveSourceOutParams
from cxr.training.params import TrainParams, TransferParams

SECTIONS = {
    "top level": CommonParams,
    "prepare": PrepareParams,
    "balance": BalanceParams,
    "split": SplitParams,
    "train_cnn1, train_cnn3": TrainParams,
    "train_vgg16, train_resnet50": TransferParams,
    "leave_source_out": LeaveSourceOutParams,
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
        rows = "\n".join(f"| `{key}` | {limits} | {text} |" for key, limits, text in fields(kind))
        parts.append(f"\n## {name}\n\n| key | may be | meaning |\n|---|---|---|\n{rows}\n")
    return "".join(parts)


def fields(kind: type[Section], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    for key, field in sorted(kind.model_fields.items(), key=lambda item: item[0]):
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from fields(field.annotation, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", limits_of(field), field.description or ""


def limits_of(field: FieldInfo) -> str:
    choices = [value for value in get_args(field.annotation) if isinstance(value, str)]
    if choices:
        return ", ".join(choices)
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥"}
    bounds = [
        f"{signs[name]} {getattr(item, name)}" for item in field.metadata for name in signs if hasattr(item, name)
    ]
    kind = {int: "whole number", float: "number", bool: "true, false", str: "text"}.get(field.annotation, "")  # type: ignore[call-overload]
    shapes = {"tuple": "list of text", "dict": "text by name"}
    kind = kind or next(
        (text for shape, text in shapes.items() if shape in str(field.annotation)), "whole number or null"
    )
    required = "; required" if field.default is PydanticUndefined else ""
    return " ".join([kind, ", ".join(bounds)]).strip() + required


if __name__ == "__main__":
    print(render(), end="")
