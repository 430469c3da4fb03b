"""The wheel, built from the source archive, screens a folder in an environment of its own."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom
from tests.commands import finish, start
from tests.dvc import copy_of_the_repository
from tests.imports import ROOT

pytestmark = pytest.mark.long
MOST_BYTES = 500 << 20  # of all that is installed; 420 MB when this was written
HEAVY = {"tensorflow", "keras", "pandas", "sklearn", "dvc", "ray", "matplotlib"}
# Another process must not find this checkout.
ALONE = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def run(*command: object, folder: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=folder, env=ALONE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel in a copy and install it alone; return the folder of the environment."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "copy").mkdir()
    source = copy_of_the_repository(folder / "copy")
    run(sys.executable, "-m", "build", "--outdir", folder / "dist", source, folder=folder)
    run(sys.executable, "-m", "venv", folder / "venv", folder=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    run(folder / "venv/bin/pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel, folder=folder)
    return folder / "venv"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for number in range(6):
        drawn = draw_phantom(list(Finding)[number % len(Finding)], (number, 5), 0)
        Image.fromarray(drawn.luminance).save(folder / f"{number}.png")
    return folder


def test_it_screens_as_this_checkout_does(installed: Path, films: Path, tmp_path: Path) -> None:
    run(installed / "bin/cxr-batch", films, "-o", tmp_path / "wheel.csv", "--report", "sheet.html", folder=tmp_path)
    status, said = finish(start(films, tmp_path / "here.csv"))
    assert status == 0, said
    assert (tmp_path / "wheel.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()
    assert (tmp_path / "sheet.html").is_file()


def test_a_notebook_finds_the_same(installed: Path, films: Path, tmp_path: Path) -> None:
    said = run(
        installed / "bin/python", "-c",
        "import sys, cxr; print(cxr.__file__); [print(r.decision) for r in cxr.screen(sys.argv[1])]", films,
        folder=tmp_path,
    ).split()  # fmt: skip
    assert said[0].startswith(str(installed))
    run(installed / "bin/cxr-batch", films, "-o", "r.csv", folder=tmp_path)
    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as file:
        assert said[1:] == [row["decision"] for row in csv.DictReader(file)]


def test_it_is_small_and_brings_nothing_of_the_pipeline(installed: Path, tmp_path: Path) -> None:
    size = sum(path.stat().st_size for path in installed.rglob("*") if path.is_file() and not path.is_symlink())
    assert size < MOST_BYTES
    packages = run(installed / "bin/pip", "list", "--format", "freeze", folder=tmp_path).lower()
    assert not HEAVY & {line.split("==")[0] for line in packages.splitlines()}


def test_the_types_are_there(installed: Path, tmp_path: Path) -> None:
    folder = Path(run(installed / "bin/python", "-c", "import cxr; print(cxr.__path__[0])", folder=tmp_path).strip())
    assert {"py.typed", "__init__.pyi"} <= {path.name for path in folder.iterdir()}
