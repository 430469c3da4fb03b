"""Take members of a JSON object that a user could have altered; what is wrong becomes a whole sentence."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cxr.errors import ModelError
from cxr.files import JsonObject


@dataclass(frozen=True, slots=True)
class Fields:
    """An object with the words that name it in a message, such as `models/screening/decisions.json: conformal`.

    Every method raises ModelError where the member is absent or is not what the method asks for.
    """

    form: JsonObject
    where: str

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float:
        """Return a finite number from `low` to `high`."""
        value = self._get(key)
        if not _is_number(value) or not low <= value <= high:
            raise self.wrong(key, f"expected a number from {low:g} to {high:g}")
        return float(value)

    def numbers(self, key: str, count: int) -> tuple[float, ...]:
        """Return `count` finite numbers, none smaller than the one before."""
        values = self._get(key)
        if not isinstance(values, list) or len(values) != count or not all(map(_is_number, values)):
            raise self.wrong(key, f"expected {count} numbers")
        if sorted(values) != values:
            raise self.wrong(key, "expected numbers in ascending order")
        return tuple(map(float, values))

    def count(self, key: str, least: int = 0) -> int:
        """Return a whole number of at least `least`."""
        value = self._get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.wrong(key, f"expected a whole number of at least {least}")
        return value

    def text(self, key: str, pattern: str = ".+") -> str:
        """Return a text that `pattern` matches wholly."""
        value = self._get(key)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self.wrong(key, f"expected a text of the form {pattern}")
        return value

    def texts(self, key: str, pattern: str = ".+") -> tuple[str, ...]:
        """Return different texts that `pattern` matches wholly."""
        values = self._get(key)
        fits = re.compile(pattern).fullmatch
        if not isinstance(values, list) or not all(isinstance(value, str) and fits(value) for value in values):
            raise self.wrong(key, f"expected texts of the form {pattern}")
        if len(set(values)) != len(values):
            raise self.wrong(key, "expected each text once")
        return tuple(values)

    def inner(self, key: str, names: Sequence[str] = ()) -> "Fields":
        """Return an object; with `names`, one whose members have exactly these names, in any order."""
        value = self._get(key)
        if not isinstance(value, dict):
            raise self.wrong(key, "expected an object")
        if names and set(value) != set(names):
            raise self.wrong(key, f"expected the members {', '.join(names)}")
        return Fields(value, f"{self.where}: {key}")

    def wrong(self, key: str, expected: str) -> ModelError:
        """Return the error of a member that is not what was expected."""
        return ModelError(f"{self.where}: {key} is {_short(self.form.get(key))}; {expected}. Run: dvc repro evaluate")

    def _get(self, key: str) -> Any:
        if key not in self.form:
            raise ModelError(f"{self.where} lacks {key}; run: dvc repro evaluate")
        return self.form[key]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
