"""A stand-in for every network that is loaded."""

import pytest

import cxr
from tests.screening.fakes import FakeModel


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """What `load_model` returns for any folder."""
    fake = FakeModel()
    monkeypatch.setattr(cxr.inference.model_folder, "load_model", lambda *_: fake)
    return fake
