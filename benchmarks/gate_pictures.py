"""Pictures that are no frontal chest radiographs, out of Python packages and drawn here: no gate is trained on them.

Each function gives uint8 (height, width) or (height, width, 3), of one kind. What a package does not ship is left out.
"""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom

Picture = NDArray[np.uint8]
PER_KIND = 24
REPORT = "the patient was seen with fever cough and no pain chest film of today shows clear lungs heart of usual size"


class MissingError(Exception):
    """A package that ships pictures is not installed."""


def shipped(package: str, *places: str) -> list[Path]:
    """Return the files of a package that exist; raises MissingError where it is not installed."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise MissingError(package)
    return [path for place in places if (path := Path(found.origin).parent / place).exists()]


def skimage_data(*names: str) -> list[Picture]:
    """Read pictures of scikit-image's wheel."""
    return [opened(path) for path in shipped("skimage", *(f"data/{name}" for name in names))]


def opened(path: Path) -> Picture:
    """Read a file, grey or RGB."""
    image = Image.open(path)
    return np.asarray(image if image.mode == "L" else image.convert("RGB"))


def windows(pictures: list[Picture], count: int = PER_KIND, smallest: float = 0.5) -> Iterator[Picture]:
    """Give the pictures whole, then windows of each in turn, of half the side and more, until there are `count`."""
    rng = np.random.default_rng(5)
    yield from islice(pictures, count)
    for picture in islice(cycle(pictures), max(count - len(pictures), 0)):
        share, place = rng.uniform(smallest, 0.9), rng.random(2)
        height, width = (int(share * length) for length in picture.shape[:2])
        top, left = (int(p * (n - m)) for p, n, m in zip(place, picture.shape, (height, width), strict=False))
        yield picture[top : top + height, left : left + width]


def grey(pictures: Iterator[Picture]) -> Iterator[Picture]:
    """Give pictures without colour."""
    for picture in pictures:
        yield np.asarray(Image.fromarray(picture).convert("L"))


def photographs() -> Iterator[Picture]:
    """People, animals, things, buildings: in colour."""
    names = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "motorcycle_right.png")
    paths = shipped("sklearn", "datasets/images/china.jpg", "datasets/images/flower.jpg")
    paths += shipped("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")
    return windows([*skimage_data(*names), *map(opened, paths)])


def grey_photographs() -> Iterator[Picture]:
    """The same without colour, and some that never had any."""
    return grey(windows([*skimage_data("camera.png", "coins.png", "clock_motion.png"), *islice(photographs(), 9)], 36))


def textures() -> Iterator[Picture]:
    """Brick, grass, gravel."""
    return windows(skimage_data("brick.png", "grass.png", "gravel.png"), smallest=0.3)


def microscopy() -> Iterator[Picture]:
    """Cells and stained tissue, grey."""
    return grey(windows(skimage_data("cell.png", "ihc.png"), smallest=0.3))


def retinas() -> Iterator[Picture]:
    """Retina and its vessels, grey: a medical picture of another organ."""
    return grey(windows(skimage_data("retina.jpg", "microaneurysms.png")))


def skies() -> Iterator[Picture]:
    """Moon and galaxies, grey."""
    return grey(windows(skimage_data("moon.png", "hubble_deep_field.jpg")))


def pages() -> Iterator[Picture]:
    """Photographs of printed and handwritten pages."""
    return windows(skimage_data("page.png", "text.png"), smallest=0.4)


def faces() -> Iterator[Picture]:
    """Faces of 25 pixels, and as many places without, enlarged."""
    (path,) = shipped("skimage", "data/lfw_subset.npy")
    for face in np.load(path)[:: 200 // PER_KIND][:PER_KIND]:
        yield enlarged(np.rint(255 * face).astype(np.uint8))


def digits() -> Iterator[Picture]:
    """Handwritten digits of 8 pixels, enlarged."""
    shipped("sklearn")
    images = importlib.import_module("sklearn.datasets").load_digits().images[:PER_KIND]
    for digit in images:
        yield enlarged(np.rint(digit * (255 / 16)).astype(np.uint8))


def slices() -> Iterator[Picture]:
    """A slice of magnetic resonance, and Shepp and Logan's head: whole and windows of them."""
    import gzip

    (path,) = shipped("matplotlib", "mpl-data/sample_data/s1045.ima.gz")
    pixels = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint16).reshape(256, 256).astype(np.float64)
    head = np.clip(pixels / np.quantile(pixels, 0.995) * 255, 0, 255).astype(np.uint8)
    return grey(windows([head, *skimage_data("phantom.png")], smallest=0.6))


def dicom_frames(modality: str, *names: str) -> list[Picture]:
    """Read the first frames of pydicom's test files of a modality, at the whole range and, of CT, at three windows."""
    pictures: list[Picture] = []
    for path in shipped("pydicom", *(f"data/test_files/{name}" for name in names)):
        dataset = importlib.import_module("pydicom").dcmread(path)
        frames = dataset.pixel_array.astype(np.float64)
        frames = frames.mean(axis=-1) if dataset.SamplesPerPixel == 3 else frames
        for frame in frames[::8] if frames.ndim == 3 else [frames]:
            pictures.append(windowed(frame, *np.quantile(frame, [0.002, 0.998])))
        if modality == "CT":
            units = frames * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
            pictures += [windowed(units, low, high) for low, high in ((-1200, 300), (-160, 240), (-300, 1500))]
    return pictures


def ct_slices() -> Iterator[Picture]:
    """Slices of a head and of a back by computed tomography, whole and windows of them."""
    return windows(dicom_frames("CT", "CT_small.dcm", "J2K_pixelrep_mismatch.dcm", "693_J2KI.dcm"), smallest=0.7)


def mr_slices() -> Iterator[Picture]:
    """Slices of a belly and a knee by magnetic resonance, whole and windows of them."""
    return windows(dicom_frames("MR", "examples_overlay.dcm", "MR_small.dcm"), smallest=0.7)


def ultrasounds() -> Iterator[Picture]:
    """Pictures of a heart, a lymph node and a belly as ultrasound scanners show them."""
    names = ("examples_ybr_color.dcm", "examples_rgb_color.dcm", "examples_palette.dcm")
    return windows(dicom_frames("US", *names), smallest=0.7)


def brains() -> Iterator[Picture]:
    """Slices of brains by magnetic resonance, in three directions: a mean of 152 heads, and single ones."""
    volumes = [
        *shipped("nilearn", "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"),
        *shipped("dipy", "data/files/S0_10slices.nii.gz", "data/files/aniso_vox.nii.gz"),
        *shipped("nibabel", "tests/data/example4d.nii.gz"),
    ]
    load = importlib.import_module("nibabel").load
    for path in volumes:
        volume = np.asarray(load(path).dataobj, np.float64).reshape(*load(path).shape[:3], -1)[..., 0]
        for axis in range(3) if min(volume.shape) > 50 else (2,):
            for share in (0.35, 0.45, 0.55, 0.65):
                cut = np.rot90(volume.take(int(share * volume.shape[axis]), axis))
                yield windowed(cut, *np.quantile(cut, [0.002, 0.998]))


def terrains() -> Iterator[Picture]:
    """Heights of land and sea as grey levels."""
    (jacksboro, topobathy) = shipped(
        "matplotlib", "mpl-data/sample_data/jacksboro_fault_dem.npz", "mpl-data/sample_data/topobathy.npz"
    )
    heights = [np.load(jacksboro)["elevation"], np.load(topobathy)["topo"]]
    return windows([levels(np.asarray(height, np.float64)) for height in heights], smallest=0.3)


def charts() -> Iterator[Picture]:
    """Lines, bars, points, pies and maps of heat by matplotlib, in colour and grey."""
    shipped("matplotlib")
    pyplot = importlib.import_module("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    rng = np.random.default_rng(6)
    draws: list[Callable[..., object]] = [
        lambda axes: axes.plot(rng.normal(size=(50, 3)).cumsum(axis=0)),
        lambda axes: axes.bar(range(8), rng.random(8)),
        lambda axes: axes.scatter(*rng.normal(size=(2, 200))),
        lambda axes: axes.imshow(rng.random((6, 6)), cmap="gray"),
        lambda axes: axes.pie(rng.random(5) + 0.1),
        lambda axes: axes.hist(rng.normal(size=500), bins=30),
    ]
    for number in range(PER_KIND):
        figure, axes = pyplot.subplots(figsize=(4, 4), dpi=80)
        draws[number % len(draws)](axes)
        figure.canvas.draw()
        drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
        pyplot.close(figure)
        yield drawn if number % 2 else np.asarray(Image.fromarray(drawn).convert("L"))


def logos() -> Iterator[Picture]:
    """Signs and silhouettes."""
    small = shipped(
        "matplotlib", "mpl-data/sample_data/logo2.png", "mpl-data/sample_data/Minduka_Present_Blue_Pack.png"
    )
    return grey(windows([*skimage_data("logo.png", "horse.png"), *map(opened, small)], smallest=0.7))


def letters_of_a_doctor() -> Iterator[Picture]:
    """Scans of letters: a heading, paragraphs of words, a table."""
    rng = np.random.default_rng(7)
    words = REPORT.split()
    for _ in range(PER_KIND):
        page, font = Image.new("L", (620, 800), int(rng.integers(225, 256))), ImageFont.load_default(15)
        pen = ImageDraw.Draw(page)
        pen.text((60, 40), "RADIOLOGY REPORT", fill=20, font=ImageFont.load_default(26))
        for line in range(int(rng.integers(8, 30))):
            pen.text((60, 100 + 22 * line), " ".join(rng.choice(words, rng.integers(3, 10))), fill=30, font=font)
        yield np.asarray(page.rotate(rng.normal(0, 1), fillcolor=200))


def phantoms() -> Iterator[Picture]:
    """Drawn thoraxes of this project: like a chest film, and none."""
    for number in range(PER_KIND):
        yield draw_phantom(list(Finding)[number % len(Finding)], [900 + number], 0).luminance


def enlarged(picture: Picture, side: int = 128) -> Picture:
    """Bring a tiny picture to a usual size, smoothly."""
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))


def windowed(values: NDArray[np.float64], low: float, high: float) -> Picture:
    """Bring what lies between two numbers to 0..255."""
    return levels(np.clip(values, low, max(high, low + 1e-6)))


def levels(values: NDArray[np.float64]) -> Picture:
    """Bring numbers of any range to 0..255."""
    return np.rint(255 * (values - values.min()) / (values.max() - values.min())).astype(np.uint8)
