"""Tell params.yaml and DVC about a new `data/`."""

import importlib.util
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from cxr.errors import DataError, ParamsError
from cxr.files import write_text

DATA = "data"
VALUE = re.compile(r"([^\s#,{}]+)([ \t]*)(?=(#?))")


def with_expected_files(text: str, count: int) -> str:
    """Return the text of a params.yaml with `prepare.expected_files` set to `count` and every other byte kept.

    Only the value's characters change (and the blanks before a comment, to keep its column): a round trip through a
    YAML writer would rewrite `null` and indents too.

    Raises:
        ParamsError: There is no such key with a plain value.
    """
    section = YAML().load(text).get("prepare")
    if not isinstance(section, CommentedMap) or not isinstance(section.get("expected_files"), int):
        raise ParamsError("params.yaml has no number prepare.expected_files; add 'expected_files: 1' under 'prepare'")
    line, column = section.lc.value("expected_files")
    lines = text.split("\n")
    head, tail = lines[line][:column], lines[line][column:]
    lines[line] = head + VALUE.sub(lambda match: _same_width(match, count), tail, count=1)
    changed = "\n".join(lines)
    if YAML(typ="safe").load(changed)["prepare"]["expected_files"] != count:
        raise ParamsError("params.yaml: prepare.expected_files is not a plain number; write it as 'expected_files: 1'")
    return changed


def require_dvc(root: Path) -> None:
    """Raise DataError unless `dvc add` can work in `root`."""
    if importlib.util.find_spec("dvc") is None:
        raise DataError("DVC is not installed here; run: pip install 'cxr-batch[pipeline]', or give --no-dvc")
    if not any((folder / ".dvc").is_dir() for folder in (root.absolute(), *root.absolute().parents)):
        raise DataError(
            f"{root.absolute()} is not in a DVC project: run 'git init && dvc init' there, or give --no-dvc"
        )


def dvc_add(root: Path) -> None:
    """Track `root`/data with DVC, tied to no remote: the sample's remote must never receive the user's images.

    Raises:
        DataError: DVC fails, with its own words.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "add", "--quiet", DATA], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DataError(f"'dvc add {DATA}' failed; everything was put back as it was. DVC says: {done.stderr.strip()}")
    drop_remote(root / f"{DATA}.dvc")


def drop_remote(path: Path) -> None:
    """Remove the key `remote` from the outputs of a .dvc file; comments stay."""
    yaml = YAML()
    yaml.width = 4096
    yaml.preserve_quotes = True
    content = yaml.load(path)
    with_remote = [out for out in content["outs"] if "remote" in out]
    for out in with_remote:
        del out["remote"]
    if with_remote:
        text = StringIO()
        yaml.dump(content, text)
        write_text(path, text.getvalue())


def _same_width(match: re.Match[str], count: int) -> str:
    value, blanks, comment = match.groups()
    if not comment:
        return f"{count}{blanks}"
    return f"{count} ".ljust(len(value) + len(blanks))
