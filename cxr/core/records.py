"""Records as JSON and back: dataclasses inside, objects with keys at the edge."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def as_json(value: object) -> Any:
    """Return what `json.dumps` takes: a dataclass as an object with its fields as keys, in their order.

    A field's metadata may name another `key`, and say with `absent` that None has no key rather than null. Numbers are
    left as they are: whoever makes a record rounds them.
    """
    if is_dataclass(value) and not isinstance(value, type):
        found = ((one.metadata, one.name, getattr(value, one.name)) for one in fields(value))
        return {
            how.get("key") or name: as_json(part)
            for how, name, part in found
            if not (part is None and how.get("absent"))
        }
    if isinstance(value, Mapping):
        return {key: as_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(part) for part in value]
    return value.value if isinstance(value, Enum) else value


def parts(record: object) -> dict[str, Any]:
    """Return a record's fields by name, to make a larger record of them."""
    return {one.name: getattr(record, one.name) for one in fields(record)}  # type: ignore[arg-type]


def from_json(kind: type[T], value: object) -> T:
    """Return the record that `as_json` made `value` of; keys that the record has no field for are left out.

    Args:
        kind: A dataclass, of dataclasses, tuples, mappings, enumerations and plain values.
        value: As JSON gives it.

    Raises:
        ValueError: A key is absent that has no default, or a value is of another form.
    """
    try:
        found: T = _read(kind, value)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"it is no {kind.__name__}: {error!r}") from error
    return found


def _read(kind: Any, value: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if value is None else _read(next(one for one in inner if one is not type(None)), value)
    if origin is tuple and inner[1:] == (...,):
        return tuple(_read(inner[0], one) for one in value)
    if origin is tuple:
        return tuple(_read(one, part) for one, part in zip(inner, value, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _read(inner[1], part) for key, part in value.items()}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return [_read(inner[0], one) for one in value]
    if is_dataclass(kind):
        return _record(kind, value)
    return kind(value) if isinstance(kind, type) and issubclass(kind, Enum) else value


def _record(kind: Any, value: Mapping[str, Any]) -> Any:
    types = get_type_hints(kind)
    keys = {one.name: one.metadata.get("key") or one.name for one in fields(kind)}
    required = {one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING}
    lacking = [keys[name] for name in required if keys[name] not in value]
    if lacking:
        raise KeyError(*lacking)
    return kind(**{name: _read(types[name], value[key]) for name, key in keys.items() if key in value})
