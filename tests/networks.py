"""The networks of both pipelines, and how a test builds one without a whole recipe."""

from dataclasses import replace
from importlib import import_module

from cxr.core.params import read_params
from cxr.models import PretrainedParams, PublishedWeights, TrainParams, architecture, networks
from tests.imports import ROOT

NAMES = networks(read_params(ROOT / "params.yaml", ROOT / "release/params.yaml"))
# Without those that somebody has added by hand, who needs no page of this repository for it.
SHIPPED = [
    name
    for name in NAMES
    if (ROOT / f"stages/train_{name}.py").is_file() or name in networks(read_params(ROOT / "release/params.yaml"))
]
RECIPE = {"epochs": 1, "patience": 1, "learning_rate": 0.001, "augment": {}}


def recipe(name: str, side: int, **values) -> TrainParams:
    kind = architecture(name).params
    weights = {"weights": "random"} if issubclass(kind, PretrainedParams) else {}
    return kind(**RECIPE | weights | {"side": side} | values)


def build(name: str, plane_side: int, side: int, classes: int, dropout: float, imagenet=None, **values):
    """Build an untrained network; `values` are those of its recipe that matter."""
    weights = () if imagenet is None else (imagenet,)
    return architecture(name).build(plane_side, classes, recipe(name, side, dropout=dropout, **values), *weights)


def publish(monkeypatch, name: str, published: PublishedWeights) -> None:
    """Let other weights be the published ones of a network."""
    monkeypatch.setattr(f"cxr.models.{name}.ARCHITECTURE", replace(architecture(name), published=published))


def published(name: str) -> PublishedWeights:
    found = import_module(f"cxr.models.{name}").ARCHITECTURE.published
    assert found is not None
    return found
