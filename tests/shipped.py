"""What ships, as a test needs it: one small network of its own, whatever the packaged model is made of."""

import shutil
from pathlib import Path

from cxr.files import read_json, write_json
from cxr.gate import GATE_FILES
from cxr.model_folder import DESCRIPTION_FILE, packaged_folder


def ungated(folder: Path) -> Path:
    """Copy the fast packaged model, a single network, to `folder`, without its gate."""
    shutil.copytree(packaged_folder().with_name("packaged_fast"), folder)
    for name in GATE_FILES:
        (folder / name).unlink()
    description = read_json(folder / DESCRIPTION_FILE)
    write_json(folder / DESCRIPTION_FILE, {key: value for key, value in description.items() if key != "gate"})
    return folder
