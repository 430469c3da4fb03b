from pathlib import Path

import pytest

from tests.screening.drawings import save
from tests.screening.loaded import model

__all__ = ["model"]


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Three pictures, one for each class."""
    folder = tmp_path / "scans"
    save(folder, "a/left.png", (255, 0, 0))
    save(folder, "a/middle.PNG", (0, 255, 0))
    save(folder, "b/right.JpEg", (0, 0, 255))
    return folder
