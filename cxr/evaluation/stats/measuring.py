"""All figures of one network on the test split."""

from cxr.decisions import Decisions
from cxr.evaluation.applying import apply_decisions, apply_sets_alone
from cxr.evaluation.gating import Judged, unjudged
from cxr.evaluation.outputs import SavedOutputs
from cxr.evaluation.stats.answering import answering_section, paths
from cxr.evaluation.stats.answers import Answers
from cxr.evaluation.stats.by_class import classes_section, confusion_rows, metrics_section
from cxr.evaluation.stats.calibration import calibration_section
from cxr.evaluation.stats.conformal import conformal_section
from cxr.evaluation.stats.curves import decision_curve, distributions, pr_points, roc_points
from cxr.evaluation.stats.operating_points import operating_points_section
from cxr.evaluation.stats.selective import selective_section
from cxr.files import JsonObject
from cxr.network import softmax


def measure_model(
    test: SavedOutputs,
    decisions: Decisions,
    seed: int,
    validation: SavedOutputs | None = None,
    judged: Judged | None = None,
) -> JsonObject:
    """Measure a network with the temperature, thresholds and sets that were fitted on validation.

    Args:
        test: Its outputs on the test split.
        decisions: Fitted on validation.
        seed: Of bootstrap and null band.
        validation: Its outputs on validation, for the two figures that an operating point had there; null without.
        judged: What the gate says of the test split; None without a gate.

    Returns:
        n, metrics, classes, confusion, calibration, operating_points, selective, conformal, answering (as cxr-batch
        decides, with gate and disagreement, and without), decision_curve (of the target class), roc, pr,
        distributions; floats with six decimals, null where a figure is not defined.
    """
    answers = calibrated_answers(test, decisions)
    before = Answers(test.classes, test.truth, softmax(test.logits), test.group)
    target = test.classes.index(decisions.target)
    earlier = calibrated_answers(validation, decisions) if validation else None
    return {
        "n": len(test),
        "metrics": metrics_section(answers, seed),
        "classes": classes_section(answers),
        "confusion": confusion_rows(answers),
        "calibration": calibration_section(before, answers, decisions.temperature, seed),
        "operating_points": operating_points_section(answers, decisions, earlier),
        "selective": selective_section(answers),
        "conformal": conformal_section(answers, decisions),
        "answering": _answering(test, answers, decisions, judged or unjudged(len(test))),
        "decision_curve": decision_curve(answers.truth == target, answers.probabilities[:, target]),
        "roc": roc_points(answers),
        "pr": pr_points(answers),
        "distributions": distributions(answers),
    }


def _answering(test: SavedOutputs, answers: Answers, decisions: Decisions, judged: Judged) -> JsonObject:
    gated = apply_decisions(test, decisions, judged)
    return {
        "gated": answering_section(answers, decisions.target, gated, judged),
        "ungated": paths(answers, decisions.target, apply_sets_alone(test, decisions)),
    }


def calibrated_answers(outputs: SavedOutputs, decisions: Decisions) -> Answers:
    """Return what is measured, with calibrated probabilities."""
    return Answers(outputs.classes, outputs.truth, decisions.probabilities(outputs.logits), outputs.group)
