"""What a network says of films that its training never saw the like of: of other hospitals, and of no class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.core.errors import DataError
from cxr.evaluation.stats.classification import delong, delong_interval
from cxr.evaluation.stats.decisions import fit_decisions
from cxr.evaluation.stats.intervals import UNDEFINED, Interval, wilson
from cxr.inference.decisions import Decision, Decisions, OperatingPoint, decision_words
from cxr.inference.gate import Flag, Judged
from cxr.inference.outputs import SavedOutputs, apply_decisions

HELD_OUT = "held_out"
ALL = ""  # in place of a hospital's name


@dataclass(frozen=True, slots=True)
class UnseenFilms:
    """What became of the films of one class, of one hospital or of all, asked about without that hospital in training.

    Attributes:
        hospital: The collection that was left out; empty for all of them together.
        label: Class of the films.
        n: Films.
        called: Share whose most probable class is the target: recall for the target, false alarms for the others.
        suspected: Share that is decided as suspected.
        referred: Share that is for a person to decide.
        unlike: Share that the gate flags as unlike what training saw.
        rejected: Share that the gate rejects; none of the shares above counts them out.
        auc: Area under the ROC curve of all of the target's films against these; undefined for the target itself.
        recognised: Share whose most probable class is their own; None in cards of earlier versions.
    """

    hospital: str
    label: str
    n: int
    called: Interval
    suspected: Interval
    referred: Interval
    unlike: Interval
    rejected: Interval
    auc: Interval
    recognised: Interval | None = field(default=None, metadata={"absent": True})


@dataclass(frozen=True, slots=True)
class UnseenHospitals:
    """Figures by hospital and class.

    Attributes:
        network: What was fitted again.
        target: Class of the operating point.
        rows: By hospital and class.
        overall: By class.
        alarms: Share of all films without the target that are called so.
    """

    network: str
    target: str
    rows: tuple[UnseenFilms, ...]
    overall: tuple[UnseenFilms, ...]
    alarms: Interval


@dataclass(frozen=True, slots=True)
class OutOfScopeFilms:
    """What the network that screens says of films of no class that it knows, by their label and collection.

    Attributes:
        label: What they are.
        source: The collection; empty where unknown.
        n: Films.
        called: Share whose most probable class is each of the network's.
        suspected: Share that is decided as suspected.
        referred: Share that is for a person to decide.
        unlike: Share that the gate flags as unlike what training saw.
        rejected: Share that the gate rejects; none of the shares above counts them out.
    """

    label: str
    source: str
    n: int
    called: Mapping[str, Interval]
    suspected: Interval
    referred: Interval
    unlike: Interval
    rejected: Interval


@dataclass(frozen=True, slots=True)
class _Answers:
    """Of n held-out films: what was said and decided.

    Attributes:
        hospital: str (n,).
        label: str (n,), the class that each is known to be of.
        called: bool (n,), whether the target is the most probable class.
        recognised: bool (n,), whether its own class is.
        words: str (n,), the decision; empty where the gate rejects.
        unlike: bool (n,), whether the gate flags it as unlike what training saw.
        score: float64 (n,), calibrated probability of the target.
    """

    hospital: NDArray[np.str_]
    label: NDArray[np.str_]
    called: NDArray[np.bool_]
    recognised: NDArray[np.bool_]
    words: NDArray[np.str_]
    unlike: NDArray[np.bool_]
    score: NDArray[np.float64]


def measure_unseen(
    answers: pd.DataFrame,
    verdicts: Mapping[str, int],
    judged: Judged,
    classes: tuple[str, ...],
    target: str,
    alpha: float,
) -> UnseenHospitals | None:
    """Decide about films of each left-out hospital by decisions fitted without it, and count.

    Args:
        answers: As the stages last_layer and leave_hospital_out write them.
        verdicts: Row of `judged` by file.
        judged: What the gate says of the held-out films.
        classes: In the order of the logits.
        target: Class of the operating points.
        alpha: Share of a class that its prediction sets may lack.

    Returns:
        None where no hospital was left out.

    Raises:
        DataError: A held-out file has no verdict: it is of another run.
    """
    lost = sorted(set(answers.loc[answers["split"] == HELD_OUT, "file"]) - set(verdicts))
    if lost:
        raise DataError(
            f"{lost[0]} was asked about without its hospital and is not in work/prepared; run: dvc repro "
            "release/dvc.yaml"
        )
    if answers.empty:
        return None
    parts = [
        _decided(part, verdicts, judged, classes, target, alpha) for _, part in answers.groupby("held_out", sort=True)
    ]
    whole = _Answers(*(np.concatenate([getattr(part, name) for part in parts]) for name in _Answers.__slots__))
    hospitals, labels = sorted(set(whole.hospital.tolist())), [name for name in classes if name in set(whole.label)]
    rows = [_counted(whole, hospital, label, target) for hospital in hospitals for label in labels]
    overall = [_counted(whole, ALL, label, target) for label in labels]
    network = str(answers["network"].iloc[0])
    others = whole.label != target
    alarms = wilson(int(whole.called[others].sum()), int(others.sum()))
    return UnseenHospitals(network, target, tuple(row for row in rows if row.n), tuple(overall), alarms)


def _decided(
    part: pd.DataFrame,
    verdicts: Mapping[str, int],
    judged: Judged,
    classes: tuple[str, ...],
    target: str,
    alpha: float,
) -> _Answers:
    """Return what is said of one hospital's films by a network that never saw it."""
    held, decisions, seen = held_out(part, verdicts, judged, classes, target, alpha)
    decided = apply_decisions(held, decisions, seen)
    probabilities = decisions.probabilities(held.logits)
    number, predicted = classes.index(target), probabilities.argmax(axis=1)
    return _Answers(
        hospital=held.source,
        label=np.array([classes[one] for one in held.truth]),
        called=np.asarray(predicted == number),
        recognised=np.asarray(predicted == held.truth),
        words=np.array([_word(one) for one in decided]),
        unlike=np.array([Flag.OUT_OF_DISTRIBUTION in flags for flags in seen.raised]),
        score=probabilities[:, number],
    )


def held_out(
    part: pd.DataFrame,
    verdicts: Mapping[str, int],
    judged: Judged,
    classes: tuple[str, ...],
    target: str,
    alpha: float,
) -> tuple[SavedOutputs, Decisions, Judged]:
    """Return answers about one hospital's films, decisions fitted without it, and what the gate says of the films.

    Args:
        part: The rows of one value of `held_out`.
        verdicts: As `measure_unseen` takes them, and all that follow.
        judged: See there.
        classes: See there.
        target: See there.
        alpha: See there.
    """
    outputs = answered(part, classes)
    held = outputs.of(HELD_OUT)
    seen = judged.where(np.array([verdicts[file] for file in held.files], np.int64))
    return held, _fitted(outputs.of("validation"), target, alpha), seen


def _word(decision: Decision | None) -> str:
    return decision.word if decision else ""


def answered(part: pd.DataFrame, classes: Sequence[str]) -> SavedOutputs:
    """Return answers as a table has them, with columns network, held_out, file, split, actual and logit_<class>."""
    numbers = {label: number for number, label in enumerate(classes)}
    count = np.zeros(len(part), np.int64)
    return SavedOutputs(
        name=str(part["network"].iloc[0]),
        classes=tuple(classes),
        files=part["file"].to_numpy(str),
        index=count,
        truth=np.array([numbers[label] for label in part["actual"]], np.int64),
        split=part["split"].to_numpy(str),
        group=count,
        source=part["held_out"].to_numpy(str),
        logits=part[[f"logit_{name}" for name in classes]].to_numpy(np.float32),
        features=np.zeros((len(part), 0), np.float32),
    )


def _fitted(validation: SavedOutputs, target: str, alpha: float) -> Decisions:
    found = fit_decisions(validation, target, alpha)
    points = {name: OperatingPoint(point.threshold, point.aim) for name, point in found.operating_points.items()}
    return Decisions(
        network="",
        classes=validation.classes,
        temperature=found.temperature,
        target=target,
        points=points,
        default_point=found.default_operating_point,
        alpha=alpha,
        minimum=np.array([found.conformal.minimum[name] for name in validation.classes]),
        reference=None,
        training_pixels=frozenset(),
        offset=np.zeros(len(validation.classes)),
    )


def _counted(answers: _Answers, hospital: str, label: str, target: str) -> UnseenFilms:
    suspected, _, refer = decision_words(target)
    own = (answers.label == label) & ((answers.hospital == hospital) | (hospital == ALL))
    n, of_target = int(own.sum()), answers.label == target
    return UnseenFilms(
        hospital=hospital,
        label=label,
        n=n,
        called=wilson(int(answers.called[own].sum()), n),
        suspected=wilson(int((answers.words[own] == suspected).sum()), n),
        referred=wilson(int((answers.words[own] == refer).sum()), n),
        unlike=wilson(int(answers.unlike[own].sum()), n),
        rejected=wilson(int((answers.words[own] == "").sum()), n),
        auc=UNDEFINED if label == target or not n or not of_target.any() else _auc(answers, own, of_target),
        recognised=wilson(int(answers.recognised[own].sum()), n),
    )


def _auc(answers: _Answers, own: NDArray[np.bool_], of_target: NDArray[np.bool_]) -> Interval:
    chosen = own | of_target
    return delong_interval(delong(of_target[chosen], answers.score[chosen]))


def measure_out_of_scope(
    outputs: SavedOutputs, labels: NDArray[np.str_], decisions: Decisions, judged: Judged
) -> tuple[OutOfScopeFilms, ...]:
    """Count what is said of films of no class.

    Args:
        outputs: Of n films.
        labels: str (n,), what they are.
        decisions: Of the network that screens.
        judged: What the gate says of the same films.

    Returns:
        A row for each label and collection, in the order of their names.
    """
    called = decisions.probabilities(outputs.logits).argmax(axis=1)
    words = np.array([_word(one) for one in apply_decisions(outputs, decisions, judged)])
    unlike = np.array([Flag.OUT_OF_DISTRIBUTION in flags for flags in judged.raised])
    suspected, _, refer = decision_words(decisions.target)

    def counted(label: str, source: str) -> OutOfScopeFilms:
        own = (labels == label) & (outputs.source == source)

        def share(marked: NDArray[np.bool_]) -> Interval:
            return wilson(int(marked[own].sum()), int(own.sum()))

        return OutOfScopeFilms(
            label=label,
            source=source,
            n=int(own.sum()),
            called={name: share(called == number) for number, name in enumerate(outputs.classes)},
            suspected=share(words == suspected),
            referred=share(words == refer),
            unlike=share(unlike),
            rejected=share(words == ""),
        )

    return tuple(counted(*kind) for kind in sorted(set(zip(labels.tolist(), outputs.source.tolist(), strict=True))))
