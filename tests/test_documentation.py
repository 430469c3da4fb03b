"""Every link in Markdown leads somewhere, README.md stays short, and the site has every page."""

import re
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.imports import ROOT

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in chain(
        ROOT.glob("*.md"), ROOT.glob("docs/**/*.md"), ROOT.glob("benchmarks/*.md"), ROOT.glob("weights/*/*.md")
    )
)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMENTED_ANCHOR = re.compile(r'<a (?:id|name)="([^"]+)"')


def text_of(path: Path) -> str:
    return FENCED.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives a page."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *$", text_of(path), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.add(slug if slug not in found else f"{slug}-1")
    return found | set(COMMENTED_ANCHOR.findall(text_of(path)))


def dead_links(page: str) -> list[str]:
    path = ROOT / page
    dead = []
    for link in LINK.findall(text_of(path)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / unquote(name)).resolve() if name else path
        known = target.exists() and target.is_relative_to(ROOT)
        if not known or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    assert dead_links(page) == []


def test_a_dead_link_would_be_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tests.test_documentation.ROOT", tmp_path)
    (tmp_path / "a.md").write_text(
        "# A `b` c\n[x](#a-b-c) [x](gone.md) [x](a.md#gone) [x](https://x.y/z)\n```\n[x](no)\n```\n"
    )
    assert dead_links("a.md") == ["gone.md", "a.md#gone"]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


def test_the_commands_of_the_readme_stand_on_the_page_of_installing_too() -> None:
    blocks = re.findall(r"^```(?:sh|powershell)\n(git clone.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert len(blocks) == 2
    assert all(block.count("\n") == 5 and block in (ROOT / "docs/install.md").read_text() for block in blocks)


def test_every_page_is_in_the_navigation() -> None:
    trees = {page: re.findall(r"```\{toctree\}\n(.*?)```", (ROOT / page).read_text(), re.S) for page in PAGES}
    listed = set()
    for page, found in trees.items():
        names = [line for tree in found for line in tree.splitlines() if line and not line.startswith(":")]
        folder = (ROOT / page).parent
        listed |= {path.resolve() for name in names for path in folder.glob(f"{name}.md")}
    there = {ROOT / page for page in PAGES} - {ROOT / "README.md", ROOT / "docs/index.md"}
    assert {path.relative_to(ROOT).as_posix() for path in there - listed} == set()
