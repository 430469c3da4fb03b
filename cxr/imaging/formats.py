"""Image formats by their first bytes, never by their names."""

import struct

# What a name says when its owner takes the file for an image.
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".dib", ".webp", ".gif", ".dcm", ".dicom"}
)
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
