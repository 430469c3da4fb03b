"""Every error a user can cause. The message is a whole sentence: what, where, what was expected, what to do."""

from enum import StrEnum


class CxrError(Exception):
    """Base of all errors that are the input's fault; caught in one place, `cxr.cli.console.user_errors`."""


class ParamsError(CxrError):
    """A value in params.yaml is missing, misspelt or out of range."""


class DataError(CxrError):
    """A release, archive, table or array is not what it should be."""


class SplitError(CxrError):
    """A patient, a file or a group of duplicates would stand in two splits."""


class AuditError(CxrError):
    """An audit failed on something that can be put right, and no waiver says why to go on."""


class WeightsError(CxrError):
    """Pretrained weights are absent or are not the published file."""


class ModelError(CxrError):
    """A model folder is incomplete, altered or does not agree with its description."""


class UsageError(CxrError):
    """What was asked for makes no sense: exit status 2, as for an unknown option."""


class OutputError(CxrError):
    """Results cannot be written where they were asked for."""


class LimitError(CxrError):
    """This machine, or what a user may have of it, has too little memory or too few threads left."""


class ResumeError(CxrError):
    """An earlier run's journal does not belong to what is asked for now."""


class Reason(StrEnum):
    """Why an image file has no answer: the closed vocabulary of the column `reason`.

    The last five are said only where a network has a gate: of pictures that were decoded and are no chest radiograph;
    the two before them of DICOM objects whose header says so.
    """

    EMPTY = "empty_file"
    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    MULTI_FRAME = "multi_frame"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported_pixels"
    NOT_AN_IMAGE = "not_an_image"
    NOT_FINITE = "not_finite_output"
    NETWORK = "network_failure"
    MEMORY = "out_of_memory"
    NO_DECODER = "no_decoder"
    CRASHED = "decoder_crashed"
    OTHER_MODALITY = "other_modality"
    OTHER_BODY_PART = "other_body_part"
    TOO_SMALL = "too_small"
    EXTREME_ASPECT = "extreme_aspect"
    BLANK = "blank"
    COLOUR_PHOTO = "colour_photo"
    NOT_A_RADIOGRAPH = "not_a_radiograph"


LONGEST_DETAIL = 300


def _on_one_line(text: str) -> str:
    """Return a text that may quote what a file holds: single spaces, `?` for what cannot be seen, not too long."""
    seen = "".join(one if one.isprintable() else "?" for one in " ".join(text.split()))
    return seen if len(seen) <= LONGEST_DETAIL else f"{seen[: LONGEST_DETAIL - 3]}..."


class ImageError(CxrError):
    """One image file cannot be used; data to a batch, an error to whoever asked for that file.

    Attributes:
        reason: One of `Reason`.
        detail: A clause for people, without the file's name: one line of at most `LONGEST_DETAIL` characters.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        detail = _on_one_line(detail)
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
