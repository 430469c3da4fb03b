"""JPEG, JPEG-LS and JPEG 2000: what the header of a codestream says, and JPEG whose damage is told.

Headers: ITU-T T.81, B.2.2; T.87, C.2.2; T.800, A.5.1; nothing is decoded for them. JPEG has no checksum. Where coded
data end early or make no sense, libjpeg goes on: it fills the rest with grey, or shifts it, and warns, of which Pillow
says nothing. simplejpeg makes an error of that. It holds libjpeg-turbo as Pillow does: the pixels are the same.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from simplejpeg import decode_jpeg

from cxr.core.errors import ImageError, Reason

SOI, SOC = b"\xff\xd8", b"\xff\x4f\xff\x51"  # of JPEG and JPEG-LS; of JPEG 2000, with the marker of SIZ
END = b"\xff\xd9"  # of all of them; no coded data contain it
JP2 = b"\0\0\0\x0cjP  "  # a file around a JPEG 2000 codestream, which DICOM forbids and devices write
SIZ, SOF55 = 0x51, 0xF7  # frame headers of JPEG 2000 and of JPEG-LS
SOF0, SOF1, SOF2, SOF3 = range(0xC0, 0xC4)  # of JPEG: baseline, extended, progressive, lossless
# Of JPEG there are more, which DICOM has retired; DHT, JPG and DAC are none.
STARTS_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {SOF55}

_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a segment
_START_OF_SCAN = 0xDA
_RESTART_INTERVAL = 0xDD
_NOTES = frozenset({*range(0xE0, 0xF0), 0xFE})  # APPn and COM
_SCAN, _RESTART = b"\xff\xda", re.compile(b"\xff[\xd0-\xd7]")
_OF_PART_15 = 0x4000  # bit of Rsiz
_SOF_BYTES = 10  # of the header of a frame, up to its number of samples
_SIZ_BYTES = 43  # from the start of the codestream up to bits and sign of its first component


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What a codestream says of its picture.

    Attributes:
        place: Of its marker, in bytes.
        marker: Second byte of it: one of `STARTS_OF_FRAME`, or `SIZ`.
        width: Pixels.
        height: Pixels; 0 in JPEG where it is told after the first scan only.
        bits: Of a sample.
        samples: Of a pixel.
        is_signed: Of samples; JPEG and JPEG-LS do not tell.
        is_whole: Whether the end of the codestream is there.
        is_high_throughput: Of JPEG 2000, whether its blocks are coded as T.814 says.
    """

    place: int
    marker: int
    width: int
    height: int
    bits: int
    samples: int
    is_signed: bool
    is_whole: bool
    is_high_throughput: bool = False


def frame_of(data: bytes) -> FrameHeader | None:
    """Return the frame header of a codestream, that of JPEG 2000 also from within a JP2 file; None: there is none."""
    if data.startswith(SOI):
        return _of_jpeg(data)
    if data.startswith((SOC, JP2)):
        return _of_jpeg_2000(data, data.find(SOC))
    return None


def is_start(data: bytes) -> bool:
    """Tell whether a picture begins here."""
    return data.startswith((SOI, SOC, JP2))


def _of_jpeg_2000(data: bytes, start: int) -> FrameHeader | None:
    if start < 0 or len(data) < start + _SIZ_BYTES:
        return None
    capabilities, right, low, left, top = struct.unpack_from(">H4I", data, start + 6)
    samples, bits = struct.unpack_from(">HB", data, start + 40)
    if right <= left or low <= top:
        return None
    return FrameHeader(
        start + 2,
        SIZ,
        width=right - left,
        height=low - top,
        bits=(bits & 0x7F) + 1,
        samples=samples,
        is_signed=bits > 0x7F,
        is_whole=data.rfind(END) > start,
        is_high_throughput=bool(capabilities & _OF_PART_15),
    )


def lacks_end(data: bytes) -> bool:
    """Tell whether what begins as a codestream ends before its end marker, be it within its header."""
    if not data.startswith(SOI):
        return data.find(END, len(SOC)) < 0
    scan = next((place for marker, place in _markers(data) if marker == _START_OF_SCAN), len(data) - len(END))
    return data.find(END, scan) < 0


def bare(data: bytes) -> bytes:
    """Return of a JPEG what its samples depend on: no notes, nothing between segments, nothing beyond its last row.

    It has an end, and is said to be of 8 bits, so that a decoder of 8 bits reads it: codes of more have the same form.
    """
    parts, interval = [SOI], 0
    for marker, place in _markers(data):
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == _START_OF_SCAN:
            parts += data[place:end], data[end : _end_of_rows(data, end, interval)]
        elif marker in STARTS_OF_FRAME:
            parts.append(data[place : place + 4] + b"\x08" + data[place + 5 : end])
        elif marker not in _NOTES:
            interval = int.from_bytes(data[place + 4 : end], "big") if marker == _RESTART_INTERVAL else interval
            parts.append(data[place:end])
    return b"".join((*parts, END))


def _end_of_rows(data: bytes, start: int, interval: int) -> int:
    """Return where coded data that begin at `start` end; of one scan with restart markers, after its last interval.

    Some scanners write more, of what came after the last row.
    """
    frame, end = _of_jpeg(data), data.find(END, start)
    if not interval or frame is None or frame.marker not in (SOF0, SOF1) or data.count(_SCAN, start, end):
        return len(data)
    sampling = data[frame.place + _SOF_BYTES + 1 :: 3][: frame.samples] if frame.samples > 1 else b"\x11"
    across = -(-frame.width // (8 * max([1, *(one >> 4 for one in sampling)])))
    down = -(-frame.height // (8 * max([1, *(one & 15 for one in sampling)])))
    own = max(1, -(-across * down // interval))
    beyond = next(islice(_RESTART.finditer(data, start), own - 1, None), None)
    return len(data) if beyond is None else beyond.start()


def _of_jpeg(data: bytes) -> FrameHeader | None:
    for marker, place in _markers(data):
        if marker in STARTS_OF_FRAME and place + _SOF_BYTES <= len(data):
            bits, height, width, samples = struct.unpack_from(">BHHB", data, place + 4)
            is_whole = data.rfind(END) > place
            return FrameHeader(place, marker, width, height, bits, samples, is_signed=False, is_whole=is_whole)
    return None


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Give the markers that have a segment, and their places, up to the first scan; thumbnails are within segments."""
    place = 2
    while (place := data.find(b"\xff", place)) >= 0 and place + 4 <= len(data):
        marker = data[place + 1]
        if marker == 0xFF or marker == 0 or marker in _ALONE:
            place += 1
            continue
        yield marker, place
        if marker == _START_OF_SCAN:
            return
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")


_MODES = {"L": "GRAY", "RGB": "RGB"}  # of Pillow, and what gives the same; whether CMYK is inverted Pillow knows better
_SAMPLES = {1: "GRAY", 3: "RGB", 4: "CMYK"}
_CUT = ("premature end of data segment", "Premature end of JPEG file")
_BEFORE_END = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_FEW = 3  # bytes, as some encoders leave them
_READ_AHEAD = 16  # bytes that libjpeg may have taken into its buffer
# What libjpeg says of a picture that may be whole: what simplejpeg does not decode, and an odd header of a scan.
_HARMLESS = (
    "subsampling level",
    "color conversion",
    "data precision",
    "JPEG process",
    "SOS parameters",
    "lossless parameters",  # of more bits than eight
)


def loaded(image: Image.Image, data: bytes) -> Image.Image:
    """Return the picture that Pillow has opened, at the scale that was asked of it.

    Args:
        image: A JPEG that was opened, and not loaded.
        data: The file.

    Raises:
        ImageError: Its coded data end early or are damaged.
        OSError: Pillow cannot decode it.
    """
    values = _decoded(image, data) if image.mode in _MODES else None
    if values is not None:
        return Image.fromarray(values[..., 0] if image.mode == "L" else values)
    image.load()
    check_coded(data)
    return image


def check_coded(data: bytes) -> None:
    """Refuse a JPEG, of any depth, whose coded data end early or are damaged. Raises ImageError."""
    frame, coded = frame_of(data), bare(data)
    if frame is None or frame.samples not in _SAMPLES:
        return
    try:
        decode_jpeg(coded, _SAMPLES[frame.samples])
    except ValueError as error:
        said = str(error).removeprefix("Corrupt JPEG data: ")
        if said in _CUT:
            raise ImageError(Reason.TRUNCATED, "its JPEG data end before its picture does") from error
        if not any(words in said for words in _HARMLESS) and not _is_padding(said, coded):
            raise ImageError(Reason.UNREADABLE, f"its JPEG data are damaged: {said}") from error


def _is_padding(said: str, coded: bytes) -> bool:
    """Tell whether what libjpeg passes over lies behind the picture: a few bytes, or zeros, none of which it took."""
    found = _BEFORE_END.match(said)
    if found is None:
        return False
    before = coded[: coded.find(END)]
    zeros = len(before) - len(before.rstrip(b"\0"))
    return int(found[1]) <= _FEW or zeros - _READ_AHEAD <= int(found[1]) <= zeros


def _decoded(image: Image.Image, data: bytes) -> NDArray[np.uint8] | None:
    """Return the samples of a picture that is whole; None where there is something to be said about it."""
    try:
        values = decode_jpeg(data, _MODES[image.mode], min_height=image.height, min_width=image.width)
    except ValueError:
        return None
    return values if values.shape[:2] == (image.height, image.width) else None
