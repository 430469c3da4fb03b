"""How models are named and in which order they stand."""

from cxr.files import JsonObject


def name_of(model: JsonObject) -> str:
    """Return the model's name, marked if it is the one that screens."""
    return f"{model['name']} (screening)" if model.get("screening") else str(model["name"])


def ordered(models: list[JsonObject]) -> list[JsonObject]:
    """Return the models, the screening model first, the others in their order."""
    return sorted(models, key=lambda model: not model.get("screening"))
