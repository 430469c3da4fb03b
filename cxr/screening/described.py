"""A finished table with its manifest, as `cxr-verify` and `cxr-batch-merge` read them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cxr.errors import DataError, ModelError
from cxr.files import JsonObject, read_json
from cxr.screening.applied import parse_applied
from cxr.screening.gated import parse_gated
from cxr.screening.output import OutputFiles
from cxr.screening.partitions import is_partitioned
from cxr.screening.run_manifest import MANIFEST_VERSION
from cxr.screening.schema import SCHEMA_VERSION, Schema, schema_of
from cxr.screening.tables import Format, read_table

SECTIONS = ("models", "request", "counts", "drift", "aside", "listing", "fingerprint", "times", "references")


@dataclass(frozen=True, slots=True)
class Described:
    """A table and what its manifest says of it.

    Attributes:
        path: The table.
        manifest: The content of its manifest.
    """

    path: Path
    manifest: JsonObject

    @property
    def schema(self) -> Schema:
        """The schema that its networks, its gate and DICOM attributes give."""
        named, references = self.manifest["models"], self.manifest["references"]
        models = [(model["name"], model["model"], tuple(model["classes"])) for model in named]
        where = f"the manifest of {self.path}"
        try:
            applied = [parse_applied(model, references.get(model["model"]), where) for model in named]
            gate = parse_gated(self.manifest["gate"], where)
        except ModelError as error:
            raise DataError(str(error)) from error
        return schema_of(models, self.manifest["fingerprint"]["attributes"], applied, gate)

    @property
    def format(self) -> Format:
        """How it was written."""
        return Format(self.manifest["results"]["format"])

    @property
    def computed_on(self) -> set[str]:
        """Classes of the processors that its rows were computed on, see `cxr.processor.instructions`."""
        return set(self.manifest["tool"].get("instructions", ()))

    def rows(self) -> Iterator[dict[str, str]]:
        """Give its rows. Raises DataError where they cannot be read."""
        return read_table(self.path, self.format)


def read_described(path: Path) -> Described:
    """Read the manifest beside the table at `path`.

    Raises:
        DataError: The table or its manifest is absent, or the manifest is not one of this version.
    """
    if not path.is_file() and not is_partitioned(path):
        raise DataError(f"{path} does not exist; expected a table written by cxr-batch")
    sidecar = OutputFiles(path.resolve()).manifest
    try:
        manifest = read_json(sidecar)
    except (OSError, ValueError) as error:
        raise DataError(f"{sidecar} cannot be read ({error}); it is written beside every table, keep both") from error
    known = isinstance(manifest, dict) and manifest.get("manifest") == MANIFEST_VERSION
    if not known or not all(isinstance(manifest.get(name), dict) for name in ("tool", "results")):
        raise DataError(f"{sidecar} is not a manifest of version {MANIFEST_VERSION}; it was not written by cxr-batch")
    if manifest["results"].get("schema") != SCHEMA_VERSION:  # before the rest, which an older version has not
        raise DataError(
            f"{path} is a table of version {manifest['results'].get('schema')}, this cxr-batch reads {SCHEMA_VERSION}; "
            f"use cxr-batch {manifest['tool'].get('version')}, which wrote it"
        )
    missing = [name for name in SECTIONS if not isinstance(manifest.get(name), dict | list)]
    missing += [] if isinstance(manifest.get("gate", ""), dict | None) else ["gate"]
    if missing:
        raise DataError(f"{sidecar} lacks {', '.join(missing)}; cxr-batch did not write it so")
    return Described(path, manifest)
