"""cxr-model adapt: fit the limits of a screening model to the films of one site."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cxr.cli.console import bars, stderr, stdout, user_errors

if TYPE_CHECKING:
    from cxr.inference.model_folder import ScreeningModel
    from cxr.validation.adapt import Adaptation, SiteFilms

SITE = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
NAMED = 3  # files, in a sentence


def adapt(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Films of one site: 50 to 500 of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the adapted model; new.")],
    site: Annotated[str, typer.Option(metavar="NAME", help="Name of the site; it becomes part of the model's name.")],
    known: Annotated[
        str | None, typer.Option(metavar="CLASS", help="All films are known to be of this class, such as normal.")
    ] = None,
    target_share: Annotated[
        float | None,
        typer.Option(metavar="SHARE", min=0, max=0.49, help="Nothing is known but that at most this share is COVID."),
    ] = None,
    specificity: Annotated[
        float, typer.Option(min=0.5, max=0.99, help="Share of films without COVID that shall not be called so.")
    ] = 0.95,
    model: Annotated[str, typer.Option(metavar="MODEL", help="Folder of a model, or 'packaged'.")] = "packaged",
) -> None:
    """Write a model whose limits are fitted to one site, and say what that changes.

    The network stays as it is. Its answers are moved, so that at this site few films without COVID are suspected; what
    that costs in sensitivity is said. Use it for films of this site alone:

        cxr-model adapt normal_films/ --known normal --site north -o models/north
        cxr-batch folder/ -o north.csv --model models/north
    """
    with user_errors("eval"):
        adaptation, films = _adapted(folder, output, site, known, target_share, specificity, model)
    for line in (*_lines(adaptation), *_aside(films)):
        stdout().print(line, highlight=False, markup=False)
    stdout().print(_table(adaptation))
    if adaptation.sensitivity_before is None:
        stdout().print(
            "how many cases are lost is not known: the model keeps no answers of its own validation; measure it with "
            "cases of the site: docs/cxr-eval.md",
            highlight=False,
            soft_wrap=True,
        )
    if adaptation.cost:
        stderr().print(f"warning: {adaptation.cost}", style="yellow", highlight=False, markup=False, soft_wrap=True)
    said = f"wrote {output}; screen with: cxr-batch folder/ -o {output.name}.csv --model {output}"
    stderr().print(said, markup=False, soft_wrap=True)


def _adapted(
    folder: Path,
    output: Path,
    site: str,
    known: str | None,
    target_share: float | None,
    specificity: float,
    model: str,
) -> "tuple[Adaptation, SiteFilms]":
    from cxr.core.errors import UsageError
    from cxr.inference.model_folder import load_model, named_folder
    from cxr.validation.adapt import Known, adapt, write_adapted

    if (known is None) == (target_share is None):
        raise UsageError(
            "say what is known of the films: --known normal where all of them are normal, or --target-share 0.1 where "
            "at most a tenth of them is COVID"
        )
    for option, value in (("--target-share", target_share), ("--specificity", specificity)):
        if value is not None and not math.isfinite(value):
            raise UsageError(f"{option} is {value}; expected a share, such as 0.05")
    if not SITE.fullmatch(site):
        raise UsageError(f"--site {site}: expected letters, digits and hyphens, such as north-2")
    if output.exists():
        raise UsageError(f"{output} is there; name a folder that is not")
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; expected a folder of films")
    loaded = load_model(named_folder(model))
    films = site_films(folder, loaded)
    if films.learnt:
        raise UsageError(
            f"{loaded.identity} was trained on {films.learnt:,} of these films, so they do not show how it answers at "
            "a site that it never saw; take other films"
        )
    adaptation = adapt(loaded, films, Known(site, known, target_share or 0.0, specificity))
    write_adapted(output, loaded, adaptation)
    return adaptation, films


def site_films(folder: Path, model: "ScreeningModel") -> "SiteFilms":
    """Read every film below `folder` once, copies of a file once, and ask gate and network about it."""
    import numpy as np

    from cxr.core.errors import DataError
    from cxr.core.image import pixels_digest
    from cxr.inference.decisions import PIXEL_DIGITS
    from cxr.inference.gate import judge
    from cxr.screening.candidates import Query
    from cxr.screening.discovery import discover
    from cxr.screening.paths import Naming
    from cxr.screening.read import prefetch, read
    from cxr.screening.storage import store_of
    from cxr.validation.adapt import SiteFilms

    root, side = folder.absolute(), model.plane_side
    judged_side = model.sides[-1]  # of its gate, where it has one
    store, found = store_of(root), discover(Query([root]), Naming(root)).candidates
    readings = prefetch(lambda one: read(one, root, model.sides), found, store.workers, 4 * store.workers, store.stop)
    unreadable, kept = [], {}
    for reading in bars(readings, "reading", len(found)):
        if reading.facts is None:
            unreadable += [reading.candidate.cell] if reading.is_image else []
        elif reading.sha256 not in kept:
            kept[reading.sha256] = reading.facts, reading.planes
    pictures = {name: (facts, planes[judged_side]) for name, (facts, planes) in kept.items()}
    verdicts = judge(pictures, model.gate)
    passed = [name for name in kept if verdicts[name].reason is None]
    if not passed:
        raise DataError(f"no film in {folder} was answered: {len(kept):,} rejected, {len(unreadable):,} cannot be read")
    planes = np.stack([kept[name][1][side] for name in passed])
    said = model.network.screen(planes)
    trained = model.decisions.training_pixels if model.decisions else frozenset[str]()
    return SiteFilms(
        logits=said.logits,
        members=said.members,
        flags=[verdicts[name].flags for name in passed],
        sha256=passed,
        rejected=len(kept) - len(passed),
        unreadable=unreadable,
        learnt=sum(pixels_digest(plane)[:PIXEL_DIGITS] in trained for plane in planes),
    )


def _lines(adaptation: "Adaptation") -> list[str]:
    films = f"{adaptation.films:,} films of {adaptation.site}"
    if adaptation.offset == 0:
        return [f"of {films} few enough are suspected already; the target's answers stay as they are"]
    return [
        f"fitted to {films}: {adaptation.offset:g} is added to the logit of the target class",
        "the site's shares after it are of films that the limits were not fitted to, a fifth at a time",
    ]


def _aside(films: "SiteFilms") -> list[str]:
    """Say what was not fitted to."""
    rejected = [f"{films.rejected:,} more were rejected by the gate"] if films.rejected else []
    named = ", ".join(films.unreadable[:NAMED]) + (", ..." if len(films.unreadable) > NAMED else "")
    unread = [f"{len(films.unreadable):,} cannot be read: {named}"] if films.unreadable else []
    said = "; ".join((*rejected, *unread))
    return [f"{said}; cxr-batch gives each a row that says why"] if said else []


def _table(adaptation: "Adaptation") -> Table:
    from cxr.evaluation.stats.intervals import NUMBER

    table = Table("share of the site's films", "before", "after")
    for title, name in (
        ("suspected", "suspected"),
        ("most probable class is the target", "predicted"),
        ("referred", "referred"),
    ):
        table.add_row(title, *(NUMBER.interval(getattr(one, name)) for one in (adaptation.before, adaptation.after)))
    if adaptation.sensitivity_before is not None:
        table.add_section()
        table.add_row(
            "sensitivity on the model's own validation",
            *(NUMBER.number(one) for one in (adaptation.sensitivity_before, adaptation.sensitivity_after)),
        )
    return table
