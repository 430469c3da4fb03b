"""DVC in tests: quiet, and with a site cache of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from tests.imports import ROOT


def environment(site: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    git = {f"GIT_{role}_{key}": "test" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    return os.environ | git | {"PATH": path, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(site)}


def variables(folder: Path) -> dict[str, str]:
    """Return the environment for commands in a copy, which then run the copy's code and not the installed one."""
    return environment(folder.parent / "site") | {"PYTHONPATH": str(folder)}


def run(folder: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=folder, env=variables(folder), capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def copy_of_the_repository(folder: Path) -> Path:
    """Commit the working tree as it is, without data and outputs, in a repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    run(folder, "git", "init", "-q")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-q", "-m", "as it is")
    return folder


def quick(folder: Path) -> None:
    """Lower the params of a copy, so that `dvc repro` takes a minute; commit that as well."""
    yaml = YAML()
    for params in (folder / "params.yaml", folder / "release/params.yaml"):
        values = yaml.load(params)
        for name, section in ((name, one) for name, one in values.items() if isinstance(one, dict)):
            if name == "image":
                section["side"] = 64
            elif name.startswith("train_"):
                section |= {"side": 32, "epochs": 1}
            elif name == "leave_source_out":
                section["epochs"] = 1
            for beside in ("gate", "lungs"):
                if section.get(beside) == "packaged":  # it takes planes of another side
                    section[beside] = "none"
        yaml.dump(values, params)
    run(folder, "git", "commit", "-q", "-a", "-m", "quick")
