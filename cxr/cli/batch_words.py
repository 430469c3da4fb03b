"""Words of the command line of `cxr-batch`."""

from enum import StrEnum


class FailOn(StrEnum):
    """When files without an answer make the exit status 3."""

    NONE = "none"
    ANY = "any"
    ALL = "all"


class EngineName(StrEnum):
    """Who screens."""

    LOCAL = "local"
    RAY = "ray"


class Talk(StrEnum):
    """How much is said on stderr, and to whom."""

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"
    JSON = "json"
