from pathlib import Path

import pytest

import cxr.model_folder
from tests.screening.drawings import save
from tests.screening.fakes import FakeModel


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """What `load_model` returns for any folder."""
    fake = FakeModel()
    monkeypatch.setattr(cxr.model_folder, "load_model", lambda *_: fake)
    return fake


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Three pictures, one for each class."""
    folder = tmp_path / "scans"
    save(folder, "a/left.png", (255, 0, 0))
    save(folder, "a/middle.PNG", (0, 255, 0))
    save(folder, "b/right.JpEg", (0, 0, 255))
    return folder
