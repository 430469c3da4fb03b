"""Image formats by their first bytes, never by their names."""

import struct

from cxr.core.errors import ImageError, Reason

# What a name says when its owner takes the file for an image.
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".dib", ".webp", ".gif", ".dcm", ".dicom"}
)
# Pictures that are not read: they get a row that says what they are.
UNREAD_SUFFIXES = frozenset({".heic", ".heif", ".avif", ".jp2", ".j2k", ".jpx", ".jxl", ".nii"})
HEAD_BYTES = 132  # DICOM's mark ends there (PS3.10, 7.1)

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),  # BigTIFF
    (b"MM\0+", "TIFF"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
)
_EXPORT = "export it as PNG or TIFF"
_UNREAD_SIGNATURES = (
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000", _EXPORT),
    (b"\xff\x4f\xff\x51", "JPEG 2000", _EXPORT),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", _EXPORT),
    (b"\xff\x0a", "JPEG XL", _EXPORT),
)
_UNREAD_BRANDS = {
    b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"hevx": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF",
    b"avif": "AVIF", b"avis": "AVIF",
}  # fmt: skip
_ARCHIVES = (
    (b"PK", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
)
_NIFTI_HEADERS = tuple(struct.pack(f"{order}I", size) for order in "<>" for size in (348, 540))
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})  # bytes of the information header, of each version
_PREAMBLE = 128
# Value representations that open a DICOM object without preamble: of groups 0002 and 0008 up to these elements.
_FIRST_VRS = (b"UL", b"CS", b"UI", b"DA", b"TM", b"DT", b"SH", b"LO", b"OB")
_LAST_FIRST = {0x0002: 0x0016, 0x0008: 0x0080}
_LAST_IMPLICIT = 0x0018
_LONGEST_FIRST = 256


def recognise(head: bytes) -> str | None:
    """Return the format that a file's first `HEAD_BYTES` bytes (fewer if it is shorter) begin, None for no image.

    Returns:
        `PNG`, `JPEG`, `TIFF`, `BMP`, `GIF`, `WEBP` or `DICOM`.
    """
    if head[_PREAMBLE:HEAD_BYTES] == b"DICM":  # first: its preamble may be the header of a TIFF (PS3.10, 7.1)
        return "DICOM"
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and len(head) >= 18 and struct.unpack_from("<I", head, 14)[0] in _BMP_HEADERS:
        return "BMP"
    return "DICOM" if lacks_preamble(head) else None


def is_unread_picture(head: bytes) -> bool:
    """Tell whether a file begins like a picture of a format that is not read."""
    return _unread_picture(head) is not None


def why_unknown(data: bytes) -> ImageError:
    """Say what a file is that `recognise` does not know, with a remedy where there is one."""
    if data.count(0) == len(data):
        return ImageError(Reason.TRUNCATED, f"all of its {len(data):,} bytes are zero, as where a copy stopped")
    if any(signature.startswith(data) for signature, _ in _SIGNATURES):
        return ImageError(Reason.TRUNCATED, f"the file ends after {len(data):,} bytes, in its header")
    picture = _unread_picture(data)
    if picture is not None:
        return ImageError(Reason.NOT_AN_IMAGE, f"{picture[0]}, which is not read; {picture[1]}")
    if data.startswith(_NIFTI_HEADERS):  # too short a mark to give a row to files of any name
        return ImageError(Reason.NOT_AN_IMAGE, "NIfTI, which is not read; export the one picture that is meant as PNG")
    archive = next((name for signature, name in _ARCHIVES if data.startswith(signature)), None)
    if archive is not None:
        return ImageError(Reason.NOT_AN_IMAGE, f"{archive}, which is not read; unpack it first")
    return ImageError(Reason.NOT_AN_IMAGE, "no image format recognises the content")


def _unread_picture(data: bytes) -> tuple[str, str] | None:
    """Return the name of a format that is not read, and what to do about it."""
    for signature, name, remedy in _UNREAD_SIGNATURES:
        if data.startswith(signature):
            return name, remedy
    if data[4:8] == b"ftyp" and data[8:12] in _UNREAD_BRANDS:
        return _UNREAD_BRANDS[data[8:12]], _EXPORT
    return None


def lacks_preamble(head: bytes) -> bool:
    """Tell whether a file begins with a data element of group 0002 or 0008 at once, as old DICOM files do.

    Explicit value representation of either byte order, or implicit, little endian (PS3.5, 7.1).
    """
    if len(head) < 8 or head[_PREAMBLE:HEAD_BYTES] == b"DICM":
        return False
    if head[4:6] in _FIRST_VRS:
        return any(_begins_explicit(head, order) for order in "<>")
    group, element, length = struct.unpack_from("<HHI", head)
    return bool(group == 0x0008 and element <= _LAST_IMPLICIT and 0 < length <= _LONGEST_FIRST)


def _begins_explicit(head: bytes, order: str) -> bool:
    group, element = struct.unpack_from(f"{order}HH", head)
    (length,) = struct.unpack_from(f"{order}H", head, 6)
    return bool(element <= _LAST_FIRST.get(group, -1) and length <= _LONGEST_FIRST)
