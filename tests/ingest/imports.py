"""Import a release in tests, and its refusals."""

from pathlib import Path

import pytest

from cxr.core.errors import CxrError
from cxr.ingest.archive import Limits
from cxr.ingest.importer import Staged, open_project, put_in_place, require_readable, staged
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
