"""DICOM attributes that a user asked for by name; without being asked, none leaves a file."""

from collections.abc import Sequence
from io import BytesIO

from cxr.errors import UsageError


def check_keywords(keywords: Sequence[str]) -> None:
    """Refuse what is no DICOM keyword, such as a misspelt one, which would give an empty column. Raises UsageError."""
    if not keywords:
        return
    from pydicom.datadict import tag_for_keyword

    unknown = [keyword for keyword in keywords if tag_for_keyword(keyword) is None]
    if unknown:
        raise UsageError(
            f"DICOM has no attribute {', '.join(unknown)}; expected keywords of its data dictionary, such as "
            f"StudyDate or PatientID"
        )


def dicom_attributes(data: bytes, keywords: Sequence[str]) -> tuple[str, ...]:
    """Return the values of `keywords` as text, several values joined by a backslash as DICOM does.

    A file that is not DICOM, and an attribute that is absent, give an empty text.
    """
    import pydicom
    from pydicom.multival import MultiValue

    try:
        dataset = pydicom.dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=list(keywords), force=True)
        values = [dataset.get(keyword) for keyword in keywords]
    except Exception:  # its picture could be decoded: an odd header must not cost the answer
        return ("",) * len(keywords)
    return tuple(
        "" if value is None else "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
        for value in values
    )
