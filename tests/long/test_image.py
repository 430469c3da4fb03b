"""The container image, where something here can build it: no root, no network, films read-only."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom
from tests.imports import ROOT

NAME = "cxr-batch-test"


def builder() -> str | None:
    """Return a program that can build here: docker without its daemon cannot."""
    found = [name for name in ("docker", "podman") if shutil.which(name)]
    return next((name for name in found if subprocess.run([name, "info"], capture_output=True).returncode == 0), None)


BUILDER = builder()
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(BUILDER is None, reason="neither docker nor podman can build here"),
]


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BUILDER), *map(str, command)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def image() -> str:
    done = run("build", "-t", NAME, ROOT)
    assert done.returncode == 0, done.stderr
    return NAME


def test_it_screens_as_the_page_of_installing_says(image: str, tmp_path: Path) -> None:
    films, out = tmp_path / "films", tmp_path / "out"
    films.mkdir()
    out.mkdir()
    for number in range(4):
        Image.fromarray(draw_phantom(list(Finding)[number], (number, 5), 0).luminance).save(films / f"{number}.png")
    limits = ("--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--user", f"{os.getuid()}:{os.getgid()}")
    done = run("run", *limits, "-v", f"{films}:/data:ro", "-v", f"{out}:/out", image)
    assert done.returncode == 0, done.stderr
    assert len((out / "results.csv").read_text(encoding="utf-8").splitlines()) == 5
    assert (out / "sheet.html").is_file()


def test_nobody_is_root_in_it(image: str) -> None:
    assert run("run", "--rm", "--entrypoint", "id", image, "-u").stdout.strip() == "10001"
