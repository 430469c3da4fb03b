"""What the small networks see of a plane, and how wide they are; read by params, so without TensorFlow."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """What the small networks see of a plane, and how wide they are.

    Attributes:
        margin: Cut off each side, share of the side.
        standardise: Whether each image is brought to mean 0 and standard deviation 1.
        widen: Factor on the number of filters.
    """

    margin: float = 0.0
    standardise: bool = False
    widen: float = 1.0


PLAIN = Look()
