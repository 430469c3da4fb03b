"""What `cxr-data preset` writes is what the stages would take: each section by the class of its stage."""

import ast
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from cxr import models
from cxr.core.errors import ParamsError
from cxr.core.params import (
    BESIDES,
    TRAINING,
    ClassesParams,
    ImageParams,
    Section,
    SeedParams,
    plane_sides,
    require_names,
    section,
    top_level,
)


def require_valid(values: Mapping[str, Any], path: Path) -> None:
    """Check params as the stages would, but for what depends on data, on files of weights and on the machine.

    Args:
        values: Content of a params.yaml. Sections may be absent, as release/params.yaml has not all.
        path: What the file is called.

    Raises:
        ParamsError: A stage would refuse them; with its sentence.
    """
    require_names(values, path)
    for key, kind in (("seed", SeedParams), ("classes", ClassesParams)):
        if key in values:
            top_level(values, kind)
    for name in values:
        if name not in ("seed", "classes"):
            _require_pairs(section(values, name, _kind(name)))
    if "image" in values:
        _require_sides(values, section(values, "image", ImageParams))
    if "evaluate" in values:
        from cxr.evaluation.candidates import evaluate_params

        evaluate_params(values)


# Of each section by name, where its class is; loaded only where there is such a section, for some load much.
_KINDS = {
    "image": "cxr.core.params:ImageParams",
    "runtime": "cxr.core.params:RuntimeParams",
    "prepare": "cxr.dataset.prepare:PrepareParams",
    "balance": "cxr.dataset.sampling:BalanceParams",
    "split": "cxr.dataset.sampling:SplitParams",
    "evaluate": "cxr.evaluation.candidates:EvaluateParams",
    "train_gate": "cxr.training.params:GateParams",
    "train_lungs": "cxr.training.params:LungParams",
    "train_teachers": "cxr.training.params:TeachersParams",
    "train_student": "cxr.training.params:StudentParams",
    "ensemble": "cxr.inference.ensemble:EnsembleParams",
    "last_layer": "cxr.training.last_layer:LastLayerParams",
    "leave_source_out": "cxr.training.refit_plan:LeaveSourceOutParams",
    "leave_hospital_out": "cxr.training.refit_plan:LeaveHospitalOutParams",
    "out_of_scope": "cxr.dataset.prepare:OutOfScopeParams",
}


def _kind(name: str) -> type[Section]:
    """Return the class of a section."""
    if name not in _KINDS:
        return _of_network(name.removeprefix(TRAINING))
    module, _, kind = _KINDS[name].partition(":")
    found: type[Section] = getattr(import_module(module), kind)
    return found


def _of_network(name: str) -> type[Section]:
    """Return the class of a training's section as its module states it; read, for to import it loads TensorFlow."""
    path = Path(models.__file__).with_name(f"{name}.py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and len(node.value.args) > 1:
            (target, *_), stated = node.targets, ast.unparse(node.value.args[1])
            if ast.unparse(target) == "ARCHITECTURE" and hasattr(models, stated):
                found: type[Section] = getattr(models, stated)
                return found
    return models.architecture(name).params  # of a class of its own, or no network: that is said


def _require_pairs(own: Section) -> None:
    """Check values that are right alone and contradict each other."""
    from cxr.dataset.sampling import BalanceParams, SplitParams, fold_counts, require_rows

    if isinstance(own, SplitParams):
        fold_counts(own)
    if isinstance(own, BalanceParams):
        require_rows(own)


def _require_sides(values: Mapping[str, Any], image: ImageParams) -> None:
    """Check that no network looks at larger planes than there are."""
    planes = plane_sides(values, image)
    for key in values:
        if key.startswith(TRAINING) and "side" in _kind(key).model_fields:
            side = section(values, key, _kind(key)).model_dump()["side"]
            there = image.small if key in BESIDES else planes[key.removeprefix(TRAINING)]
            if side > there:
                raise ParamsError(
                    f"params.yaml: {key}.side is {side}, but the planes have {there} pixels; lower it, or raise "
                    "image.side"
                )
