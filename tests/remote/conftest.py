from pathlib import Path

import pytest

from tests.screening.drawings import save
from tests.screening.loaded import model

__all__ = ["model"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Names and contents of every kind that a listing has to carry."""
    folder = tmp_path / "scans"
    for number in range(12):
        save(folder, f"ward {number % 3}/{number:02}.png", (20 * number, 255 - 20 * number, 100))
    save(folder, "ünïcode/100%+a&b.png")
    save(folder, ".hidden/left-out.png")
    save(folder, ".left-out.png")
    (folder / "empty.png").write_bytes(b"")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    (folder / "no-suffix").write_bytes((folder / "ward 0/00.png").read_bytes())
    (folder / "notes").write_text("no image")
    return folder
