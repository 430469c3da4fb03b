"""The limits of a gate: what rules a picture out before any network, by its size and its samples alone."""

from cxr.errors import Reason
from cxr.flags import Flag
from cxr.gate import Limits
from cxr.images import ImageFacts
from cxr.planes import Plane

CLIPPED = 254  # of 255: JPEG turns many a clipped 255 into 254


def ruled_out(facts: ImageFacts, plane: Plane, limits: Limits) -> tuple[Reason, str] | None:
    """Return the first limit that a picture breaks, with the number and the limit in words; None where it keeps all.

    Args:
        facts: Of its file.
        plane: uint8 (side, side).
        limits: Of the gate.
    """
    by_size = ruled_out_by_size(facts.width, facts.height, limits)
    if by_size:
        return by_size
    spread = float(plane.std()) / 255
    if spread < limits.min_spread:
        return (
            Reason.BLANK,
            f"grey levels have a standard deviation of {spread:.4f} of full scale; expected at least "
            f"{limits.min_spread:g}",
        )
    if facts.colour > limits.max_colour:
        return (
            Reason.COLOUR_PHOTO,
            f"samples have a mean chroma of {facts.colour:.4f} of full scale; expected at most {limits.max_colour:g}",
        )
    return None


def ruled_out_by_size(width: int, height: int, limits: Limits) -> tuple[Reason, str] | None:
    """Return which limit sides of that many pixels break, with the number and the limit; None where they break none."""
    shorter, longer = sorted((width, height))
    if shorter < limits.min_side:
        return Reason.TOO_SMALL, f"the shorter side has {shorter} pixels; expected at least {limits.min_side}"
    if longer > limits.max_aspect * shorter:
        return (
            Reason.EXTREME_ASPECT,
            f"{width} x {height}: one side is {longer / shorter:.2f} times the other; expected at most "
            f"{limits.max_aspect:g}",
        )
    return None


def exposure_of(plane: Plane, limits: Limits) -> frozenset[Flag]:
    """Return the flags of a plane, uint8 (side, side), that is too bright, too dark, or white over too large a part."""
    mean, clipped = float(plane.mean()) / 255, float((plane >= CLIPPED).mean())
    raised = {
        Flag.OVEREXPOSED: mean > limits.bright or clipped > limits.max_clipped,
        Flag.UNDEREXPOSED: mean < limits.dark,
    }
    return frozenset(flag for flag, is_raised in raised.items() if is_raised)
