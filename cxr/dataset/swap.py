"""Replace `data/` and the files that describe it together, or not at all."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

LEFTOVER = ".cxr-import-"


@contextmanager
def workspace(root: Path) -> Iterator[Path]:
    """Give a temporary folder in `root`, so on its file system, that Git does not see; removed in the end."""
    work = Path(tempfile.mkdtemp(dir=root, prefix=LEFTOVER))
    try:
        (work / ".gitignore").write_text("*\n")
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def replacing(target: Path, new: Path, aside: Path, described_by: Sequence[Path]) -> Iterator[None]:
    """Put the folder `new` at `target`; if the block then fails, by Ctrl-C too, put back what was there.

    Args:
        target: May be absent.
        new: On the same file system.
        aside: Where the old folder waits; must not exist. It is left there when the block ends well.
        described_by: Files whose bytes are put back on failure; those absent before are removed.
    """
    before = {path: path.read_bytes() if path.is_file() else None for path in described_by}
    had_old = target.exists() or target.is_symlink()
    try:
        if had_old:
            target.rename(aside)
        new.rename(target)
        yield
    except BaseException:
        _put_back(target, new, aside)
        for path, content in before.items():
            _restore(path, content)
        raise


def leftovers(root: Path) -> list[Path]:
    """Return the workspaces that killed imports left in `root`, sorted."""
    return sorted(root.glob(f"{LEFTOVER}*"))


def _put_back(target: Path, new: Path, aside: Path) -> None:
    if not new.exists():
        with suppress(FileNotFoundError):
            target.rename(new)
    if aside.exists() or aside.is_symlink():
        aside.rename(target)


def _restore(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    elif not path.is_file() or path.read_bytes() != content:
        path.write_bytes(content)
