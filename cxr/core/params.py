"""Read sections of params.yaml into checked, frozen objects; each section's class stands beside its user."""

import codecs
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from cxr.core.errors import ParamsError
from cxr.core.tabular_files import HEAD, form_of, snake_case

# What may stand at the top level besides one section `train_<network>` for each network: values that several stages
# share, then one section a stage. A test compares.
KNOWN_KEYS = (
    "seed", "classes", "image", "runtime", "prepare", "balance", "split", "ensemble", "last_layer", "leave_source_out",
    "leave_hospital_out", "out_of_scope", "evaluate",
)  # fmt: skip
TRAINING = "train_"  # what the name of a training's section begins with
# The sections of what is no architecture: the gate and the lung segmenter tell no classes, teachers and student take
# the architecture of another section.
BESIDES = tuple(f"{TRAINING}{name}" for name in ("gate", "lungs", "teachers", "student"))


class Section(BaseModel):
    """A section: unknown keys are refused, types are not converted, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


AnySection = TypeVar("AnySection", bound=Section)


SMALL_PLANE = 128  # pixels: planes for duplicates, audits, the gate and every network that is no larger


class ImageParams(Section):
    """The section `image`."""

    side: int = Field(128, ge=32, le=1024, description="Side of the largest planes; every network's side fits in.")

    @property
    def small(self) -> int:
        """Side of the planes of 128 pixels, which are smaller only where no network may be so large."""
        return min(self.side, SMALL_PLANE)


class _OwnSide(Section):
    """Of a network's section, what `prepare` reads."""

    side: int = Field(ge=1)


class RuntimeParams(Section):
    """The section `runtime`."""

    intra_op_threads: int = Field(2, ge=1, le=256, description="Threads of one operation; part of the result.")
    instructions: Literal["avx2", "any"] = Field(
        "avx2", description="Newest instructions that kernels may use; any: whatever the processor has."
    )
    deterministic: bool = Field(True, description="Refuse operations whose result depends on the order of threads.")
    devices: Literal["automatic", "one_gpu", "cpu"] = Field(
        "automatic", description="automatic: a GPU, or the processor where there is none. one_gpu: stop without one."
    )
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "float32", description="Of a training's arithmetic; what is kept is float32. mixed_float16 needs a GPU."
    )


class SeedParams(Section):
    """What the stages that draw lots read at the top level of params.yaml."""

    seed: int = Field(ge=0, description="Of every random choice.")


def _misspelt(names: Sequence[str]) -> str:
    """Return what is wrong with names of classes, with all that they would be; empty where nothing is."""
    spelt = [snake_case(name) for name in names]
    if not all(spelt):
        return "a class is named with letters from a to z"
    if once := _said_again(names, spelt):
        return once
    return "" if spelt == [*names] else f"a class is its folder in snake case: [{', '.join(spelt)}]"


def _said_again(names: Sequence[str], spelt: Sequence[str]) -> str:
    """Return which names are one class, with each class once; empty where each is another one."""
    once = [*dict.fromkeys(spelt)]
    if len(once) == len(spelt):
        return ""
    again = next(name for name in once if spelt.count(name) > 1)
    same = " and ".join(name for name, own in zip(names, spelt, strict=True) if own == again)
    expected = f"[{', '.join(once)}]" if len(once) > 1 else "two classes or more"
    return f"the names {same} are one class, {again}; expected each once, as its folder in snake case: {expected}"


def _class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse names that no folder gives, for a class is its folder in snake case."""
    if said := _misspelt(names):
        raise PydanticCustomError("class_names", "{said}", {"said": said})
    return names


ClassNames = Annotated[tuple[str, ...], AfterValidator(_class_names)]


class ClassesParams(Section):
    """What the stages that know classes read at the top level of params.yaml."""

    classes: ClassNames = Field(min_length=2, description="Labels, in the order of the networks' outputs.")


class DataParams(ClassesParams):
    """What the stages that read image files read at the top level of params.yaml."""

    image: ImageParams


class CommonParams(SeedParams, ClassesParams):
    """What the train stages read at the top level of params.yaml."""

    runtime: RuntimeParams


def plane_sides(values: Mapping[str, Any], image: ImageParams) -> dict[str, int]:
    """Return the side of the planes that each network takes: small ones, or of its own side where that is larger.

    Args:
        values: Content of params.yaml. A network beyond `image.side` has small ones: its stage refuses it.
        image: The section `image`.

    Returns:
        By network.

    Raises:
        ParamsError: A network's side is no whole number.
    """
    sections = [key for key in values if key.startswith(TRAINING) and key not in BESIDES]
    own = {key: _checked({"side": (values[key] or {}).get("side")}, _OwnSide, f"{key}.").side for key in sections}
    return {
        key.removeprefix(TRAINING): side if image.small < side <= image.side else image.small
        for key, side in own.items()
    }


def read_params(*paths: Path) -> dict[str, Any]:
    """Read files of parameters with the parser that DVC itself uses (YAML 1.2: `1e-4` is a number).

    Args:
        paths: At least one; a section of a later file takes the place of the whole section of an earlier one.

    Raises:
        ParamsError: A file is absent, is not YAML, is not a mapping, or has a key that no stage reads; or a class is
            not named as its folder gives it; or a target is no class, which the last stage alone would say, after all
            training.
    """
    values = {key: value for path in paths for key, value in _read_file(path).items()}
    require_names(values, paths[0])
    return values


def require_names(values: Mapping[str, Any], path: Path) -> None:
    """Check the names of classes and targets. Raises ParamsError, which calls the file `path`, with all that is wrong.

    Args:
        values: Content of params.yaml.
        path: The file's.
    """
    if faults := [*_faulty_names(values)]:
        raise ParamsError(f"{path}: {'; '.join(faults)}")


def _faulty_names(values: Mapping[str, Any]) -> Iterator[str]:
    """Say all that is wrong with the names of classes at once: those of `classes` first, then those of targets."""
    classes = values.get("classes")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        return  # which `ClassesParams` says
    if said := _misspelt(classes):
        yield f"classes: {said}, got [{', '.join(classes)}]"
    names = [*dict.fromkeys(snake_case(name) or name for name in classes)]
    for key, own in values.items():
        target = own.get("target") if isinstance(own, dict) else None
        if target and target not in names:
            yield f"{key}.target is '{target}', which is none of the classes {', '.join(names)}{_meant(target, names)}"


def _meant(target: object, names: Sequence[str]) -> str:
    spelt = snake_case(str(target))
    return f"; did you mean {spelt}?" if spelt in names else "; name the class that is looked for"


def _read_file(path: Path) -> dict[str, Any]:
    try:
        params_text(path)
        values = YAML(typ="safe").load(path)  # itself, so that its errors name the file
    except OSError as error:
        raise ParamsError(f"{path} cannot be read ({error.strerror}); run in the project's folder") from error
    except YAMLError as error:
        raise ParamsError(f"{path} is not YAML: {' '.join(str(error).split())}; mend it there") from error
    if not isinstance(values, dict):
        raise ParamsError(f"{path} holds no sections; expected one section per stage")
    unknown = [str(key) for key in values if key not in KNOWN_KEYS and not str(key).startswith(TRAINING)]
    if unknown:
        faults = [f"{path}: no stage reads '{key}'{_nearest(key, KNOWN_KEYS)}" for key in unknown]
        raise ParamsError(_known(faults, KNOWN_KEYS))
    return values


_SHOWN = 100  # characters of a line in a sentence


def params_text(path: Path) -> str:
    """Return the text of a file of parameters, with its own line ends.

    Raises:
        OSError: It cannot be read.
        ParamsError: It is not UTF-8, which alone DVC reads.
    """
    data = path.read_bytes()
    form = form_of(data[:HEAD])
    if form.encoding != "UTF-8":
        raise ParamsError(f"{path} is {form.encoding}, and DVC reads UTF-8 alone; save it as UTF-8")
    if b"\0" in data:  # a workbook, for one
        raise ParamsError(f"{path} is no text, for it has a byte of value zero; save it as text, as UTF-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path}, {_of_other_encoding(data, error.start)}; save it as UTF-8") from error


def _of_other_encoding(data: bytes, place: int) -> str:
    """Say which line has the byte that is not UTF-8, and quote it as Windows shows it in Western Europe."""
    number = data[:place].count(b"\n")
    line = data.split(b"\n")[number].decode("cp1252", "replace").strip()
    shown = "".join(one if one.isprintable() else "\ufffd" for one in line[:_SHOWN])
    return f"line {number + 1}, is not UTF-8 but perhaps Windows-1252: '{shown}{'...' if len(line) > _SHOWN else ''}'"


def with_values(text: str, values: Mapping[str, Any], file: str = "params.yaml") -> str:
    """Return the text of a file of parameters with some plain values changed and every other byte kept.

    Only the values' characters change (and the blanks before a comment, to keep its column): a round trip through a
    YAML writer would rewrite `null` and indents too. What has its value already is left as it is written.

    Args:
        text: Of the file.
        values: Numbers, words, truth values, nulls, or mappings of them, by key; each key is there already.
        file: What the text is called in an error.

    Raises:
        ParamsError: A key is absent, or what stands there is no plain value.
    """
    parsed, lines, before = YAML().load(text), text.split("\n"), _safely(text)
    places = [
        (_place(parsed, lines, path, file), value)
        for path, value in _leaves(values)
        if not _is_there(parsed, before, path, value, file)
    ]
    for (line, column), value in sorted(places, key=lambda one: one[0], reverse=True):  # the ends of lines first
        lines[line] = _with_value(lines[line], column, _written(value))
    changed = "\n".join(lines)
    found = _safely(changed)
    wrong = [_dotted(path) for path, value in _leaves(values) if _at(found, path) != value]
    if wrong:
        raise ParamsError(f"{file}: {wrong[0]} is not a plain value; write it as '{wrong[0].split('.')[-1]}: 1'")
    if found != _merged(before, values):
        raise ParamsError(f"{file}: one of these values stands for others, too, by '&' and '*'; write them out there")
    return changed


_VALUE = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#,{}]*)""")
_REST = re.compile(r"([ \t]*)(?=(#?))")
_NULL = re.compile(r"[ \t]*(?=(?:null|Null|NULL|~)(?:[\s,}]|$))")
_WORD = re.compile(r"[A-Za-z_][\w./-]*", re.ASCII)


def _safely(text: str) -> Any:
    try:
        return YAML(typ="safe").load(text)
    except YAMLError:
        return None


def _leaves(values: Mapping[str, Any], *above: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, *above, key)
        else:
            yield (*above, key), value


def _dotted(path: Sequence[Any]) -> str:
    return ".".join(map(str, path))


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _merged(before: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: value for key, value in before.items() if key not in values}
    return both | {
        key: _merged(before[key], value) if isinstance(value, Mapping) and value else value
        for key, value in values.items()
    }


def _is_there(parsed: Any, before: Any, path: tuple[str, ...], value: Any, file: str) -> bool:
    """Tell whether a key has its value already, of the same type: 1 is not 1.0. Raises ParamsError without the key."""
    section = _at(parsed, path[:-1])
    if not isinstance(section, CommentedMap) or path[-1] not in section:
        raise ParamsError(f"{file} has no value {_dotted(path)}; add it there, as docs/params.md says")
    found = _at(before, path)
    return type(found) is type(value) and bool(found == value)


def _place(parsed: Any, lines: Sequence[str], path: tuple[str, ...], file: str) -> tuple[int, int]:
    """Return line and column of a value, of an empty one those behind its colon."""
    section, key = _at(parsed, path[:-1]), path[-1]
    if isinstance(section[key], Mapping | list):
        raise ParamsError(f"{file}: {_dotted(path)} is not a plain value but a section or a list; change it by hand")
    if key not in (section.lc.data or ()):
        raise ParamsError(f"{file}: {_dotted(path)} is another section's value, by '<<'; write it out there")
    if section[key] is not None:
        line, column = section.lc.value(key)
        return line, column
    line, column = section.lc.key(key)
    column = lines[line].index(":", column + len(str(key))) + 1
    null = _NULL.match(lines[line], column)
    return line, null.end() if null else column


def _written(value: Any) -> str:
    """Return a value as YAML has it; a text that would be read as something else stands between quotation marks."""
    is_word = isinstance(value, str) and _WORD.fullmatch(value) and _safely(value) == value
    return str(value) if is_word else json.dumps(value, default=str, ensure_ascii=False)


def _with_value(line: str, column: int, new: str) -> str:
    """Put a value where the old one stands, or behind the colon, and keep the column of a comment behind it."""
    found = _VALUE.match(line, column)
    end = found.end() if found else column
    rest = _REST.match(line, end)
    blanks, comment = rest.groups() if rest else ("", "")
    new = new if end > column else f" {new}"
    kept = " " * max(1, end - column + len(blanks) - len(new)) if comment else blanks if end > column else ""
    return line[:column] + new + kept + line[end + len(blanks) :]


def section(values: Mapping[str, Any], name: str, kind: type[AnySection]) -> AnySection:
    """Check the section `name` and return it as `kind`.

    Raises:
        ParamsError: The section is absent, or naming each wrong value with what was expected.
    """
    if name not in values:
        expected = ", ".join(kind.model_fields)
        raise ParamsError(f"params.yaml has no section '{name}'; expected one with {expected}{_nearest(name, values)}")
    return _checked(values[name], kind, prefix=f"{name}.")


def top_level(values: Mapping[str, Any], kind: type[AnySection]) -> AnySection:
    """Check the top-level values that `kind` names, and no others, so that a stage depends on what it reads.

    Raises:
        ParamsError: As `section`.
    """
    return _checked({key: values[key] for key in kind.model_fields if key in values}, kind, prefix="")


def _checked(values: Any, kind: type[AnySection], prefix: str) -> AnySection:
    try:
        # YAML's lists are tuples here, because a section cannot be changed; nothing else is converted.
        return kind.model_validate(_with_tuples(values))
    except ValidationError as error:
        faults = [f"params.yaml: {prefix}{_sentence(fault, kind)}" for fault in _real_faults(error, kind)]
        raise ParamsError(_known(faults, kind.model_fields)) from error


def _real_faults(error: ValidationError, kind: type[Section]) -> Sequence[Mapping[str, Any]]:
    """Leave out what another fault says already: a list too short without its wrong items, a key that is misspelt."""
    faults = error.errors()
    meant = {(*fault["loc"][:-1], near) for fault in faults for near in _meant_by(fault, kind)}
    return [fault for fault in faults if not (_is_long_enough(fault) or _is_misspelt(fault, meant))]


def _is_long_enough(fault: Mapping[str, Any]) -> bool:
    return fault["type"] == "too_short" and len(fault["input"]) >= int(fault["ctx"]["min_length"])


def _is_misspelt(fault: Mapping[str, Any], meant: Collection[tuple[Any, ...]]) -> bool:
    return fault["type"] == "missing" and tuple(fault["loc"]) in meant


def _meant_by(fault: Mapping[str, Any], kind: type[Section]) -> list[str]:
    """Return the keys that an unknown one may have been meant for; none of another fault."""
    place = [str(part) for part in fault["loc"]]
    return _near(place[-1], _fields_at(kind, place[:-1])) if fault["type"] == "extra_forbidden" else []


def _sentence(fault: Mapping[str, Any], kind: type[Section]) -> str:
    place, given = [str(part) for part in fault["loc"]], fault["input"]
    if fault["type"] == "missing":  # what is given is the whole section
        return f"{'.'.join(place)}: is required, and absent"
    got = f"[{', '.join(map(str, given))}]" if isinstance(given, tuple) else repr(given)
    said = fault["msg"][:1].lower() + fault["msg"][1:]  # the rest may quote what is written in capitals
    where = f"{'.'.join(place)}: {said}, got {got}"
    return where + _did_you_mean(_meant_by(fault, kind))


def _fields_at(kind: type[Section], place: list[str]) -> Collection[str]:
    """Return the keys of the section within `kind` that `place` leads to."""
    for name in place:
        inner = kind.model_fields[name].annotation
        if not (isinstance(inner, type) and issubclass(inner, Section)):
            return ()
        kind = inner
    return kind.model_fields


def _known(faults: list[str], known: Collection[str]) -> str:
    said = "; ".join(faults)
    return f"{said}{'' if said.endswith('?') else '.'} Known keys: {', '.join(known)}"


def _nearest(key: str, known: Collection[str]) -> str:
    return _did_you_mean(_near(key, known))


def _near(key: str, known: Collection[str]) -> list[str]:
    return get_close_matches(key, known, n=2)


def _did_you_mean(near: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _with_tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_with_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return value
