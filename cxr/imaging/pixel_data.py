"""Pixel data of a DICOM object to its stored values.

What header, lengths and codestream say is compared before anything is decoded. Each kind of codestream has one decoder,
whatever else is installed, so that a file always has the same values (ADR 26).
"""

import struct
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.core.errors import ImageError, Reason
from cxr.imaging.jpeg import (
    SIZ,
    SOF0,
    SOF1,
    SOF2,
    SOF3,
    SOF55,
    FrameHeader,
    check_coded,
    frame_of,
    is_start,
    lacks_end,
    loaded,
)
from cxr.imaging.pixels import CONVERT, check_rows, named

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Values = NDArray[Any]
Decoder = Callable[[bytes], Values]

LONGEST_UID = 64  # characters (PS3.5, 9.1)
RLE = "RLE"
_JPEG = "jpeg8_decode"  # of imagecodecs; of deeper samples too
# What a codestream is, within its kind, as the step `codestream=` tells; by the end of the syntax.
_FORMS = {
    **dict.fromkeys(("4.50", "4.51", "4.53", "4.55"), "lossy_JPEG"),
    **dict.fromkeys(("4.57", "4.70"), "lossless_JPEG"),
    **dict.fromkeys(("4.90", "4.91"), "JPEG_2000"),
    **dict.fromkeys(("4.201", "4.202", "4.203"), "HTJ2K"),
}
_BIT_POSITION, _OVERLAY_DATA = 0x0102, 0x3000  # elements of the groups 60xx
_LONGEST_CELL = 16  # bits
_DICOM_SYNTAX = "1.2.840.10008.1.2."
# Compressed transfer syntaxes that are decoded (PS3.6, A-1), by what their codestreams are.
_KINDS = {
    f"{_DICOM_SYNTAX}{last}": kind
    for kind, lasts in {
        "JPEG": ("4.50", "4.51", "4.53", "4.55", "4.57", "4.70"),
        "JPEG-LS": ("4.80", "4.81"),
        "JPEG 2000": ("4.90", "4.91", "4.201", "4.202", "4.203"),
        RLE: ("5",),
    }.items()
    for last in lasts
}
_NAMES = {SIZ: "JPEG 2000", SOF55: "JPEG-LS"}  # by the marker of a frame header; others are JPEG
_RLE_HEADER = struct.Struct("<16I")  # number of segments, where each starts (PS3.5, G.5)


def stored_values(dataset: "Dataset") -> Values:
    """Return the stored values, integers of (Rows, Columns), unused bits cleared or sign-extended.

    Args:
        dataset: One grey picture of 8 or 16 bits with a TransferSyntaxUID, as `decode_dicom` has checked.

    Raises:
        ImageError: Nothing decodes the transfer syntax, or the pixel data contradict the header, are damaged or not
            whole.
    """
    _check_syntax(dataset)
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        _check_amount("PixelData has {:,} bytes", len(dataset.PixelData or b""), dataset, dataset.BitsAllocated // 8)
        _check_native(dataset)
        values: Values = dataset.pixel_array
        return values
    decompress = _from_rle if _kind(dataset) == RLE else _from_codestream
    values = decompress(_frame(dataset), dataset)
    return _extended(values.astype(np.int32) & _mask(dataset.BitsStored), dataset)


def syntax_steps(dataset: "Dataset") -> list[str]:
    """Return the step that tells of a codestream of another form than its syntax says, which `stored_values` took."""
    said = _FORMS.get(dataset.file_meta.TransferSyntaxUID.removeprefix(_DICOM_SYNTAX))
    header = frame_of(_frame(dataset)) if said else None
    if header is None:
        return []
    if header.marker == SIZ:
        found = "HTJ2K" if header.is_high_throughput else "JPEG_2000"
    else:
        found = "lossless_JPEG" if header.marker == SOF3 else "lossy_JPEG"
    return [f"codestream={found}"] if found != said else []


def _kind(dataset: "Dataset") -> str | None:
    return _KINDS.get(dataset.file_meta.TransferSyntaxUID)


def _check_syntax(dataset: "Dataset") -> None:
    """Refuse a transfer syntax that nothing decodes, and one that is not that of the pixel data."""
    syntax, pixels = dataset.file_meta.TransferSyntaxUID, dataset["PixelData"]
    if not isinstance(pixels.value, (bytes, type(None))):
        raise ImageError(Reason.UNREADABLE, f"PixelData is written as {pixels.VR}; expected OW or OB")
    if syntax.is_private or not syntax.is_transfer_syntax:
        raise ImageError(Reason.NO_DECODER, f"the transfer syntax {str(syntax)[:LONGEST_UID]} is unknown; {CONVERT}")
    if syntax.is_encapsulated and _kind(dataset) is None:
        raise ImageError(Reason.NO_DECODER, f"no decoder for the transfer syntax {syntax} ({syntax.name}); {CONVERT}")
    if syntax.is_encapsulated != pixels.is_undefined_length:
        negation = "not " * syntax.is_encapsulated
        raise ImageError(
            Reason.UNREADABLE, f"the transfer syntax is {syntax.name}, the pixel data {negation}compressed"
        )


def _check_amount(found_words: str, found: int, dataset: "Dataset", size: int) -> None:
    """Compare numbers of bytes; a little padding is none of the picture.

    As many as one row or one column has are no padding: Rows or Columns are wrong, and the picture would be sheared.
    """
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    expected = rows * columns * size
    if expected <= found < expected + max(min(rows, columns) * size, 2):
        return
    reason = Reason.TRUNCATED if found < expected else Reason.UNREADABLE
    product = "Rows x Columns x BitsAllocated / 8" if size * 8 == dataset.BitsAllocated else "Rows x Columns"
    raise ImageError(reason, f"{found_words.format(found)}; {product} are {expected:,}, of {rows} x {columns}")


def _frame(dataset: "Dataset") -> bytes:
    """Return the one codestream of encapsulated pixel data (PS3.5, A.4).

    All fragments are its own, so the table of offsets before them is not needed: devices write nonsense into it.
    """
    from pydicom.encaps import generate_fragments

    fragments = list(generate_fragments(dataset.PixelData))[1:]
    pictures = sum(map(is_start, fragments))
    if pictures > 1:
        raise ImageError(Reason.MULTI_FRAME, f"{pictures} compressed pictures; NumberOfFrames is 1")
    return b"".join(fragments)


def _from_codestream(data: bytes, dataset: "Dataset") -> Values:
    """Return what a JPEG, JPEG-LS or JPEG 2000 codestream holds, int32 (Rows, Columns)."""
    header = frame_of(data)
    if header is None and (not data.strip(b"\0") or (is_start(data) and lacks_end(data))):
        raise ImageError(Reason.TRUNCATED, f"its compressed data end after {len(data):,} bytes, in their header")
    if header is None:
        raise ImageError(Reason.UNREADABLE, f"its compressed data have no header of {_kind(dataset)}")
    _check_header(header, dataset)
    if header.marker == SIZ:  # out of a JP2 file, whose palette and colours are none of DICOM's
        data = data[header.place - 2 :]
    values = _decompressed(data, _decoder_of(header, dataset))
    if header.is_signed:  # from 0 on so far, as Pillow gives them
        values -= 1 << (header.bits - 1)
        _check_sign(values, dataset)
    expected = int(dataset.Rows), int(dataset.Columns)
    if values.shape != expected:
        found, said = (" x ".join(map(str, shape)) for shape in (values.shape, expected))
        raise ImageError(Reason.UNREADABLE, f"its pixel data are {found} samples; Rows x Columns is {said}")
    _check_unused_bits(values, header.bits, dataset, "compressed data")
    return values


def _check_header(header: FrameHeader, dataset: "Dataset") -> None:
    """Refuse a codestream that contradicts the object, before it is given memory for what it claims."""
    kind, size = _NAMES.get(header.marker, "JPEG"), (int(dataset.Columns), int(dataset.Rows))
    contradiction = ""
    if kind != _kind(dataset):
        contradiction = f"are {kind}; the transfer syntax is {dataset.file_meta.TransferSyntaxUID.name}"
    elif header.samples != 1:
        contradiction = f"have {header.samples} samples a pixel; SamplesPerPixel is 1"
    elif header.height and (header.width, header.height) != size:
        contradiction = f"are of {header.width} x {header.height} pixels; Columns x Rows is {size[0]} x {size[1]}"
    elif header.bits < dataset.BitsStored:  # it would be shown dark
        contradiction = f"have {header.bits} bits a sample; BitsStored is {dataset.BitsStored}"
    elif header.bits > dataset.BitsAllocated:
        contradiction = f"have {header.bits} bits a sample; BitsAllocated is {dataset.BitsAllocated}"
    if contradiction:
        raise ImageError(Reason.UNREADABLE, f"its compressed data {contradiction}")
    if not header.is_whole:  # decoders would fill the rest with grey
        raise ImageError(Reason.TRUNCATED, f"its compressed data end early, without the end marker of {kind}")


def _decoder_of(header: FrameHeader, dataset: "Dataset") -> Decoder:
    """Return the one decoder of a kind of codestream."""
    marker, syntax = header.marker, dataset.file_meta.TransferSyntaxUID
    if marker == SIZ or (header.bits == 8 and marker in (SOF0, SOF1, SOF2)):
        return partial(_by_pillow, bits=header.bits)
    if marker not in (SOF0, SOF1, SOF2, SOF3, SOF55):
        process = f"JPEG of the process SOF{marker - SOF0}"
        raise ImageError(Reason.NO_DECODER, f"no decoder for {process}, transfer syntax {syntax}; {CONVERT}")
    return partial(_by_imagecodecs, name="jpegls_decode" if marker == SOF55 else _JPEG)


def _check_native(dataset: "Dataset") -> None:
    """Refuse uncompressed pixel data that a copy has not reached, and such whose unused bits are none."""
    element, syntax = dataset["PixelData"], dataset.file_meta.TransferSyntaxUID
    rows, columns, size = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated) // 8
    if max(dataset.keys()) == element.tag and not syntax.is_deflated:  # nothing but zeros can follow
        check_rows(element.value, element.file_tell or 0, columns * size)
    if dataset.BitsStored < dataset.BitsAllocated:
        order = "<" if syntax.is_little_endian else ">"
        values = np.frombuffer(element.value, f"{order}u{size}", rows * columns)
        _check_unused_bits(values, size * 8, dataset, "pixel data")


def _overlay_bits(dataset: "Dataset") -> int:
    """Return the bits of a cell in which overlays lie, as objects of before 2004 have them (PS3.3-2003, C.9.2)."""
    first = [0x6000 + number for number in range(0, 32, 2)]
    inside = [group for group in first if (group, _BIT_POSITION) in dataset and (group, _OVERLAY_DATA) not in dataset]
    places = [dataset[group, _BIT_POSITION].value for group in inside]
    return sum(1 << place for place in set(places) if isinstance(place, int) and place in range(_LONGEST_CELL))


def _check_unused_bits(values: Values, precision: int, dataset: "Dataset", of: str) -> None:
    """Refuse values that need more bits than BitsStored says, which would be shown wrapped.

    Bits of an overlay are none of the values. A sign goes on into the unused bits, where values have one; where they
    have none, what looks like a sign is a value that does not fit.
    """
    bits = int(dataset.BitsStored)
    if precision <= bits:
        return
    used = _mask(precision) & ~_overlay_bits(dataset)
    values = values & used
    beyond = values >> bits
    fits = beyond == 0
    if dataset.PixelRepresentation == 1:
        fits |= (beyond == used >> bits) & (values >> (bits - 1) & 1 == 1)
    if not np.all(fits):
        raise ImageError(Reason.UNREADABLE, f"its {of} have values up to {values.max()}; BitsStored is {bits}")


def _check_sign(values: Values, dataset: "Dataset") -> None:
    """Refuse values below zero, of a codestream that has a sign, in an object that has none."""
    lowest, bits = int(values.min(initial=0)), int(dataset.BitsStored)
    if lowest < 0 and dataset.PixelRepresentation == 0:
        raise ImageError(
            Reason.UNREADABLE,
            f"its compressed data have values down to {lowest}; BitsStored is {bits} and PixelRepresentation 0, "
            f"which is 0 to {_mask(bits)}",
        )


def _from_rle(data: bytes, dataset: "Dataset") -> Values:
    """Return what RLE data hold, unsigned (Rows, Columns): a segment for each byte of a cell, high byte first."""
    rows, columns, size = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated) // 8
    if len(data) < _RLE_HEADER.size:
        raise ImageError(Reason.TRUNCATED, "its RLE data end in their header")
    number, *starts = _RLE_HEADER.unpack_from(data)
    if number != size:
        raise ImageError(Reason.UNREADABLE, f"its RLE data have {number} segments; BitsAllocated / 8 is {size}")
    ends = [*starts[1:size], len(data)]
    planes = []
    for start, end in zip(starts[:size], ends, strict=True):
        plane, length = _unpacked(data[start:end], rows * columns)
        _check_amount("an RLE segment has {:,} samples", length, dataset, 1)
        planes.append(np.frombuffer(plane, np.uint8))
    values: Values = np.stack(planes, axis=1).view(f">u{size}").reshape(rows, columns)
    _check_unused_bits(values, size * 8, dataset, "RLE data")
    return values


def _mask(bits: int) -> int:
    return (1 << bits) - 1


def _extended(values: Values, dataset: "Dataset") -> Values:
    """Return values of BitsStored bits as the numbers that PixelRepresentation makes of them."""
    if dataset.PixelRepresentation == 0:
        return values
    half = 1 << (int(dataset.BitsStored) - 1)
    return (values ^ half) - half


def _decompressed(data: bytes, decoder: Decoder) -> NDArray[np.int32]:
    try:
        return decoder(data).astype(np.int32)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # what is unsupported was refused before: these are damaged
        said = named(error)
        reason = Reason.TRUNCATED if said.reason is Reason.TRUNCATED else Reason.UNREADABLE
        raise ImageError(reason, said.detail) from error


def _by_pillow(data: bytes, bits: int) -> Values:
    with Image.open(BytesIO(data), formats=("JPEG", "JPEG2000")) as image:
        values = np.asarray(loaded(image, data) if image.format == "JPEG" else image)
    # Of JPEG 2000 it gives all bits of its type; of JPEG there are eight.
    return values >> (8 * values.dtype.itemsize - bits)


def _by_imagecodecs(data: bytes, name: str) -> Values:
    import imagecodecs

    if name == _JPEG:
        check_coded(data)
    try:
        values: Values = getattr(imagecodecs, name)(data)
    except RuntimeError as error:  # with the name of the C function
        raise ValueError(str(error).rpartition(" returned ")[2]) from error
    return values


def _unpacked(segment: bytes, most: int) -> tuple[bytes, int]:
    """Return at most `most` bytes of a segment, and how many it has (PackBits, PS3.5, G.3.2)."""
    unpacked, beyond, place = bytearray(), 0, 0
    while place < len(segment) - 1:
        control = segment[place]
        if control < 128:
            unpacked += segment[place + 1 : place + 2 + control]
            place += 2 + control
        elif control > 128:
            unpacked += segment[place + 1 : place + 2] * (257 - control)
            place += 2
        else:
            place += 1
        if len(unpacked) > most:
            beyond += len(unpacked) - most
            del unpacked[most:]
    return bytes(unpacked), len(unpacked) + beyond
