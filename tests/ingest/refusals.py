"""Ask an archive for its refusal."""

from pathlib import Path

import pytest

from cxr.core.errors import DataError
from cxr.ingest.archive import Limits, unpack


def refused(archive: Path, into: Path, limits: Limits | None = None) -> str:
    """Return the sentence with which `unpack` refuses the archive."""
    with pytest.raises(DataError) as caught:
        unpack(archive, into, limits)
    return str(caught.value)
