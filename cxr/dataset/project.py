"""What an import needs to know of the project that the release goes to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr.dataset.preparing import PrepareParams
from cxr.dataset.tracking import require_dvc, with_expected_files
from cxr.params import DataParams, read_params, section, top_level

PARAMS_FILE = "params.yaml"


@dataclass(frozen=True, slots=True)
class Project:
    """Where a release goes.

    Attributes:
        root: The folder with params.yaml.
        data: Classes and image side, from the top level of params.yaml.
        discard: Labels that may be there but are not screened for.
    """

    root: Path
    data: DataParams
    discard: Sequence[str]


def open_project(root: Path, dvc: bool) -> Project:
    """Read what an import needs to know of the project at `root`.

    Raises:
        ParamsError: params.yaml is absent or wrong.
        DataError: `dvc` is wanted and cannot work there.
    """
    values = read_params(root / PARAMS_FILE)
    data, prepare = top_level(values, DataParams), section(values, "prepare", PrepareParams)
    with_expected_files((root / PARAMS_FILE).read_text(encoding="utf-8"), 1)  # fails now rather than after the work
    if dvc:
        require_dvc(root)
    return Project(root, data, prepare.discard)
