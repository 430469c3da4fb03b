"""What ships, as a test needs it: one small network of its own, whatever the packaged model is made of."""

import shutil
from pathlib import Path

from cxr.core.files import read_json, write_json
from cxr.inference.gate import GATE_FILES
from cxr.inference.model_folder import packaged_folder
from cxr.inference.network import DESCRIPTION_FILE


def ungated(folder: Path) -> Path:
    """Copy the fast packaged model, a single network, to `folder`, without its gate."""
    shutil.copytree(packaged_folder().with_name("packaged_fast"), folder)
    for name in GATE_FILES:
        (folder / name).unlink()
    description = read_json(folder / DESCRIPTION_FILE)
    write_json(folder / DESCRIPTION_FILE, {key: value for key, value in description.items() if key != "gate"})
    return folder
