"""Put a screening model into the package, and the card that follows from it beside the README."""

from pathlib import Path

from cxr.decisions import DECISIONS_FILE
from cxr.errors import ModelError
from cxr.evaluation.card import render_card
from cxr.files import JsonObject, write_json, write_text
from cxr.gate import GATE_FILES
from cxr.model_folder import (
    DESCRIPTION_FILE,
    NETWORK_FILE,
    NETWORK_WEIGHTS_FILE,
    describe_model,
    fingerprint,
)
from cxr.model_parts import load_decisions, load_model_gate

MAX_BYTES = 3_000_000  # what a package may carry


def package_model(source: Path, package: Path, card: Path, commit: str) -> JsonObject:
    """Copy the screening model in `source` to `package`, naming the commit it was made by, and write its card.

    Returns:
        The packaged description.

    Raises:
        ModelError: The model is too large, is not what its description says, or was trained on drawn phantoms.
    """
    description = describe_model(source)
    load_decisions(source, description)
    if fingerprint(source) != description["network"]["sha256"]:
        raise ModelError(f"{source} is not the network that its {DESCRIPTION_FILE} describes")
    load_model_gate(source, description)
    files = model_files(source, description)
    size = sum(file.stat().st_size for file in files)
    if size > MAX_BYTES:
        raise ModelError(f"{source} has {size:,} bytes; a packaged model has at most {MAX_BYTES:,}")
    if description["data"]["synthetic_images"]:
        raise ModelError(f"{source} was trained on drawn phantoms; a packaged model is trained on radiographs")
    packaged = description | {"commit": commit}
    package.mkdir(parents=True, exist_ok=True)
    for name in (DECISIONS_FILE, *GATE_FILES):
        (package / name).unlink(missing_ok=True)  # of the model that was there before
    for file in files:
        (package / file.name).write_bytes(file.read_bytes())
    write_json(package / DESCRIPTION_FILE, packaged)
    write_text(card, render_card(packaged))
    return packaged


def model_files(folder: Path, description: JsonObject) -> list[Path]:
    """Return the files of a model folder that its size is counted by: all but the description."""
    names = [NETWORK_FILE, NETWORK_WEIGHTS_FILE]
    names += [DECISIONS_FILE] if "decisions" in description else []
    names += GATE_FILES if "gate" in description else ()
    return [folder / name for name in names]
