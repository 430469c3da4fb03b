"""What two models score on the same images, and how far apart they are, resampling patients and not images."""

import numpy as np

from cxr.evaluation.stats.answers import Answers
from cxr.evaluation.stats.intervals import percentile, rounded
from cxr.evaluation.stats.resampling import Floats, resample
from cxr.evaluation.stats.weighted import balanced_accuracy, mean
from cxr.files import JsonObject
from cxr.release.pairing import Pair

LOWER_IS_BETTER = frozenset({"log_loss"})


def differences(pair: Pair, target: str, seed: int) -> JsonObject:
    """Measure both models and the difference new less old.

    Args:
        pair: Their answers.
        target: Class whose sensitivity counts; an image is found where it is the most probable one.
        seed: Of the bootstrap.

    Returns:
        For accuracy, balanced_accuracy, `<target>_sensitivity` and log_loss: `new` and `old`, a number each, and
        `difference` with its 95 % interval; bounds are null where no draw moves it.
    """
    number = pair.new.classes.index(target)

    def drawn(weights: Floats) -> dict[str, Floats]:
        new, old = (_figures(answers, number, weights) for answers in (pair.new, pair.old))
        return {name: new[name] - old[name] for name in new}

    once = np.ones((1, len(pair.new)))
    new, old = (_figures(answers, number, once) for answers in (pair.new, pair.old))
    gaps = resample(drawn, pair.new.truth, pair.new.group, seed)
    return {
        name.replace("target", target): {
            "new": rounded(float(new[name][0])),
            "old": rounded(float(old[name][0])),
            "difference": percentile(*gaps[name]),
        }
        for name in new
    }


def is_worse(name: str, difference: JsonObject) -> bool:
    """Tell whether the whole interval of a difference, new less old, lies on the worse side."""
    value = difference["value"] or 0.0
    low, high = (value if difference[end] is None else difference[end] for end in ("low", "high"))
    return bool(low > 0 if name in LOWER_IS_BETTER else high < 0)


def _figures(answers: Answers, target: int, weights: Floats) -> dict[str, Floats]:
    of_target = answers.truth == target
    return {
        "accuracy": mean(answers.right, weights),
        "balanced_accuracy": balanced_accuracy(answers.truth, answers.right, weights),
        "target_sensitivity": mean(answers.right[of_target], weights[:, of_target]),
        "log_loss": mean(answers.losses, weights),
    }
