"""cxr-model: what a screening model is, whether it is what it says, and how it gets into the package."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cxr.cli.console import FATAL, stderr, stdout, user_errors
from cxr.cli.folds import STASH, dvc, experiment_ref, git, project_python
from cxr.core.errors import DataError, ParamsError
from cxr.core.files import JsonObject
from cxr.evaluation.interval import Interval
from cxr.evaluation.reporting.format import FINE_CHANGE, FINE_NUMBER, NUMBER, Notation

if TYPE_CHECKING:
    from cxr.validation.compare import ModelComparison

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


def package_models(release: Release, experiment: str, fit: Sequence[str]) -> None:
    """Package models of the clone, keys of PACKAGED, in the project, with their cards; all that are `fit` or none.

    Raises:
        ModelError: One of them may not be packaged.
    """
    from cxr.evaluation.screening_model import package_model

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


def comparison_tables(report: "ModelComparison") -> list[Table]:
    """Return the tables of a comparison."""
    return [_figures(report), _costs(report), _conditions(report)]


def remarks(report: "ModelComparison") -> list[str]:
    """Return what has to be said beside the tables."""
    half = report.half_precision
    may_know = ["the old model does not say what it was trained on; it may have seen test images"]
    return [
        f"{report.images:,} test images; {report.known_to_old:,} more were left out, because the old model was "
        "trained on them",
        *(may_know if report.old_may_know else []),
        f"16-bit weights: a probability changes by at most {half.largest_change:.2g}, {half.decisions_changed:,} "
        f"of {half.images:,} decisions change, {half.speed.ratio.median:.2f} times as fast, "
        f"{half.bytes:,} bytes instead of {half.bytes_float32:,}: {'taken' if half.taken else 'not taken'}",
    ]


def _figures(report: "ModelComparison") -> Table:
    table = Table("on the same images", "new", "old", "difference", "95 % interval")
    for name, figure in report.figures.items():
        new, old = map(FINE_NUMBER.number, (figure.new, figure.old))
        gap = figure.difference
        table.add_row(name, new, old, FINE_CHANGE.number(gap.value), FINE_CHANGE.bounds(gap))
    return table


def _costs(report: "ModelComparison") -> Table:
    new, old, speed = report.new, report.old, report.speed
    table = Table("stated and weighed", "new", "old")
    table.add_row("model", new.model, old.model)
    for name in ("worst_source_recall", "lift_over_frame", "lung_dependence", "gflop"):
        table.add_row(name, *(NUMBER.number(getattr(one, name)) for one in (new, old)))
    table.add_row("failed audits", *(_audits(one.failed_audits) for one in (new, old)))
    table.add_row("bytes", f"{new.bytes:,}", f"{old.bytes:,}")
    table.add_row("milliseconds an image", *(NUMBER.number(one.median) for one in (speed.new, speed.old)))
    ratio = Interval(speed.ratio.median, speed.ratio.low, speed.ratio.high)
    table.add_row("times as fast as the old one", Notation(2).interval(ratio), "")
    return table


def _audits(failed: tuple[str, ...] | None) -> str:
    return "not stated" if failed is None else ", ".join(failed) or "none"


def _conditions(report: "ModelComparison") -> Table:
    table = Table("the new one may ship where", "found", "holds")
    for line in report.conditions:
        table.add_row(line.condition, line.found, "yes" if line.holds else "no")
    table.add_section()
    table.add_row("not worse", "", "yes" if report.not_worse else "no", style="bold")
    return table


WORSE = 3


def compare(
    new: Annotated[str, typer.Argument(metavar="NEW", help="Folder of a model that the run in --data made.")],
    old: Annotated[str, typer.Argument(metavar="OLD", help="Folder of another, or 'packaged' or 'fast'.")] = "packaged",
    data: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Project where NEW was made, with work/prepared and work/split.csv.")
    ] = Path(),
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write everything as JSON.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Measure NEW beside OLD on NEW's test split, and say whether NEW is not worse.

    Exit status: 0 it is not worse, 3 it is worse, 1 they cannot be compared.
    """
    with user_errors():
        worse = not _compared(_folder(new), _folder(old), data, json, seed)
    raise typer.Exit(WORSE if worse else 0)


def release(
    data: Annotated[Path, typer.Argument(help="Radiographs, as cxr-data import takes them.")],
    keep: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Work there, keep it, and go on there after an interruption.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the steps.")] = False,
) -> None:
    """Train on DATA in a clone of this project, compare with the packaged models and package what is not worse.

    Run it in the project's folder, with everything committed. The params of a release are in release.yaml. A fast
    model that is worse than the packaged one leaves that in its place.
    Exit status: 0 packaged, 3 the new model is worse and nothing was packaged, 1 a step failed.
    """
    with user_errors():
        clone = keep or Path(tempfile.gettempdir()) / "cxr-release"
        planned = plan(Path(), data, clone if keep or dry_run else Path(tempfile.mkdtemp(prefix="cxr-release-")))
        if dry_run:
            for number, step in enumerate(planned.steps, 1):
                stdout().print(f"{number}. {step}", highlight=False, markup=False)
            raise typer.Exit

        finished = False
        try:
            experiment = train(planned)
            fit = _fit(planned)
            if SCREENING not in fit:
                stderr().print("the new model is worse; nothing was packaged", highlight=False)
                raise typer.Exit(WORSE)
            package_models(planned, experiment, fit)
            finished = True
        finally:
            if finished and not keep:
                shutil.rmtree(planned.clone, ignore_errors=True)
            elif not keep:
                stderr().print(f"what was done is in {planned.clone}; go on with --keep {planned.clone}", markup=False)
    stderr().print(
        f"packaged {' and '.join(fit)} of {experiment}; look at them with git diff, and commit them", markup=False
    )


def _fit(release: Release) -> list[str]:
    """Return those of a release's models that are not worse than what they would replace; each is compared."""
    fit = []
    for made, (name, _) in PACKAGED.items():
        old = release.root / "cxr" / name
        stdout().print(f"{made} beside cxr/{name}", highlight=False)
        if not old.is_dir() or _compared(release.clone / made, old, release.clone, None, 0):
            fit.append(made)
        else:
            stderr().print(f"{made} is worse than cxr/{name}, which stays", highlight=False)
    return fit


def _compared(new: Path, old: Path, run: Path, target: Path | None, seed: int) -> bool:
    """Print the comparison, write it where that was asked for, and tell whether the new model is not worse."""
    from cxr.core.files import write_json
    from cxr.inference.model_folder import load_model
    from cxr.validation.compare import compare as compare_models

    report = compare_models(load_model(new), load_model(old), run, seed)
    if target:
        write_json(target, report)
    for table in comparison_tables(report):
        stdout().print(table)
    for remark in remarks(report):
        stdout().print(remark, highlight=False, markup=False)
    return report.not_worse


def _folder(text: str) -> Path:
    from cxr.cli.batch_options import named_folder

    return named_folder(text)


app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_show_locals=False)

Model = Annotated[Path | None, typer.Option(help="Folder of a screening model; default: the packaged one.")]


@app.callback()
def main() -> None:
    """Describe, verify, compare, package and release screening models. For research; not a medical device."""


@app.command()
def info(model: Model = None) -> None:
    """Print the description of a model as JSON: classes, params, data, environment, metrics."""
    import json

    from cxr.inference.model_folder import describe_model, packaged_folder

    with user_errors():
        typer.echo(json.dumps(describe_model(model or packaged_folder()), indent=2))


@app.command()
def verify(
    data: Annotated[Path, typer.Argument(help="The release that the model was trained on.")],
    model: Model = None,
) -> None:
    """Recompute sha256, test split and test metrics of a model from DATA; exit status 1 where a claim fails."""
    from cxr.cli.console import bars
    from cxr.inference.model_folder import load_model, packaged_folder
    from cxr.validation.reproduce import verify as verify_model

    with user_errors():
        loaded = load_model(model or packaged_folder())
        checks = verify_model(loaded, data, bars)
    for check in checks:
        verdict = "ok  " if check.holds else "FAIL"
        stdout().print(f"{verdict}  {check.claim}: stated {check.stated}, found {check.found}", highlight=False)
    if not all(check.holds for check in checks):
        raise typer.Exit(FATAL)


@app.command()
def package(
    source: Annotated[Path, typer.Argument(help="Folder written by evaluate, such as models/screening.")],
    commit: Annotated[str, typer.Option(help="Commit of this repository that the model was trained by.")],
    card: Annotated[Path, typer.Option(help="Model card to write.")] = Path("MODEL_CARD.md"),
    fast: Annotated[bool, typer.Option("--fast", help="Make it the one that 'cxr-batch --model fast' takes.")] = False,
) -> None:
    """Make SOURCE the packaged model and write MODEL_CARD.md from its description."""
    from cxr.cli.batch_options import named_folder
    from cxr.evaluation.screening_model import package_model

    with user_errors():
        description = package_model(source, named_folder("fast" if fast else "packaged"), card, commit)
    stderr().print(f"packaged {description['name']} and wrote {card}")


app.command()(compare)
app.command()(release)


def run() -> None:
    """Run the console script; its imports are lazy, so that a missing extra is a sentence here as well."""
    with user_errors():
        app()
