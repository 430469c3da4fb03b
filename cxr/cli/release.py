"""`cxr-model release`: from a folder of radiographs to packaged models, in a clone that leaves the project alone."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from cxr.cli.dvc_process import STASH, dvc, experiment_ref, git, project_python
from cxr.cli.release_plan import PACKAGED, Release, commit_of
from cxr.errors import DataError

CXR_DATA = "from cxr.cli.data import run; run()"


def train(release: Release) -> str:
    """Clone, import, fetch the weights that the release starts from, and run the pipeline.

    Returns:
        The commit of the experiment, which the project then has as well.

    Raises:
        DataError: A step fails; what it said stands above.
    """
    clone = release.clone
    if commit_of(clone) != release.commit:
        git(release.root, "clone", "--quiet", str(release.root), str(clone))
        git(clone, "checkout", "--quiet", "--detach", release.commit)
    variables = {"PYTHONPATH": str(clone)}  # the clone's code, and not that of the project, which may change meanwhile
    _cxr_data(clone, variables, "import", str(release.data))
    for name in release.pretrained:
        weights = Path("weights", name)
        if (release.root / weights).is_dir():  # then nothing is fetched, unless the file there is another
            shutil.copytree(release.root / weights, clone / weights, dirs_exist_ok=True)
        _cxr_data(clone, variables, "weights", name)
    git(clone, "update-ref", "-d", STASH)
    if experiment_ref(clone, release.experiment):
        # Not `dvc exp run --force`: that would also train again what is in the run cache.
        _require(dvc(clone, "exp", "remove", release.experiment), "exp remove")
    options = [word for setting in release.settings for word in ("--set-param", setting)]
    run = dvc(clone, "exp", "run", "--name", release.experiment, *options, shown=True, variables=variables)
    _require(run, "exp run")
    reference = experiment_ref(clone, release.experiment)
    if not reference:
        raise DataError(f"DVC kept no experiment {release.experiment} in {clone}; run the same command again")
    git(release.root, "fetch", "--quiet", str(clone), f"+{reference}:{reference}")
    return git(clone, "rev-parse", reference).strip()


def package(release: Release, experiment: str, fit: Sequence[str]) -> None:
    """Package models of the clone, keys of PACKAGED, in the project, with their cards; all that are `fit` or none.

    Raises:
        ModelError: One of them may not be packaged.
    """
    from cxr.evaluation.packaging import package_model

    with tempfile.TemporaryDirectory() as temporary:
        chosen = {made: PACKAGED[made] for made in fit}
        for made, (name, card) in chosen.items():
            package_model(release.clone / made, Path(temporary) / name, Path(temporary) / card, experiment)
        for name, card in chosen.values():
            target = release.root / "cxr" / name
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(Path(temporary) / name, target)
            shutil.copyfile(Path(temporary) / card, release.root / card)


def _cxr_data(clone: Path, variables: Mapping[str, str], command: str, argument: str) -> None:
    done = project_python(clone, "-c", CXR_DATA, command, argument, shown=True, variables=variables)
    _require(done, command)


def _require(done: tuple[int, str], what: str) -> None:
    status, said = done
    if status:
        raise DataError(f"'{what}' ended with status {status}; see above. {said}".rstrip())
