"""From the validation split to the gate's thresholds and limits; and how often each sign is seen there."""

import math

import numpy as np
from numpy.typing import NDArray

from cxr.files import JsonObject
from cxr.gate import Limits, Sign
from cxr.limits import CLIPPED
from cxr.planes import Plane
from cxr.training.gate_params import GateParams, LimitParams

Scores = NDArray[np.float64]

DIGITS = 6
SCALE = 10.0**DIGITS


def thresholds_of(scores: Scores, params: GateParams) -> dict[Sign, float]:
    """Return for each sign the lowest threshold that so many radiographs stay below as `params` asks for.

    Args:
        scores: (n, len(Sign)) of upright radiographs of validation.
        params: Its shares; a probability's threshold is at least `params.least`.
    """
    allowed = dict.fromkeys(Sign, params.flagged)
    allowed |= {Sign.NOT_A_RADIOGRAPH: 1 - params.accept, Sign.OUT_OF_DISTRIBUTION: params.unusual}
    lowest = dict.fromkeys(Sign, params.least) | {Sign.OUT_OF_DISTRIBUTION: 0.0}
    return {
        sign: max(lowest[sign], lowest_threshold(column, allowed[sign]))
        for sign, column in zip(Sign, scores.T, strict=True)
    }


def lowest_threshold(scores: Scores, share: float) -> float:
    """Return a number of six decimals that at most `share` of the scores reach, and the next score below it does not.

    Args:
        scores: (n,), n at least 1.
        share: 0 to below 1; 0.003 of 196 scores are none of them.
    """
    # Not the bare product: 0.07 * 100 is more than 7.
    reached = math.floor(share * len(scores) + 1e-9)
    highest_below = np.sort(scores)[len(scores) - 1 - reached]
    above = math.floor(float(highest_below) * SCALE) + 1
    return above / SCALE


def limits_of(planes: Plane, params: LimitParams) -> Limits:
    """Return the limits of pictures, those of exposure from upright radiographs, uint8 (n, side, side)."""
    means = planes.mean(axis=(1, 2)) / 255
    white = (planes >= CLIPPED).mean(axis=(1, 2))
    share, margin = params.exposure_share, params.exposure_margin
    return Limits(
        min_side=params.min_side,
        max_aspect=params.max_aspect,
        max_colour=params.max_colour,
        min_spread=params.min_spread,
        dark=round(max(0.0, float(np.quantile(means, share)) - margin), DIGITS),
        bright=round(min(1.0, float(np.quantile(means, 1 - share)) + margin), DIGITS),
        max_clipped=round(min(1.0, float(np.quantile(white, 1 - share)) + margin), DIGITS),
    )


def shares_seen(
    upright: Scores, views: Scores, targets: NDArray[np.float32], thresholds: dict[Sign, float]
) -> JsonObject:
    """Return what gate.json says of validation.

    Args:
        upright: (n, len(Sign)), of its radiographs as they are.
        views: (m, len(Sign)), of turned, inverted and cropped ones and of drawn pictures.
        targets: (m, signs), what was done to each, see `draw_views`.
        thresholds: In force.

    Returns:
        `images`, and by sign `seen`, the share of radiographs as they are, and `found`, of those that have it.
    """
    found = {
        sign.value: round(float((views[targets[:, column] > 0.5, column] >= thresholds[sign]).mean()), DIGITS)
        for column, sign in enumerate(list(Sign)[: targets.shape[1]])
        if (targets[:, column] > 0.5).any()
    }
    seen = {
        sign.value: round(float((upright[:, column] >= thresholds[sign]).mean()), DIGITS)
        for column, sign in enumerate(Sign)
    }
    return {"images": len(upright), "seen": seen, "found": found}
