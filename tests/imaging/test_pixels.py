"""`ImageFacts.colour`: how colourful a picture is, whatever its mode."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cxr.imaging.decode import decode
from cxr.imaging.pixels import COLOUR_SIDE, colour_of
from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom


def film(side: int) -> Image.Image:
    return Image.fromarray(draw_phantom(Finding.NONE, (1, 2), 0).luminance).resize((side, side))


def halves(side: int = 2 * COLOUR_SIDE) -> Image.Image:
    """Left half (200, 100, 50), right half grey 90: mean chroma 75 of 255."""
    values = np.full((side, side, 3), 90, np.uint8)
    values[:, : side // 2] = (200, 100, 50)
    return Image.fromarray(values)


def colour(path: Path, image: Image.Image, **options: Any) -> float:
    image.save(path, **options)
    return decode(path, 16)[1].colour


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16"])
def test_grey_samples_have_no_colour(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(np.asarray(film(80)).astype(np.uint16) * 16) if mode == "I;16" else film(80).convert(mode)
    assert colour(tmp_path / "a.png", image) == 0.0


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize("side", [40, 100, 700])
def test_a_grey_film_saved_in_colour_has_no_colour(mode: str, side: int, tmp_path: Path) -> None:
    assert colour(tmp_path / "a.png", film(side).convert(mode)) == 0.0


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_a_grey_film_saved_as_colour_jpeg_has_hardly_any(mode: str, tmp_path: Path) -> None:
    assert colour(tmp_path / "a.jpg", film(700).convert(mode)) < 0.01


@pytest.mark.parametrize("side", [4, 2 * COLOUR_SIDE, 6 * COLOUR_SIDE])
def test_colour_is_the_mean_of_largest_less_smallest(side: int, tmp_path: Path) -> None:
    assert colour(tmp_path / "a.png", halves(side)) == pytest.approx(75 / 255, abs=1e-12)


@pytest.mark.parametrize(
    ("suffix", "mode", "tolerance"),
    [("png", "RGBA", 1e-12), ("png", "P", 0.005), ("gif", "P", 0.005), ("tif", "CMYK", 0.005), ("jpg", "CMYK", 0.03)],
)
def test_colour_does_not_depend_on_how_it_is_stored(suffix: str, mode: str, tolerance: float, tmp_path: Path) -> None:
    image = halves().quantize(4) if mode == "P" else halves().convert(mode)
    assert colour(tmp_path / f"a.{suffix}", image) == pytest.approx(75 / 255, abs=tolerance)


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_what_is_transparent_has_no_colour(mode: str, tmp_path: Path) -> None:
    if mode == "RGBA":
        image = halves().convert("RGBA")
        image.putalpha(Image.fromarray(np.repeat(np.array([[0, 255]], np.uint8), COLOUR_SIDE, 1).repeat(128, 0)))
        assert colour(tmp_path / "a.png", image) == 0.0
        return
    image = halves().quantize(2)
    number = np.asarray(image)[0, 0]
    assert colour(tmp_path / "a.png", image, transparency=int(number)) == 0.0


def test_a_strip_is_made_small_both_ways() -> None:
    values: NDArray[np.uint8] = np.zeros((3, 30_000, 3), np.uint8)
    values[:, :15_000, 0] = 255
    assert colour_of(Image.fromarray(values)) == pytest.approx(0.5, abs=0.01)


def test_measuring_changes_no_pixel() -> None:
    image = halves(1000)
    before = image.tobytes()
    colour_of(image)
    assert (image.size, image.tobytes()) == ((1000, 1000), before)
