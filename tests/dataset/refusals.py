"""Ask an archive for its refusal."""

from pathlib import Path

import pytest

from cxr.dataset.archive import Limits, unpack
from cxr.errors import DataError


def refused(archive: Path, into: Path, limits: Limits | None = None) -> str:
    """Return the sentence with which `unpack` refuses the archive."""
    with pytest.raises(DataError) as caught:
        unpack(archive, into, limits)
    return str(caught.value)
