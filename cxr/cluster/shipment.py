"""What every worker needs to screen as the process that began the run would.

The networks lie in the folder of parts, which every worker sees; the rest is sent as one small value.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr import __version__
from cxr.errors import DataError, OutputError
from cxr.files import JsonObject
from cxr.model_folder import ScreeningModel
from cxr.screening.duty import at_points, load_all
from cxr.screening.fingerprint import check_same, decoder
from cxr.screening.parts import NETWORKS
from cxr.screening.schema import Schema
from cxr.screening.store import Root
from cxr.screening.work import Work


@dataclass(frozen=True, slots=True)
class Shipment:
    """A run, as a worker sees it.

    Attributes:
        points: The operating point in force of each; empty without decisions.
        root: Where the pictures lie; a store opens connections of its own.
        keywords: DICOM attributes to read.
        schema: Of the table.
        parts: Folder of parts, which every worker must see.
        fingerprint: What `cxr.screening.fingerprint` says where the run began.
    """

    points: Sequence[str]
    root: Root
    keywords: tuple[str, ...]
    schema: Schema
    parts: Path
    fingerprint: JsonObject

    def check_here(self) -> None:
        """Find out whether this machine would give the same rows, and sees the folder of parts.

        Raises:
            ResumeError: Another version of the tool or of the decoder is installed here.
            DataError: The folder is not there.
        """
        here = self.fingerprint | {"tool": __version__, "decoder": decoder()}
        check_same(here, self.fingerprint, "the worker's run", "install the same versions on every node")
        if not self.parts.is_dir():
            raise DataError(
                f"a worker cannot see {self.parts}; with --engine ray, the results must lie in a folder that every "
                f"node has at the same path, such as a network share"
            )

    def models(self) -> list[ScreeningModel]:
        """Load the networks. Raises ModelError where one cannot be loaded."""
        folders = [self.parts / NETWORKS / str(number) for number in range(len(self.points))]
        return at_points(load_all(folders), self.points)


def ship(work: Work, parts: Path, fingerprint: JsonObject) -> Shipment:
    """Copy the networks of a run to where its workers find them, and return the rest of what they need.

    Raises:
        OutputError: They cannot be copied.
    """
    try:
        for number, model in enumerate(work.models):
            shutil.copytree(model.folder, parts / NETWORKS / str(number), dirs_exist_ok=True)
    except OSError as error:  # of copytree: a list of pairs and reasons
        raise OutputError(f"cannot write {parts}: the networks cannot be copied there ({error})") from error
    models = work.models
    return Shipment(
        points=[model.operating_point for model in models],
        root=work.asked.naming.root,
        keywords=work.keywords,
        schema=work.schema,
        parts=parts,
        fingerprint=fingerprint,
    )
