"""Where results go: the files of one run, found writable before any work is done, and written by one run at a time."""

import errno
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from cxr.core.errors import OutputError
from cxr.core.files import alone, read_json, real, reason_of, refused
from cxr.screening.paths import printable
from cxr.screening.tables import is_partitioned


@dataclass(frozen=True, slots=True)
class OutputFiles:
    """The files beside each other that one output consists of.

    Attributes:
        results: Absolute; links are followed, so that a link to a results file stays a link.
    """

    results: Path

    @property
    def journal(self) -> Path:
        """What the run has done so far."""
        return self.results.with_name(f"{self.results.name}.journal")

    @property
    def parts(self) -> Path:
        """What a run on many machines has done so far, a folder."""
        return self.results.with_name(f"{self.results.name}.parts")

    @property
    def manifest(self) -> Path:
        """What the results were made from."""
        return self.results.with_suffix(".manifest.json")

    @property
    def lock(self) -> Path:
        """Held while a run writes."""
        return self.results.with_name(f".{self.results.name}.lock")

    @property
    def all(self) -> frozenset[str]:
        """All paths as text."""
        return frozenset(map(str, (self.results, self.journal, self.parts, self.manifest, self.lock)))


def output_files(results: Path, *, partitioned: bool = False) -> OutputFiles:
    """Return the files of an output and find out whether they can be written; nothing is left behind.

    Args:
        results: The table.
        partitioned: Whether it is to be a folder of Parquet files.

    Raises:
        OutputError: The folder is absent or not writable, or a name is taken by something else.
    """
    files = OutputFiles(real(results))
    if files.results.is_symlink():
        raise OutputError(f"cannot write {results}: its links lead in a circle; give another name")
    if partitioned and files.results.exists() and not is_partitioned(files.results):
        raise OutputError(f"cannot write {results}: with --partitions it is a folder, and there is something else")
    for path in (*([] if partitioned else [files.results]), files.journal, files.manifest):
        if path.exists() and not path.is_file():
            raise OutputError(f"cannot write {path}: it is not a file; give the name of a file, or '-' for stdout")
    try:
        with tempfile.TemporaryFile(dir=files.results.parent):
            pass
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise refused(OSError(error.errno, error.strerror), results) from error  # it names a temporary file
        raise OutputError(
            f"cannot write {results}: {reason_of(error)} ({files.results.parent}); create that folder or choose another"
        ) from error
    _check_manifest(files)
    return files


def locked(files: OutputFiles) -> AbstractContextManager[None]:
    """Keep other runs away from the same output. Raises OutputError where one is at work."""
    return alone(files.lock, f"another cxr-batch is writing {files.results}; wait for it or give another output")


def _check_manifest(files: OutputFiles) -> None:
    """Refuse to replace the manifest of another table, such as that of results.csv by that of results.jsonl."""
    try:
        described = read_json(files.manifest)["results"]["file"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError):
        described = None
    if described != printable(files.results.name):
        raise OutputError(
            f"{files.manifest} describes {described or 'something else'}, not {files.results.name}, and would be "
            f"replaced; give an output whose name before the ending differs, such as 2-{files.results.name}, or move "
            "that file away"
        )
