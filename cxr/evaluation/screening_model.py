"""Choose the network that screens folders, describe it so that a number can be traced, and package it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cxr.core.errors import ModelError, ParamsError
from cxr.core.files import JsonObject, copy_file, make_folder, remove, sha256_of, write_bytes, write_json, write_text
from cxr.core.records import as_json
from cxr.evaluation.candidates import BEST, Candidate, EvaluateParams
from cxr.evaluation.records import Report
from cxr.evaluation.report import metrics_json
from cxr.evaluation.reporting.model_card import describe_for_card, render_card
from cxr.inference.decisions import DECISIONS_FILE
from cxr.inference.gate import GATE_FILES
from cxr.inference.lungs import LUNGS, LUNGS_FILES
from cxr.inference.model_folder import (
    copy_gate,
    copy_lungs,
    describe_model,
    load_decisions,
    load_model_gate,
    load_model_lungs,
)
from cxr.inference.network import DESCRIPTION_FILE, NETWORK_FILE, NETWORK_WEIGHTS_FILE, fingerprint

PIPELINE_SECTIONS = ("classes", "image", "prepare", "balance", "split")


def choose(candidates: Sequence[Candidate], params: EvaluateParams) -> Candidate:
    """Return the network that is to screen; the test split has no say in it.

    Raises:
        ParamsError: `screening_model` is neither `best` nor the name of a network.
    """
    if params.screening_model == BEST:
        return min(candidates, key=lambda candidate: candidate.validation_log_loss)
    return _named(candidates, "screening_model", params.screening_model, f"{BEST} or ")


def choose_fast(candidates: Sequence[Candidate], params: EvaluateParams) -> Candidate | None:
    """Return the network for speed, if there is to be one. Raises ParamsError: `fast_model` names no network."""
    if params.fast_model is None:
        return None
    return _named(candidates, "fast_model", params.fast_model)


def _named(candidates: Sequence[Candidate], key: str, name: str, besides: str = "") -> Candidate:
    by_name = {candidate.name: candidate for candidate in candidates}
    if name not in by_name:
        raise ParamsError(f"params.yaml: evaluate.{key} is '{name}'; expected {besides}one of {', '.join(by_name)}")
    return by_name[name]


def describe_screening(candidate: Candidate, report: Report, values: Mapping[str, Any]) -> JsonObject:
    """Return the model's description with the params of the whole pipeline and what was measured on the test split."""
    description = candidate.model.description
    pipeline = {name: values[name] for name in PIPELINE_SECTIONS}
    card = as_json(describe_for_card(report, candidate.name))
    evaluation = {**metrics_json(report.model(candidate.name)), "card": card}
    return description | {"params": pipeline | description["params"], "evaluation": evaluation}


def write_screening(
    folder: Path,
    candidate: Candidate,
    report: Report,
    values: Mapping[str, Any],
    gate: Path | None = None,
    lungs: Path | None = None,
) -> JsonObject:
    """Copy the exported network, gate and lung segmenter, write decisions and description, and return the description.

    Args:
        folder: To write.
        candidate: The network.
        report: For its figures.
        values: Content of params.yaml.
        gate: Folder of the gate; None: there is none.
        lungs: Folder of the lung segmenter; None: there is none.
    """
    make_folder(folder)
    for name in (NETWORK_FILE, NETWORK_WEIGHTS_FILE):
        copy_file(candidate.model.folder / name, folder / name)
    write_json(folder / DECISIONS_FILE, candidate.decided)
    decisions = {"decisions": {"sha256": sha256_of(folder / DECISIONS_FILE)}}
    named = (copy_gate(gate, folder) if gate else {}) | (copy_lungs(lungs, folder) if lungs else {})
    description = describe_screening(candidate, report, values) | decisions | named
    write_json(folder / DESCRIPTION_FILE, description)
    return description


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
    load_model_lungs(source, description)
    files = model_files(source, description)
    size = sum(file.stat().st_size for file in files)
    if size > MAX_BYTES:
        raise ModelError(f"{source} has {size:,} bytes; a packaged model has at most {MAX_BYTES:,}")
    if description["data"]["synthetic_images"]:
        raise ModelError(f"{source} was trained on drawn phantoms; a packaged model is trained on radiographs")
    packaged = description | {"commit": commit}
    for name in (DECISIONS_FILE, *GATE_FILES, *LUNGS_FILES):
        remove(package / name)  # of the model that was there before
    for file in files:
        write_bytes(package / file.name, file.read_bytes())
    write_json(package / DESCRIPTION_FILE, packaged)
    write_text(card, render_card(packaged))
    return packaged


def model_files(folder: Path, description: JsonObject) -> list[Path]:
    """Return the files of a model folder that its size is counted by: all but the description."""
    names = [NETWORK_FILE, NETWORK_WEIGHTS_FILE]
    names += [DECISIONS_FILE] if "decisions" in description else []
    names += GATE_FILES if "gate" in description else ()
    names += LUNGS_FILES if LUNGS in description else ()
    return [folder / name for name in names]
