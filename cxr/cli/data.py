"""`cxr-data`: bring in radiographs, draw synthetic ones, fetch ImageNet weights, take a preset of params."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from cxr.cli.console import bars, below_help, command_line, sigterm_like_ctrl_c, stderr, stdout, user_errors
from cxr.core.errors import ParamsError, UsageError, WeightsError

if TYPE_CHECKING:
    from cxr.ingest.importer import Staged
    from cxr.models import PublishedWeights


SHOWN = 8  # most frequent values for a class
PARAMS_FILE, PRESET = "params.yaml", "params.imagenet.yaml"


def tables(release: "Staged") -> Iterator[Table]:
    """Yield the counts per class and, where metadata sheets tell, the sources per class; both fit 80 columns."""
    from cxr.ingest.importer import UNKNOWN

    counts = _table("Images to import", "class", "images", "masks", "pixels", "width x height")
    sources = _table("Sources", "class", "images", "source")
    for label, found in release.counts.items():
        name = escape(label if label in release.project.data.classes else f"{label} (discarded)")
        masks = str(release.layout.masks[label])
        counts.add_row(name, str(found.images), masks, _lines(found.kinds), _lines(found.sizes))
        for source, number in _shown(found.sources):
            sources.add_row(name, str(number), escape(source))
            name = ""
    yield counts
    if any(set(found.sources) - {UNKNOWN} for found in release.counts.values()):
        yield sources


def remarks(release: "Staged") -> Iterator[str]:
    """Yield a sentence for everything that stays behind, as Rich markup."""
    for name, images in release.layout.unknown.items():
        if images:
            yield (
                f"Left out: the folder {escape(name)} with {images} images; "
                "it is neither in 'classes' nor in 'prepare.discard' of params.yaml."
            )
    if release.layout.loose:
        yield f"Left out: {release.layout.loose} images that lie in no folder of a class."
    if release.layout.ignored:
        yield f"Left out: {release.layout.ignored} files of class folders that are not images by their names."
    if release.lost_lines:
        yield f"Left out: {release.lost_lines} lines of patients.csv or collections.csv that name no imported file."
    yield from (f"{escape(one)}." for one in release.passed_over)
    if release.repeated:
        yield f"Left out: {release.repeated} rows of tables that say again what another row says."
    if release.patients:
        people = len(set(release.patients.values()))
        yield f"Patients: {len(release.patients):,} images are of {people:,} known patients, each kept in one split."
    unreadable = sum(counts.unreadable for counts in release.counts.values())
    if unreadable:
        yield f"Imported all the same: {unreadable} unreadable images; see prepare.unreadable in params.yaml."


def _table(title: str, *headings: str) -> Table:
    result = Table(title=title, title_justify="left", box=SIMPLE)
    for heading in headings:
        result.add_column(heading, justify="right" if heading in ("images", "masks") else "left", overflow="fold")
    return result


def _lines(counter: Counter[str]) -> str:
    return "\n".join(f"{escape(value)}: {number}" for value, number in _shown(counter))


def _shown(counter: Counter[str]) -> list[tuple[str, int]]:
    common = counter.most_common()
    rest = common[SHOWN:]
    return common[:SHOWN] + ([(f"{len(rest)} others", sum(number for _, number in rest))] if rest else [])


app = command_line(
    no_args_is_help=True,
    help=__doc__,
    epilog=below_help(
        "cxr-data import archive.zip",
        "cxr-data sample phantoms/ --per-class 30",
        then="Exit status: 0 done, 1 refused, and nothing has changed, 2 usage. See also: cxr-data import --help",
    ),
)

Root = Annotated[Path, typer.Option(metavar="FOLDER", help="The project's folder, the one with params.yaml.")]


@app.command("import")
def import_(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="Downloaded archive (zip, tar, tar.gz), folder, or table of labels.")
    ],
    root: Root = Path(),
    add: Annotated[
        list[Path] | None, typer.Option("--add", metavar="TABLE", help="Table of labels whose images are added.")
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", metavar="WORD=CLASS", help="Which class another word in a table means."),
    ] = None,
    patients_from_dicom: Annotated[
        bool,
        typer.Option("--patients-from-dicom", help="Number patients by the PatientID of DICOM files."),
    ] = False,
    allow_unreadable: Annotated[
        bool, typer.Option("--allow-unreadable", help="Import although images cannot be read.")
    ] = False,
    no_dvc: Annotated[bool, typer.Option("--no-dvc", help="Do not run 'dvc add data'.")] = False,
    max_gigabytes: Annotated[float, typer.Option(min=0.001, help="Largest unpacked size of an archive, GB.")] = 20.0,
) -> None:
    """Check a release of class folders in full, then make it the project's data/ and track it with DVC.

    The class folders may lie at any depth, with images/ and masks/ in them or flat. Beside them may lie patients.csv
    (file, patient_id), collections.csv (file, collection) and sheets CLASS.metadata.xlsx or .csv (FILE NAME, URL).
    A table of labels (CSV or .xlsx) has the columns path and label and, if known, patient and collection; it stands in
    for class folders, or adds images to them: cxr-data import data --add clinic/labels.csv extends what is there.
    Nothing changes when a check fails.
    """
    from cxr.ingest.archive import Limits
    from cxr.ingest.importer import Additions, only_import, open_project, put_in_place, require_readable, staged

    with user_errors(), sigterm_like_ctrl_c():
        if not math.isfinite(max_gigabytes):
            raise UsageError(f"--max-gigabytes is {max_gigabytes}; expected a number, such as 20")
        project = open_project(root, dvc=not no_dvc)
        limits = Limits(total_bytes=int(max_gigabytes * 1e9))
        more = Additions(tuple(add or ()), _renamed(rename or ()), patients_from_dicom)
        with only_import(root) as kept, staged(path, project, limits, bars, more) as release:
            _warn_of(kept)
            if not allow_unreadable:
                require_readable(release.inspected)
            for table in tables(release):
                stdout().print(table)
            for remark in remarks(release):
                stdout().print(remark, highlight=False)
            with stderr().status("writing data/, params.yaml" + ("" if no_dvc else " and data.dvc")):
                put_in_place(release, dvc=not no_dvc)
        # Behind the block: that leaves the data from before in their folder where it ends in an error.
        stdout().print(f"data/ has {release.expected_files} images of the classes; next: dvc repro", highlight=False)
        for step in _from_imagenet(root):
            stdout().print(step, highlight=False)


def _renamed(pairs: Sequence[str]) -> dict[str, str]:
    """Read WORD=CLASS; raises UsageError where one is something else."""
    from cxr.dataset.spelling import class_named, label_key

    for pair in pairs:
        word, _, label = pair.partition("=")
        if not word.strip() or not class_named(label):
            raise UsageError(f"--rename is {pair!r}; expected WORD=CLASS, such as viral=viral_pneumonia")
    return {label_key(word): class_named(label) for word, _, label in (pair.partition("=") for pair in pairs)}


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="New folder for the release.")],
    seed: Annotated[int, typer.Option(min=0, help="Other seeds draw other pictures.")] = 7,
    per_class: Annotated[int, typer.Option(min=1, help="Images of each class.")] = 60,
    per_opacity: Annotated[int, typer.Option(min=1, help="Images of the discarded class.")] = 20,
) -> None:
    """Draw a synthetic release: phantoms that look roughly like chest radiographs and show nobody."""
    from cxr.phantom.sample import write_sample

    with user_errors(), stderr().status("drawing"):
        write_sample(folder, seed=seed, per_class=per_class, per_opacity=per_opacity)
    stdout().print(f"{escape(str(folder))} holds a synthetic release", highlight=False)


@app.command()
def weights(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Networks of params.yaml, such as vgg16.")],
    root: Root = Path(),
) -> None:
    """Fetch the published ImageNet weights of networks into weights/MODEL/ and check them; right ones are left alone.

    Those that DVC keeps for this project come with: dvc pull weights/MODEL/FILE
    """
    with user_errors():
        from cxr.models import fetch

        for model, published in [(model, _fetchable(model)) for model in models]:
            path = root / "weights" / model / published.filename
            words = "fetched" if fetch(published, path.parent, bars) else "already there"
            stdout().print(f"{escape(str(path))}: {words}", highlight=False)


@app.command()
def preset(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Values to take, such as params.imagenet.yaml.")],
    root: Root = Path(),
) -> None:
    """Write the values of FILE over those of params.yaml; all else there keeps its bytes, comments too.

    'dvc params diff' shows what changed, and 'git checkout params.yaml' takes it back. A key that params.yaml lacks, or
    a value that a stage would refuse, is an error, and nothing is changed.
    """
    from cxr.core.files import write_text
    from cxr.core.params import params_text, read_params, with_values

    with user_errors():
        params = root / PARAMS_FILE
        values, before = read_params(file), read_params(params)
        text = params_text(params)
        changed = with_values(text, values, str(params))
        after = _checked(changed, params, file)
        sections = ", ".join(escape(key) for key in after if after[key] != before[key])
        if changed != text:
            write_text(params, changed)
        told = f"has the values of {escape(str(file))}" + (f": {sections}" if sections else " already")
        stdout().print(f"{escape(str(params))} {told}", highlight=False)


def _checked(text: str, params: Path, preset: Path) -> dict[str, Any]:
    """Return the content of params.yaml as it would be. Raises ParamsError where a stage would refuse it."""
    from ruamel.yaml import YAML

    from cxr.cli.preset import require_valid

    values: dict[str, Any] = YAML(typ="safe").load(text)
    try:
        with stderr().status("checking, as the stages would"):
            require_valid(values, params)
    except ParamsError as error:
        raise ParamsError(f"with {preset} the params would be wrong, so nothing is changed: {error}") from error
    return values


def _fetchable(model: str) -> "PublishedWeights":
    from cxr.models import architecture, fetching_command

    published = architecture(model).published
    if published is None or not published.origin:
        remedy = f"run: {fetching_command(model, published)}" if published else "it always begins at random"
        raise WeightsError(f"there is nothing to fetch for {model}; {remedy}")
    return published


def _from_imagenet(root: Path) -> Iterator[str]:
    """Say which networks start at random although they need not, and how they start from ImageNet instead."""
    from cxr.core.params import TRAINING, read_params

    sections = {key: value for key, value in read_params(root / PARAMS_FILE).items() if key.startswith(TRAINING)}
    names = [key.removeprefix(TRAINING) for key, value in sections.items() if value.get("weights") == "random"]
    if names and (root / PRESET).is_file():
        yield f"{' and '.join(names)} would start from random weights. To start them from ImageNet's, run first:"
        yield f"  cxr-data weights {' '.join(names)}"
        yield f"  cxr-data preset {PRESET}"


def _warn_of(folders: list[Path]) -> None:
    for folder in folders:
        text = (
            f"[yellow]warning:[/yellow] {escape(str(folder))} is the data from before an import that was killed; "
            f"remove {escape(folder.parent.name)} when nobody needs it"
        )
        stderr().print(text, highlight=False, soft_wrap=True)


def run() -> None:
    """Run the console script; its imports are lazy, so that a missing extra is a sentence here as well."""
    with user_errors():
        app()
