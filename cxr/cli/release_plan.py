"""What `cxr-model release` is to do, checked before hours of work."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.cli.dvc_process import git
from cxr.errors import DataError, ParamsError
from cxr.files import JsonObject

OVERRIDES_FILE = "release.yaml"
SCREENING = "models/screening"  # what a release is made for
PACKAGED = {SCREENING: ("packaged", "MODEL_CARD.md"), "models/fast": ("packaged_fast", "MODEL_CARD_FAST.md")}
DIGITS = 8  # of the commit, in the name of the experiment


@dataclass(frozen=True, slots=True)
class Release:
    """What is to be done.

    Attributes:
        root: The project, with nothing that git has not seen.
        data: The radiographs.
        clone: Where it is done.
        commit: The last one of the project.
        overrides: Params by `section.key`, from OVERRIDES_FILE.
    """

    root: Path
    data: Path
    clone: Path
    commit: str
    overrides: Mapping[str, Any]

    @property
    def experiment(self) -> str:
        """Name of the DVC experiment."""
        return f"release-{self.commit[:DIGITS]}"

    @property
    def settings(self) -> list[str]:
        """The overrides as DVC takes them."""
        return [f"{key}={json.dumps(value, separators=(',', ':'))}" for key, value in self.overrides.items()]

    @property
    def pretrained(self) -> list[str]:
        """Networks that the overrides start from ImageNet: their files of weights are not in git."""
        named = {
            key.removesuffix(".weights"): value for key, value in self.overrides.items() if key.endswith(".weights")
        }
        return [stage.removeprefix("train_") for stage, value in named.items() if value == "imagenet"]

    @property
    def steps(self) -> list[str]:
        """What is done, a sentence each."""
        options = " ".join(f"-S {setting}" for setting in self.settings)
        return [
            f"clone {self.root} at {self.commit[:DIGITS]} to {self.clone}, or go on in the clone there",
            f"there: cxr-data import {self.data}",
            *(f"there: cxr-data weights {name}, unless weights/{name} here has them" for name in self.pretrained),
            f"there: dvc exp run --name {self.experiment} {options}".rstrip(),
            f"fetch the experiment {self.experiment}, so that it is kept with the project",
            *(
                f"there: cxr-model compare {made} {self.root / 'cxr' / name}; where it is not worse, package it as "
                f"cxr/{name} and write {card}"
                for made, (name, card) in PACKAGED.items()
            ),
        ]


def plan(root: Path, data: Path, clone: Path) -> Release:
    """Check what can be checked before hours of work.

    Raises:
        DataError: The project is in no git repository or has changes that are not committed; DATA is not there; or
            `clone` is something else than a clone at the last commit.
        ParamsError: OVERRIDES_FILE is absent or no flat mapping.
    """
    changed = [line[3:] for line in git(root, "status", "--porcelain").splitlines()]
    if changed:
        raise DataError(
            f"{', '.join(changed[:3])}{' and others' if len(changed) > 3 else ''} differ from the last commit, and a "
            "release is made from that alone: commit them, or put them back, first"
        )
    if not data.exists():
        raise DataError(f"{data} does not exist; expected a folder or an archive of class folders, see cxr-data import")
    commit = git(root, "rev-parse", "HEAD").strip()
    if clone.exists() and not (clone.is_dir() and not any(clone.iterdir())) and commit_of(clone) != commit:
        raise DataError(
            f"{clone} is not a clone of this project at {commit[:DIGITS]}; give an empty folder, or one where a "
            "release of this commit was begun"
        )
    return Release(root.resolve(), data.resolve(), clone.resolve(), commit, read_overrides(root / OVERRIDES_FILE))


def read_overrides(path: Path) -> JsonObject:
    """Read the params of a release, `section.key: value`. Raises ParamsError where that is not what the file holds."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        values = YAML(typ="safe").load(path)
    except (OSError, YAMLError) as error:
        raise ParamsError(
            f"{path} cannot be read ({' '.join(str(error).split())}); expected lines such as: evaluate.fast_model: cnn1"
        ) from error
    if not isinstance(values, dict) or any(isinstance(value, dict) for value in values.values()):
        raise ParamsError(f"{path} is no flat mapping; expected lines such as: evaluate.fast_model: cnn1")
    return {str(key): value for key, value in values.items()}


def commit_of(clone: Path) -> str:
    """Return the commit that a clone is at; empty where there is none."""
    return git(clone, "rev-parse", "HEAD").strip() if (clone / ".git").is_dir() else ""
