"""What may be said of a picture beside its answer, and what only a gate says."""

from enum import StrEnum

from cxr.errors import Reason


class Flag(StrEnum):
    """What a reader should know before trusting an answer: the closed vocabulary of the column `flags`."""

    SMALL = "small"
    ELONGATED = "elongated"
    FLAT = "flat"
    SYNTHETIC = "synthetic"
    LATERAL = "lateral"
    OVEREXPOSED = "overexposed"
    UNDEREXPOSED = "underexposed"
    INVERTED = "inverted"
    ROTATED_90 = "rotated_90"
    ROTATED_180 = "rotated_180"
    CROPPED = "cropped"
    OUT_OF_DISTRIBUTION = "out_of_distribution"


# Only a gate gives these: the first two its limits, the others its network.
EXPOSURE_FLAGS = frozenset({Flag.OVEREXPOSED, Flag.UNDEREXPOSED})
SIGN_FLAGS = frozenset({Flag.INVERTED, Flag.ROTATED_90, Flag.ROTATED_180, Flag.CROPPED, Flag.OUT_OF_DISTRIBUTION})
# A picture that its gate keeps from the networks.
GATE_REASONS = frozenset(
    {Reason.TOO_SMALL, Reason.EXTREME_ASPECT, Reason.BLANK, Reason.COLOUR_PHOTO, Reason.NOT_A_RADIOGRAPH}
)
