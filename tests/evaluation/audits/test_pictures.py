from io import BytesIO

import numpy as np
from PIL import Image

from cxr.evaluation.audits.pictures import SIDE, overlay, thumbnail

PLANE = np.tile(np.arange(128, dtype=np.uint8), (128, 1))


def opened(data):
    image = Image.open(BytesIO(data))
    assert image.format == "PNG"
    assert image.size == (SIDE, SIDE)
    return image


def test_a_thumbnail_is_the_film_in_grey_without_anything_beside_the_pixels():
    image = opened(thumbnail(PLANE))
    assert image.mode == "L"
    assert image.info == {}
    assert np.abs(np.asarray(image.resize((128, 128))).astype(int) - PLANE).max() <= 2


def test_an_overlay_is_coloured_where_the_map_is_high_and_nearly_grey_elsewhere():
    cam = np.zeros((8, 8), np.float32)
    cam[2, 2] = 3.0
    pixels = np.asarray(opened(overlay(PLANE, cam)).convert("RGB")).astype(int)
    colour = pixels.max(axis=-1) - pixels.min(axis=-1)
    assert colour[50, 50] > 80
    assert colour[120:].max() <= 8
    assert pixels[50, 50, 0] > pixels[50, 50, 2]  # the ramp ends in red


def test_a_blank_map_leaves_the_film_as_it_is():
    pixels = np.asarray(opened(overlay(PLANE, np.zeros((4, 4), np.float32))).convert("RGB")).astype(int)
    plain = np.asarray(opened(thumbnail(PLANE))).astype(int)
    assert np.abs(pixels - plain[..., None]).max() <= 4


def test_equal_films_give_equal_bytes_and_small_ones():
    cam = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    assert overlay(PLANE, cam) == overlay(PLANE.copy(), cam.copy())
    assert thumbnail(PLANE) == thumbnail(PLANE.copy())
    assert max(len(overlay(PLANE, cam)), len(thumbnail(PLANE))) < 30_000
