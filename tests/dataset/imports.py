"""Import a release in tests, and its refusals."""

from pathlib import Path

import pytest

from cxr.dataset.archive import Limits
from cxr.dataset.importing import Staged, put_in_place, staged
from cxr.dataset.inspection import require_readable
from cxr.dataset.project import open_project
from cxr.errors import CxrError
from tests.dataset.releases import digest


def run(source: Path, root: Path) -> Staged:
    with staged(source, open_project(root, dvc=False), Limits()) as release:
        require_readable(release.inspected)
        put_in_place(release, dvc=False)
        return release


def refused(source: Path, root: Path) -> str:
    before = digest(root)
    with pytest.raises(CxrError) as caught:
        run(source, root)
    assert digest(root) == before, "the refused import changed the project"
    return str(caught.value)
