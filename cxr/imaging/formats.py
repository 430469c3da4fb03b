"""Image formats by their first bytes, never by their names."""

import struct
import zlib
from pathlib import PurePosixPath
from typing import NamedTuple

from cxr.core.errors import ImageError, Reason

# What a name says when its owner takes the file for an image.
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".dib", ".webp", ".gif", ".dcm", ".dicom"}
)
# Pictures that are not read: they get a row that says what they are.
UNREAD_SUFFIXES = frozenset(
    {".heic", ".heif", ".avif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".jxl", ".jxr", ".nii"}
)
_PACKED_NIFTI = ".nii.gz"
HEAD_BYTES = 132  # DICOM's mark ends there (PS3.10, 7.1)

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "DICOM")
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


class Unread(NamedTuple):
    """A format that is not read, and what to do about a file of it."""

    name: str
    remedy: str

    @property
    def words(self) -> str:
        """Both, for people."""
        return f"{self.name}, which is not read; {self.remedy}"


_EXPORT = "export it as PNG or TIFF, for example with"
_MAGICK = f"{_EXPORT} ImageMagick: magick FILE FILE.png"
_JPEG_2000 = Unread("JPEG 2000", f"{_EXPORT} OpenJPEG: opj_decompress -i FILE -o FILE.png")
_JPEG_XL = Unread("JPEG XL", f"{_EXPORT} libjxl: djxl FILE FILE.png")
_NIFTI = Unread("NIfTI", "export the one picture that is meant as PNG, for example with 3D Slicer")
_UNREAD_SIGNATURES = (
    (b"\0\0\0\x0cjP  \r\n\x87\n", _JPEG_2000),
    (b"\xff\x4f\xff\x51", _JPEG_2000),
    (b"\0\0\0\x0cJXL \r\n\x87\n", _JPEG_XL),
    (b"\xff\x0a", _JPEG_XL),
    (b"II\xbc\x01", Unread("JPEG XR", _MAGICK)),
)
_UNREAD_BRANDS = {
    brand: Unread(name, _MAGICK)
    for name, brands in {
        "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
        "HEIF": (b"mif1", b"msf1"),
        "AVIF": (b"avif", b"avis"),
    }.items()
    for brand in brands
}
_UNPACK = "unpack it first"
# What a name alone says of a file that has no row.
_UNREAD_NAMES = {
    ".zip": Unread("zip", f"{_UNPACK}, or screen the address zip://::FILE"),
    ".tar": Unread("tar", f"{_UNPACK}, or screen the address tar://::FILE"),
    ".7z": Unread("7z", _UNPACK),
    ".rar": Unread("RAR", _UNPACK),
    **dict.fromkeys((".gz", ".tgz"), Unread("gzip", _UNPACK)),
    ".bz2": Unread("bzip2", _UNPACK),
    ".xz": Unread("xz", _UNPACK),
    ".pdf": Unread("PDF", "export its picture as PNG"),
}
_OTHER_SIGNATURES = (  # of what has no row unless its name claims a picture
    (b"PK\3\4", _UNREAD_NAMES[".zip"]),
    (b"PK\5\6", _UNREAD_NAMES[".zip"]),
    (b"\x1f\x8b", _UNREAD_NAMES[".gz"]),
    (b"7z\xbc\xaf", _UNREAD_NAMES[".7z"]),
    (b"Rar!", _UNREAD_NAMES[".rar"]),
    (b"BZh", _UNREAD_NAMES[".bz2"]),
    (b"\xfd7zXZ\0", _UNREAD_NAMES[".xz"]),
    (b"%PDF-", _UNREAD_NAMES[".pdf"]),
)
_BY_DETAIL = {
    unread.words: unread
    for unread in (_NIFTI, *dict(_UNREAD_SIGNATURES + _OTHER_SIGNATURES).values(), *_UNREAD_BRANDS.values())
}
_NIFTI_HEADERS = tuple(struct.pack(f"{order}I", size) for order in "<>" for size in (348, 540))
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})  # bytes of the information header, of each version
_RIFF_MARK, _BMP_MARK = 12, 18  # bytes by which WebP and BMP are known
_PREAMBLE = 128
_ELEMENT_MARK = 8  # bytes by which a data element is known
# Value representations that open a DICOM object without preamble: of groups 0002 and 0008 up to these elements.
_FIRST_VRS = (b"UL", b"CS", b"UI", b"DA", b"TM", b"DT", b"SH", b"LO", b"OB")
_LAST_FIRST = {0x0002: 0x0016, 0x0008: 0x0080}
# Without one there is less to go by: what the first elements of group 0008 are, up to the UIDs, StudyDate and Modality.
_FIRST_IMPLICIT = frozenset({*range(0x0001, 0x0019), 0x0020, 0x0060})
_LONGEST_FIRST = 256


def recognise(head: bytes) -> str | None:
    """Return the format that a file's first `HEAD_BYTES` bytes (fewer if it is shorter) begin, None for no image.

    Returns:
        One of `FORMATS`.
    """
    if head[_PREAMBLE:HEAD_BYTES] == b"DICM":  # first: its preamble may be the header of a TIFF (PS3.10, 7.1)
        return "DICOM"
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and len(head) >= _BMP_MARK and struct.unpack_from("<I", head, 14)[0] in _BMP_HEADERS:
        return "BMP"
    return "DICOM" if lacks_preamble(head) else None


def is_unread_picture(head: bytes) -> bool:
    """Tell whether a file begins like a picture of a format that is not read."""
    return _unread_picture(head) is not None


def claims_picture(name: str) -> bool:
    """Tell whether a file's name ends like a picture's, read or not."""
    lower = name.lower()
    return PurePosixPath(lower).suffix in SUFFIXES | UNREAD_SUFFIXES or lower.endswith(_PACKED_NIFTI)


def unread_by_detail(detail: str) -> Unread | None:
    """Return the format whose words are the detail of a row, see `why_unknown`; None where they are no format's."""
    return _BY_DETAIL.get(detail)


def unread_by_name(name: str) -> Unread | None:
    """Return the format of a file without a row that its name tells; None where it tells none of the known."""
    return _UNREAD_NAMES.get(PurePosixPath(name).suffix.lower())


def why_unknown(data: bytes) -> ImageError:
    """Say what a file is that `recognise` does not know, with a remedy where there is one."""
    if data.count(0) == len(data):
        return ImageError(Reason.TRUNCATED, f"all of its {len(data):,} bytes are zero, as where a copy stopped")
    if _stops_in_mark(data):
        return ImageError(Reason.TRUNCATED, f"the file ends after {len(data):,} bytes, in its header")
    other = next((unread for signature, unread in _OTHER_SIGNATURES if data.startswith(signature)), None)
    # NIfTI here: too short a mark to give a row to files of any name.
    unread = _unread_picture(data) or (_NIFTI if _is_nifti(data) else other)
    if unread is not None:
        return ImageError(Reason.NOT_AN_IMAGE, unread.words)
    return ImageError(Reason.NOT_AN_IMAGE, "no image format recognises the content")


def _stops_in_mark(data: bytes) -> bool:
    """Tell whether a file ends before that by which `recognise` would know its format."""
    return (
        any(signature.startswith(data) for signature, _ in _SIGNATURES)
        or (len(data) < _RIFF_MARK and b"RIFF".startswith(data[:4]) and b"WEBP".startswith(data[8:]))
        or (len(data) < _BMP_MARK and b"BM".startswith(data[:2]))
        or (_PREAMBLE < len(data) < HEAD_BYTES and b"DICM".startswith(data[_PREAMBLE:]))
        or (len(data) < _ELEMENT_MARK and data[:2] in (b"\2\0", b"\x08\0"))
    )


def _unread_picture(data: bytes) -> Unread | None:
    """Return the format of a picture that is not read."""
    for signature, unread in _UNREAD_SIGNATURES:
        if data.startswith(signature):
            return unread
    return _UNREAD_BRANDS.get(data[8:12]) if data[4:8] == b"ftyp" else None


def _is_nifti(data: bytes) -> bool:
    """Tell NIfTI, also packed with gzip, as it mostly is."""
    if data.startswith(b"\x1f\x8b"):
        try:
            data = zlib.decompressobj(wbits=31).decompress(data, 4)
        except zlib.error:
            return False
    return data.startswith(_NIFTI_HEADERS)


def lacks_preamble(head: bytes) -> bool:
    """Tell whether a file begins with a data element of group 0002 or 0008 at once, as old DICOM files do.

    Explicit value representation of either byte order, or implicit, little endian (PS3.5, 7.1).
    """
    if len(head) < _ELEMENT_MARK or head[_PREAMBLE:HEAD_BYTES] == b"DICM":
        return False
    if head[4:6] in _FIRST_VRS:
        return any(_begins_explicit(head, order) for order in "<>")
    group, element, length = struct.unpack_from("<HHI", head)
    if group != 0x0008:
        return False
    if element == 0:  # the length of the group, a number of 4 bytes
        return bool(length == 4)
    return bool(element in _FIRST_IMPLICIT and length <= _LONGEST_FIRST and length % 2 == 0)


def _begins_explicit(head: bytes, order: str) -> bool:
    group, element = struct.unpack_from(f"{order}HH", head)
    (length,) = struct.unpack_from(f"{order}H", head, 6)
    return bool(element <= _LAST_FIRST.get(group, -1) and length <= _LONGEST_FIRST)
