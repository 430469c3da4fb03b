"""Untrained networks as their modules in cxr/models build them, for planes of their own side."""

from pathlib import Path


def build(name, side, classes=3):
    """Build the network `name` by its recipe in params.yaml, for planes of `side` pixels."""
    from cxr.core.params import read_params, section
    from cxr.models import architecture

    network = architecture(name)
    values = read_params(Path(__file__).resolve().parent.parent / "params.yaml")
    recipe = section(values, f"train_{name}", network.params).model_copy(update={"side": side})
    return network.build(side, classes, recipe)
