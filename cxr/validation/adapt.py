"""Fit a screening model to a site: how far its answers are moved so that films of that site raise few false alarms."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from cxr.core.errors import DataError, ModelError
from cxr.core.files import JsonObject, copy_file, read_json, sha256_of, whole_folder, write_json
from cxr.core.records import as_json
from cxr.evaluation.stats.decisions import smallest_members
from cxr.evaluation.stats.intervals import Floats, Interval, rounded, wilson
from cxr.evaluation.write import model_files
from cxr.inference.decisions import DECISIONS_FILE, Decision, Decisions, decision_words
from cxr.inference.model_folder import ScreeningModel
from cxr.inference.network import DESCRIPTION_FILE

FEWEST = 20
ENOUGH = 200  # films of which ten lie above the limit at a specificity of 0.95
FOLDS = 5
EVEN = 0.5
USEFUL = 0.5  # a model that finds fewer of the cases that it was chosen for is told to be of no use
DECIMALS = 6
HAIR = 10.0**-DECIMALS  # so that the film at the limit lies below it, whatever the last digit


@dataclass(frozen=True, slots=True)
class SiteFilms:
    """What a model says of the films of one site that its gate lets pass, in the order of their names.

    Attributes:
        logits: float32 (n, classes).
        members: float32 (n, members, classes); None for a single network.
        flags: Of each film, words of `cxr.inference.gate.Flag`.
        sha256: Of each file.
        rejected: Number of further films that the gate rejects.
        unreadable: Names of further files that cannot be read.
        learnt: Number of the n that the model was trained on.
    """

    logits: NDArray[np.float32]
    members: NDArray[np.float32] | None
    flags: Sequence[Sequence[str]]
    sha256: Sequence[str]
    rejected: int = 0
    unreadable: Sequence[str] = ()
    learnt: int = 0

    def __len__(self) -> int:
        return len(self.logits)

    def at(self, chosen: NDArray[np.intp]) -> "SiteFilms":
        """Return the films of these numbers."""
        return replace(
            self,
            logits=self.logits[chosen],
            members=None if self.members is None else self.members[chosen],
            flags=[self.flags[number] for number in chosen],
            sha256=[self.sha256[number] for number in chosen],
        )


@dataclass(frozen=True, slots=True)
class SiteShares:
    """What becomes of a site's films.

    Attributes:
        suspected: Share that is decided as suspected.
        predicted: Share whose most probable class is the target.
        referred: Share that is for a person to decide.
    """

    suspected: Interval
    predicted: Interval
    referred: Interval


@dataclass(frozen=True, slots=True)
class Adaptation:
    """What was fitted to a site, as model.json keeps it.

    Attributes:
        site: Its name.
        model: Identity of the model that was adapted.
        decisions: SHA-256 of that model's decisions.json.
        films: How many were answered, and so fitted to.
        rejected: Further films that the gate rejects.
        unreadable: Further files that cannot be read.
        known: Class that all films are known to be of; None where only a bound on the target's share is known.
        target_share: At most this share of the films is of the target class.
        specificity: Aim: share of films without the target that shall not be suspected.
        offset: What is added to the target's logit after the temperature; never above 0.
        minimum_before: Smallest probability of `known` in its prediction sets; None where it was not fitted.
        minimum_after: The same, fitted to the site.
        before: By the model as it was.
        after: By the adapted model; each fifth of the films by limits fitted to the others.
        sensitivity_before: Share of the target's images of the model's own validation that reach the default
            threshold and even odds; None where it does not say.
        sensitivity_after: The same with the offset, to within a percentile.
        sha256: Over the digests of the films.
    """

    site: str
    model: str
    decisions: str
    films: int
    rejected: int
    unreadable: int
    known: str | None
    target_share: float
    specificity: float
    offset: float
    minimum_before: float | None
    minimum_after: float | None
    before: SiteShares
    after: SiteShares
    sensitivity_before: float | None
    sensitivity_after: float | None
    sha256: str

    @property
    def warning(self) -> str:
        """What has to be said wherever the adapted model answers."""
        basis = (
            f"{self.films:,} films said to be {self.known}"
            if self.known
            else f"{self.films:,} films of which at most {self.target_share:.0%} were said to be of the target class"
        )
        return (
            f"its limits were fitted to {basis} of {self.site}; they hold for films of that site alone, and nobody "
            f"measured there how many cases it finds{f'; {self.cost}' if self.cost else ''}"
        )

    @property
    def cost(self) -> str:
        """How many cases of the model's own validation are lost; empty where none is, or where it does not say."""
        before, after = self.sensitivity_before, self.sensitivity_after
        if before is None or after is None or after >= before:
            return ""
        said = f"of the cases in the model's own validation it finds {after:.0%}, and {before:.0%} before"
        if after < USEFUL:
            return f"{said}: to it the site's films look like cases, and it cannot tell them apart there"
        return said


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a site's films.

    Attributes:
        site: Name of the site, of letters, digits and hyphens.
        label: Class that all of them are of; None: unknown.
        target_share: At most this share is of the target class, 0 to below 0.5; 0 with a `label`.
        specificity: Aim, above 0.5 and below 1.
    """

    site: str
    label: str | None
    target_share: float = 0.0
    specificity: float = 0.95


@dataclass(frozen=True, slots=True)
class _Limits:
    offset: float
    minimum: float | None = field(default=None)  # of the known class; None: as it was


def adapt(model: ScreeningModel, films: SiteFilms, known: Known) -> Adaptation:
    """Fit the target's offset, and the limit of the prediction sets of a class that all films are known to be of.

    The offset moves the target's logit down until at most 1 - `specificity` of new films without the target are
    expected to be suspected, were no other rule to refer them. From `ENOUGH` films on the k-th smallest of n, k =
    ceil(specificity (n + 1)), just is not (split conformal prediction, Vovk 2005); of fewer, the upper Gaussian
    prediction limit of one new film is not (Hahn 1970, Journal of Quality Technology 2:3). Where a share may be of the
    target, as many of the largest are left out, as if they were that, and the k-th smallest of the rest is taken. The
    offset is never above 0: a site with fewer alarms than that changes nothing. All other answers follow from the moved
    probability, as they did before. The limit of the class stays as it was where more films would be suspected by it:
    it is to refer fewer, not to suspect more.

    Raises:
        DataError: There are too few films, or they are of another class than is known.
        ModelError: The model has no decisions, or was adapted before.
    """
    decisions = _checked(model, films, known)
    before = _shares(decisions, _decide(decisions, films), films)
    limits, after = _fit(decisions, films, known), _cross_fitted(decisions, films, known)
    if limits.minimum is not None and (after.suspected.value or 0) > (before.suspected.value or 0):
        limits, after = _Limits(limits.offset), _cross_fitted(decisions, films, replace(known, label=None))
    minimum = (
        decisions.minimum[model.classes.index(known.label)] if limits.minimum is not None and known.label else None
    )
    return Adaptation(
        site=known.site,
        model=model.identity,
        decisions=str(model.description["decisions"]["sha256"]),
        films=len(films),
        rejected=films.rejected,
        unreadable=len(films.unreadable),
        known=known.label,
        target_share=known.target_share,
        specificity=known.specificity,
        offset=limits.offset,
        minimum_before=rounded(minimum),
        minimum_after=rounded(limits.minimum),
        before=before,
        after=after,
        sensitivity_before=_sensitivity(decisions, 0.0),
        sensitivity_after=_sensitivity(decisions, limits.offset),
        sha256=_digest(films.sha256),
    )


def _checked(model: ScreeningModel, films: SiteFilms, known: Known) -> Decisions:
    """Return the model's decisions. Raises what `adapt` raises."""
    decisions = model.decisions
    if decisions is None:
        raise ModelError(f"{model.folder} has no {DECISIONS_FILE}, so nothing to adapt; take one written by evaluate")
    if "adapted" in model.description:
        raise ModelError(
            f"{model.folder} was adapted to {model.description['adapted']['site']} before; adapt the model that it "
            "was made from, with all films of the site"
        )
    if known.label is not None and known.label not in set(model.classes) - {decisions.target}:
        others = [name for name in model.classes if name != decisions.target]
        raise DataError(f"films known to be {known.label} cannot be used; expected one of {', '.join(others)}")
    if len(films) < FEWEST:
        raise DataError(
            f"{len(films)} films were answered ({films.rejected} more were rejected by the gate, "
            f"{len(films.unreadable)} cannot be read); at least {FEWEST} are needed, and 100 or more are better"
        )
    return decisions


def _fit(decisions: Decisions, films: SiteFilms, known: Known) -> _Limits:
    """Return the limits for films, without their shares."""
    limit = _limit(_excess(decisions, films), known)
    offset = 0.0 - round(max(limit + HAIR, 0.0), DECIMALS)  # never -0.0
    if known.label is None:
        return _Limits(offset)
    number = decisions.classes.index(known.label)
    moved = moved_decisions(decisions, offset).probabilities(films.logits)
    minimum = smallest_members(np.full(len(films), number), moved, decisions.alpha)[number]
    return _Limits(offset, minimum or None)  # 0: too few films to leave the class out of any set


def _limit(excess: Floats, known: Known) -> float:
    """Return the excess below which a share `specificity` of new films without the target is expected.

    Of few films the k-th smallest is one of the very largest: of 20, a single film would decide for a whole site. The
    Gaussian limit assumes more, and depends far less on chance.

    Args:
        excess: float64 (n,), as `_excess` gives it, differences of logits.
        known: Of the films.
    """
    left_out = int(np.floor(known.target_share * len(excess)))
    others = np.sort(excess)[: len(excess) - left_out]
    n = len(others)
    if n >= ENOUGH or left_out:  # what is left once the largest are gone is not Gaussian
        return float(others[min(int(np.ceil(known.specificity * (n + 1))), n) - 1])
    return float(others.mean() + student_t.ppf(known.specificity, n - 1) * others.std(ddof=1) * np.sqrt(1 + 1 / n))


def _excess(decisions: Decisions, films: SiteFilms) -> Floats:
    """Return by how much the target's logit is too high for the film not to be suspected, float64 (n,).

    A film is suspected where the target is the most probable class and reaches the default threshold. Both are
    differences of logits, which an offset of the target moves alike, and which unlike probabilities never saturate.
    """
    scaled = films.logits.astype(np.float64) / decisions.temperature
    number = decisions.classes.index(decisions.target)
    others = np.delete(scaled, number, axis=1)
    threshold = _logit(decisions.points[decisions.default_point].threshold)
    log_odds = scaled[:, number] - np.logaddexp.reduce(others, axis=1)
    return np.asarray(np.minimum(scaled[:, number] - others.max(axis=1), log_odds - threshold))


def _logit(probability: float) -> float:
    inside = float(np.clip(probability, np.finfo(float).tiny, 1 - np.finfo(float).eps))
    return float(np.log(inside) - np.log1p(-inside))


def moved_decisions(
    decisions: Decisions, offset: float, label: str | None = None, minimum: float | None = None
) -> Decisions:
    """Return decisions with a site's limits, as an adapted model has them.

    Args:
        decisions: Of the model that was adapted.
        offset: Added to the target's logit.
        label: Class whose limit in the prediction sets was fitted too; None: none was.
        minimum: That limit, a probability; None: it stays.
    """
    offsets, minima = np.zeros(len(decisions.classes)), decisions.minimum.copy()
    offsets[decisions.classes.index(decisions.target)] = offset
    if label is not None and minimum is not None:
        minima[decisions.classes.index(label)] = minimum
    return replace(decisions, offset=offsets, minimum=minima)


def _decide(decisions: Decisions, films: SiteFilms) -> list[Decision]:
    return decisions.decide(
        decisions.probabilities(films.logits),
        decisions.default_point,
        flags=films.flags,
        disagreeing=decisions.disagreeing(films.members),
    )


def _cross_fitted(decisions: Decisions, films: SiteFilms, known: Known) -> SiteShares:
    """Decide about each fifth of the films by limits fitted to the others: shares as on films not seen."""
    fold = np.arange(len(films)) % FOLDS
    decided: list[Decision] = []
    predicted: list[bool] = []
    for number in range(FOLDS):
        limits = _fit(decisions, films.at(np.flatnonzero(fold != number)), known)
        moved, held = (
            moved_decisions(decisions, limits.offset, known.label, limits.minimum),
            films.at(np.flatnonzero(fold == number)),
        )
        decided += _decide(moved, held)
        predicted += _is_target(moved, held).tolist()
    return _counted(decisions, decided, sum(predicted))


def _shares(decisions: Decisions, decided: Sequence[Decision], films: SiteFilms) -> SiteShares:
    return _counted(decisions, decided, int(_is_target(decisions, films).sum()))


def _is_target(decisions: Decisions, films: SiteFilms) -> NDArray[np.bool_]:
    largest = decisions.probabilities(films.logits).argmax(axis=1)
    return np.asarray(largest == decisions.classes.index(decisions.target))


def _counted(decisions: Decisions, decided: Sequence[Decision], predicted: int) -> SiteShares:
    words = [one.word for one in decided]
    suspected, _, refer = decision_words(decisions.target)
    return SiteShares(*(wilson(count, len(words)) for count in (words.count(suspected), predicted, words.count(refer))))


def _sensitivity(decisions: Decisions, offset: float) -> float | None:
    """Return the share of validation's target images that are suspected; None where the model does not say."""
    found = decisions.reference.target if decisions.reference else None
    if found is None:
        return None
    # Of the other classes nothing is kept: at even odds none of them can be more probable.
    least = _logit(max(decisions.points[decisions.default_point].threshold, EVEN)) - offset
    return rounded(float(np.mean([_logit(value) >= least for value in found])))


def _digest(digests: Sequence[str]) -> str:
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def write_adapted(folder: Path, model: ScreeningModel, adaptation: Adaptation) -> JsonObject:
    """Write the adapted model's folder, whole or not at all, and return its description.

    Network, gate and lung segmenter are those of `model`, to the byte. The figures of its description stay in the model
    that it was made from, which `adapted` names: they are of other limits.
    """
    with whole_folder(folder) as new:
        return _write_adapted(new, model, adaptation)


def _write_adapted(folder: Path, model: ScreeningModel, adaptation: Adaptation) -> JsonObject:
    for file in model_files(model.folder, model.description):
        copy_file(file, folder / file.name)
    form = read_json(model.folder / DECISIONS_FILE)
    assert model.decisions is not None, "adapt has checked it"
    moved = moved_decisions(model.decisions, adaptation.offset, adaptation.known, adaptation.minimum_after)
    form["offset"] = dict(zip(moved.classes, moved.offset.tolist(), strict=True))
    form["conformal"]["minimum"] = dict(zip(moved.classes, moved.minimum.tolist(), strict=True))
    write_json(folder / DECISIONS_FILE, form)
    description = {key: value for key, value in model.description.items() if key != "evaluation"}
    description |= {
        "name": f"{description['name']}-{adaptation.site}",
        "decisions": {"sha256": sha256_of(folder / DECISIONS_FILE)},
        "adapted": as_json(adaptation) | {"warning": adaptation.warning},
    }
    write_json(folder / DESCRIPTION_FILE, description)
    return description
