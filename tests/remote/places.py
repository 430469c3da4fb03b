"""Folders, put somewhere else; and what a run made of them."""

import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import fsspec


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def in_memory(folder: Path, name: str) -> str:
    memory = fsspec.filesystem("memory")
    for relative, data in files_of(folder).items():
        memory.pipe_file(f"/{name}/{relative}", data)
    return f"memory://{name}"


def zipped(folder: Path) -> str:
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for relative, data in files_of(folder).items():
            file.writestr(f"{folder.name}/{relative}", data)
    return f"zip://{folder.name}::{archive}"


def tarred(folder: Path, suffix: str = ".tar.gz") -> str:
    archive = folder.with_suffix(suffix)
    with tarfile.open(archive, "w:gz" if suffix.endswith("gz") else "w") as file:
        file.add(folder, folder.name)
    return f"tar://{folder.name}::{archive}"


def manifest(results: Path) -> Any:
    return json.loads(results.with_suffix(".manifest.json").read_text(encoding="utf-8"))


def without_names(results: Path) -> Any:
    """What two runs over equal files must agree in, wherever these lie."""
    facts = manifest(results)
    return [facts[key] for key in ("counts", "aside", "listing", "drift", "models", "gate")]
