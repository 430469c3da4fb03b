"""Chest radiographs in, probabilities with provenance out: a DVC pipeline and a bulk screening tool."""

__version__ = "0.1.0"
__all__ = ["CxrError", "Model", "Result", "load_model", "screen"]


def __getattr__(name: str) -> object:
    """Load the functions for notebooks when they are first asked for: commands need none of them to begin."""
    if name not in __all__:
        raise AttributeError(f"module 'cxr' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("cxr.api"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
