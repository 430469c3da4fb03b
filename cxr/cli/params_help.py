"""What the values of params.yaml mean and may be, in the words of their own fields: for --help and docs/params.md."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.table import Table
from rich.text import Text

from cxr.params import Section

SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥"}
KINDS = {int: "whole number", float: "number", bool: "true, false", str: "text"}
SHAPES = {"tuple": "list of text", "dict": "text by name"}


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
    kind = KINDS.get(field.annotation, "")  # type: ignore[arg-type]
    kind = kind or next(
        (text for shape, text in SHAPES.items() if shape in str(field.annotation)), "whole number or null"
    )
    required = "; required" if field.default is PydanticUndefined else ""
    return " ".join([kind, ", ".join(bounds)]).strip() + required


def params_table(kind: type[Section], values: Mapping[str, Any]) -> Table:
    """Return a table of name, value, what it may be and what it means, one row a field.

    Args:
        kind: The section's class.
        values: The section as read from params.yaml; where it lacks a value, the default stands in brackets.
    """
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("name", no_wrap=True, style="bold cyan")
    table.add_column("value", overflow="fold", max_width=16)
    table.add_column("may be", overflow="fold", max_width=18, style="dim")
    table.add_column("meaning", overflow="fold")
    for key, field in fields(kind):
        # As Text, because rich reads words in brackets as markup.
        cells = (key, _value(key, field, values), limits_of(field), field.description or "")
        table.add_row(*map(Text, cells))
    return table


def _value(key: str, field: FieldInfo, values: Mapping[str, Any]) -> str:
    found: Any = values
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return "" if field.default is PydanticUndefined else f"({_plain(field.default)})"
        found = found[part]
    return _plain(found)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "empty" if value is None else str(value)
