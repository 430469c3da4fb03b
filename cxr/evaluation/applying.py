"""Decisions about images of the split table, as `cxr-batch` takes them about files."""

from cxr.decisions import Decision, Decisions
from cxr.evaluation.gating import Judged
from cxr.evaluation.outputs import SavedOutputs


def apply_decisions(outputs: SavedOutputs, decisions: Decisions, judged: Judged) -> list[Decision | None]:
    """Decide about n images at the operating point that is used where none is asked for.

    Args:
        outputs: What the network said of them; members that disagree refer.
        decisions: Fitted on validation.
        judged: What the gate says of the same images, in their order.

    Returns:
        None where the gate rejects.
    """
    decided = decisions.decide(
        decisions.probabilities(outputs.logits),
        decisions.default_point,
        unusual=judged.unusual,
        disagreeing=outputs.disagreeing,
    )
    return [None if rejected else one for rejected, one in zip(judged.rejected, decided, strict=True)]


def apply_sets_alone(outputs: SavedOutputs, decisions: Decisions) -> list[Decision | None]:
    """Decide as without a gate and without a word of the members, for comparison."""
    return list(decisions.decide(decisions.probabilities(outputs.logits), decisions.default_point))
