"""Where the results go: a file, found writable before any work is done, or stdout."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.errors import CxrError

if TYPE_CHECKING:
    from cxr.screening.results import Row

STDOUT = "-"


def check_output(output: str) -> None:
    """Find out whether `output` can be written; nothing is left behind.

    Raises:
        CxrError: Its folder is absent or not writable, or `output` is a folder or a device.
    """
    if output == STDOUT:
        return
    path = _resolved(output)
    if path.exists() and not path.is_file():
        raise CxrError(f"cannot write {output}: it is not a file; give the name of a CSV file, or '-' for stdout")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise CxrError(
            f"cannot write {output}: {error.strerror} ({path.parent}); create that folder or choose another"
        ) from error


def write_output(output: str, rows: Sequence["Row"], classes: Sequence[str]) -> None:
    """Write the results of a whole run. Raises CxrError where a file cannot be written."""
    from cxr.files import write_text
    from cxr.screening.results import to_csv

    text = to_csv(rows, classes)
    if output == STDOUT:
        # Bytes, so that neither the locale nor the platform changes encoding or line ends.
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
        return
    try:
        write_text(_resolved(output), text)
    except OSError as error:
        raise CxrError(f"cannot write {output}: {error.strerror}; nothing was written, run again") from error


def _resolved(output: str) -> Path:
    """Follow links, so that a link to a results file stays a link."""
    return Path(output).resolve()
