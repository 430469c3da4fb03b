"""Pictures for screening tests, named by what they show."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def bars(*levels: int, side: int = 24) -> Image.Image:
    """Vertical bars of equal width with these grey levels."""
    columns = np.repeat(np.asarray(levels, np.uint8), side // len(levels))
    return Image.fromarray(np.tile(columns, (side, 1)))


def save(folder: Path, name: str, levels: Sequence[int] = (200, 100, 50)) -> Path:
    """Save bars as PNG bytes under `name`, whatever its suffix says."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        bars(*levels).save(file, "PNG")
    return path


def save_mixed(folder: Path) -> Path:
    """Save thirty bars, an empty file that is called a picture, and a file that is none; return the folder."""
    for number in range(30):
        save(folder, f"{number:02}.png", (number, 3 * number, 5 * number))
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes").write_text("no image")
    return folder
