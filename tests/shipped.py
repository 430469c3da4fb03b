"""What ships, as a test needs it: the packaged network alone."""

import shutil
from pathlib import Path

from cxr.core.files import read_json, write_json
from cxr.inference.gate import GATE_FILES
from cxr.inference.lungs import LUNGS, LUNGS_FILES
from cxr.inference.model_folder import packaged_folder
from cxr.inference.network import DESCRIPTION_FILE


def ungated(folder: Path) -> Path:
    """Copy the packaged model to `folder`, without its gate and its lung segmenter."""
    shutil.copytree(packaged_folder(), folder)
    for name in (*GATE_FILES, *LUNGS_FILES):
        (folder / name).unlink()
    description = read_json(folder / DESCRIPTION_FILE)
    write_json(
        folder / DESCRIPTION_FILE, {key: value for key, value in description.items() if key not in ("gate", LUNGS)}
    )
    return folder
