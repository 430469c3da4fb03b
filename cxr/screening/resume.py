"""What a row depends on besides its file. Rows of two runs may stand in one table only where this is equal.

Batch size, workers, threads, order and shards are not part of it: an answer does not depend on them.
"""

import hashlib
from collections.abc import Iterator, Sequence
from importlib import metadata, resources
from importlib.resources.abc import Traversable

from cxr import __version__
from cxr.core.errors import DataError, ResumeError
from cxr.core.files import JsonObject
from cxr.inference.model_folder import ScreeningModel
from cxr.screening.candidates import Candidate
from cxr.screening.paths import Naming, PathStyle, escape
from cxr.screening.run_manifest import RevisionDiff, RunResult
from cxr.screening.schema import SCHEMA_VERSION
from cxr.screening.storage import Root, store_of
from cxr.screening.tables import digest_of

# All that lies between a file's bytes and the plane that a network sees.
DECODER_CODE = ("core/image.py", "imaging")  # files, and folders with all their modules
DECODER_LIBRARIES = ("isal", "numpy", "openvino", "pillow", "pydicom")

ANOTHER = "give another output, or start over with --overwrite"

# How a difference is told: part -> (what it is, whether its value is fit for people).
PARTS = {
    "tool": "another version of cxr-batch",
    "schema": "another version of the table",
    "models": "another model",
    "operating_points": "another operating point",
    "gate": "another gate",
    "decoder": "another decoder (its code or the version of a library)",
    "paths": "another form of paths",
    "root": "another folder that paths are relative to",
    "attributes": "other DICOM attributes",
}


def fingerprint_of(models: Sequence[ScreeningModel], naming: Naming, keywords: Sequence[str]) -> JsonObject:
    """Return the parts by name; equal ones mean that equal files give equal rows."""
    hashed = naming.style is PathStyle.HASHED
    root = escape(str(naming.root))
    return {
        "tool": __version__,
        "schema": SCHEMA_VERSION,
        "models": [
            {"model": model.identity, "network": model.network_sha256, "description": model.description_sha256}
            for model in models
        ],
        "operating_points": [model.operating_point for model in models],
        "gate": models[0].gate.sha256 if models[0].gate else None,
        "decoder": decoder(),
        "paths": {"style": naming.style.value, "key": naming.key_check},
        # Without its name where names are secret.
        "root": hashlib.sha256(naming.key + root.encode()).hexdigest()[:16] if hashed else root,
        "attributes": list(keywords),
    }


def _modules(place: Traversable) -> list[Traversable]:
    files = [place] if place.is_file() else place.iterdir()
    return sorted((file for file in files if file.name.endswith(".py")), key=lambda file: file.name)


def decoder() -> JsonObject:
    """Return the digest of the decoder's code and the versions of the libraries under it."""
    code = b"".join(file.read_bytes() for name in DECODER_CODE for file in _modules(resources.files("cxr") / name))
    versions = {name: metadata.version(name) for name in DECODER_LIBRARIES}
    return {"code": hashlib.sha256(code).hexdigest()[:16]} | versions


def check_same(found: JsonObject, expected: JsonObject, journal: str, remedy: str = ANOTHER) -> None:
    """Raise ResumeError that says which parts differ between a journal's fingerprint and that of this run."""
    different = [part for part in PARTS if found.get(part) != expected[part]]
    if different:
        known = [part for part in different if part in found] or different  # another version may lack parts
        clauses = "; ".join(f"{PARTS[part]} ({_change(part, found.get(part), expected[part])})" for part in known)
        raise ResumeError(f"{journal} was begun with {clauses}. Rows of both must not stand in one table: {remedy}")


def _change(part: str, found: object, expected: object) -> str:
    if part == "models":
        return f"then {_models(found)}, now {_models(expected)}"
    if part == "gate":
        then, now = (str(gate)[:12] if gate else "none" for gate in (found, expected))
        return f"then {then}, now {now}"
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = [key for key in expected if found.get(key) != expected[key]]
        return ", ".join(f"{key} then {found.get(key)}, now {expected[key]}" for key in keys)
    if part == "operating_points" and isinstance(found, list) and isinstance(expected, list):
        return f"then {' and '.join(found)}, now {' and '.join(expected)}"
    return f"then {found}, now {expected}"


def _models(parts: object) -> str:
    if not isinstance(parts, list):
        return "none"
    return " and ".join(f"{part['model']} with description {part['description'][:12]}" for part in parts)


def check_baseline(earlier: RunResult, fingerprint: JsonObject, commit: str) -> None:
    """Refuse an earlier table whose rows must not stand beside new ones.

    Raises:
        ResumeError: It was made with something else; says with what.
        DataError: It is not of that revision, or not what its manifest describes.
    """
    path = earlier.path
    check_same(earlier.manifest["fingerprint"], fingerprint, str(path), "leave out --earlier, and screen every file")
    made_at = (earlier.manifest["request"].get("dvc") or {}).get("commit")
    if made_at != commit:
        raise DataError(
            f"{path} was made at {made_at or 'no revision of DVC'}, --changed-since is {commit}; name that revision "
            "there, or the table of this one"
        )
    if digest_of(path) != earlier.manifest["results"]["sha256"]:
        raise DataError(f"{path} is not what its manifest describes; run cxr-verify on it")


def baseline_records(
    earlier: RunResult, changes: RevisionDiff, candidates: Sequence[Candidate], root: Root
) -> Iterator[JsonObject]:
    """Give the journal's records of unchanged files, from the rows of the earlier table."""
    store = store_of(root)
    no_image = set(earlier.manifest["aside"]["not_an_image"])
    rows = earlier.rows()
    row = next(rows, None)
    for candidate in candidates:
        while row is not None and row["path"] < candidate.cell:
            row = next(rows, None)
        if candidate.cell not in changes.unchanged:
            continue
        record: JsonObject = {"path": candidate.cell, "stamp": store.stamp(candidate)}
        if row is not None and row["path"] == candidate.cell:
            yield record | {"cells": list(row.values())[1:]}
        elif candidate.cell in no_image:
            yield record
