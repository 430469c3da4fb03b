from pathlib import Path

import pytest

from cxr.errors import Reason
from cxr.images import FORMATS, MAX_PIXELS, SUFFIXES
from cxr.screening.discover import discover
from cxr.screening.results import to_csv
from cxr.screening.run import screen
from tests.screening.drawings import save
from tests.screening.fakes import FakeModel

PAGE = (Path(__file__).parents[2] / "docs" / "results-csv.md").read_text(encoding="utf-8")


def example(folder: Path) -> str:
    save(folder, "ward 1/left.png", (200, 100, 50))
    save(folder, "ward 2/left.png", (40, 60, 90))
    save(folder, "ward 2/lateral, second.png", (10, 90, 30))
    save(folder, "=1+1.png", (120, 120, 120))
    (folder / "ward 2" / "half-copied.png").write_bytes(b"")
    model = FakeModel()
    return to_csv(screen(folder, discover(folder).images, model), model.classes)


def test_the_example_is_what_the_code_writes(tmp_path: Path) -> None:
    assert f"```csv\n{example(tmp_path)}```" in PAGE


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_documented_once(reason: Reason) -> None:
    assert PAGE.count(f"\n| `{reason}` |") == 1


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_suffix_is_documented(suffix: str) -> None:
    assert f"`{suffix}`" in PAGE


def test_limits_and_formats_are_the_codes() -> None:
    assert f"{MAX_PIXELS:,} pixels" in PAGE
    row = next(line for line in PAGE.splitlines() if line.startswith("| `not_an_image`"))
    assert all(name.lower() in row.lower() for name in FORMATS)
