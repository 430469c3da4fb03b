"""The one way from an image file to pixels: decode once, into one 8-bit luminance plane, by a rule that has a name.

Training and screening both call `decode` and `to_plane`, so they cannot disagree about a file. A grey or coloured PNG
and a sequential JPEG, of no more pixels than a detector has, are decoded in the process that reads them: there is a
bound on what undoing the compression can cost. All other files go to a child, see `cxr.imaging.isolation` and ADR 24.

The rule is part of a model: its weights, thresholds and digests of training pictures hold for planes made by it alone.
`triangle-1`: luminance of 8 bits (Rec. 601 of colour; integers of more bits divided by the full scale of the fewest of
8, 10, 12, 14 and 16 bits that hold them; transparency over black), stretched to a square by Pillow's antialiased
triangle filter, straight from the picture for every side.
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from cxr.core.errors import ImageError, ModelError, Reason
from cxr.core.image import SYNTHETIC_KEY, ImageFacts, Plane, PlaneRule, to_plane
from cxr.core.process import decoding, ending
from cxr.core.records import as_json, from_json
from cxr.imaging.formats import HEAD_BYTES, recognise, why_unknown
from cxr.imaging.isolation import FILE_SECONDS, Answer, DecoderError, isolated
from cxr.imaging.jpeg import SOF0, SOF1, SOF55, frame_of, lacks_end, loaded
from cxr.imaging.palette import check_palette, with_kept_palette
from cxr.imaging.pixels import (
    FORMATS,
    MAX_PIXELS,
    check_bmp,
    check_webp,
    colour_of,
    luminance_of,
    named,
    refuse_deep_colour,
)
from cxr.imaging.png import HEADER_BEGIN, HEADER_END, inflated_length, with_stored_pixels, without_notes
from cxr.imaging.tiff import check_whole, ends_early, for_pillow, has_decoder, unsupported

ORIENTATION = 0x0112  # EXIF and TIFF tag
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)

# Pillow warns above the limit and fails above twice the limit; `_decode_opened` refuses both, with a sentence.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def decode(path: Path, side: int) -> tuple[Plane, ImageFacts]:
    """Decode the file at `path`; see `decode_bytes`.

    Raises:
        ImageError: As `decode_bytes`, or the file cannot be read.
    """
    return decode_bytes(read_file(path), side)


def read_file(path: Path) -> bytes:
    """Return the bytes of an image file. Raises ImageError where it cannot be read."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe or a device would wait for ever
            raise ImageError(Reason.UNREADABLE, "neither a file nor a link to one")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(Reason.UNREADABLE, error.strerror or str(error)) from error
    except MemoryError as error:
        raise ImageError(Reason.MEMORY, "not enough memory for the file's bytes") from error


def decode_bytes(
    data: bytes, side: int, seconds: float = FILE_SECONDS, *, any_dicom: bool = False
) -> tuple[Plane, ImageFacts]:
    """Decode a file's bytes into its luminance; colour profiles are not applied.

    From memory, so that a file which changes meanwhile gives neither half a picture nor a digest of other bytes, and
    because Pillow would map a named file, which scrambles turned TIFFs. What is not plain (`is_plain`) is
    decoded in a child, see `isolated`.

    Args:
        data: PNG, JPEG, TIFF, BMP, GIF, WebP or DICOM; recognised by content.
        side: Side in pixels that the caller will resize to; a JPEG at least four times as large is decoded
            at a reduced DCT scale, never below twice `side`.
        seconds: That decoding in a child may take; 0: as long as it takes.
        any_dicom: Whether DICOM is decoded whose header says another modality or part of the body.

    Returns:
        uint8 of shape (height, width), 0 black, 255 white, upright; and the facts.

    Raises:
        ImageError: With one of `Reason`, for anything that is not one whole picture.
    """
    if not data:
        raise ImageError(Reason.EMPTY, "the file has no bytes")
    found = recognise(data[:HEAD_BYTES])
    if found is None:
        raise why_unknown(data)
    if is_plain(data, found):
        decoding()
        return decode_here(data, side, found, any_dicom)
    try:
        return _read_answer(*isolated(_answered, data, side, found, any_dicom, seconds=seconds))
    except DecoderError as error:
        raise named(error) from error


def attributes_of(data: bytes, keywords: Sequence[str], seconds: float = FILE_SECONDS) -> tuple[str, ...]:
    """Return the values of DICOM attributes as `dicom_attributes` does; of a file that is not DICOM, empty texts."""
    if keywords and recognise(data[:HEAD_BYTES]) == "DICOM":
        with suppress(ImageError, DecoderError, ValueError):  # an odd header must cost neither the answer nor the row
            found = tuple(map(str, json.loads(isolated(_attributes, data, keywords, seconds=seconds)[0])))
            if len(found) == len(keywords):
                return found
    return ("",) * len(keywords)


def decode_here(data: bytes, side: int, found: str, any_dicom: bool = False) -> tuple[Plane, ImageFacts]:
    """Decode in this process a file that `recognise` took for `found`; as `decode_bytes`."""
    try:
        if found == "DICOM":
            from cxr.imaging.dicom import decode_dicom

            return decode_dicom(data, any_dicom)
        return DECODERS.get(found, _decode_by_pillow)(data, side)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(Reason.MEMORY, "not enough memory for its pixels") from error
    except Exception as error:  # decoders raise almost anything on hostile bytes; one file must not stop a batch
        if _lacks_end(data, found):
            raise ImageError(
                Reason.TRUNCATED, f"the file ends after {len(data):,} bytes, before the end of its {found} data"
            ) from error
        if isinstance(error, UnidentifiedImageError):  # before its size could be read
            raise _without_header(data, found) from error
        raise named(error) from error


def _attributes(data: bytes, keywords: Sequence[str]) -> Answer:
    """Return the attributes as JSON; what the child computes."""
    from cxr.imaging.dicom import dicom_attributes

    return json.dumps(dicom_attributes(data, keywords)), b""


def _answered(data: bytes, side: int, found: str, any_dicom: bool) -> Answer:
    """Return facts or the error as JSON, and the luminance; what the child computes."""
    try:
        luminance, facts = decode_here(data, side, found, any_dicom)
    except ImageError as error:
        if error.reason is Reason.MEMORY:  # once more in a fresh child
            raise MemoryError from error
        return json.dumps({"reason": error.reason, "detail": error.detail}), b""
    return json.dumps({"shape": luminance.shape, "facts": as_json(facts)}), np.ascontiguousarray(luminance).data


def _read_answer(told: str, pixels: bytes) -> tuple[Plane, ImageFacts]:
    """Return what a child found out, which may be anything: what it decoded may have taken it over."""
    try:
        answer = json.loads(told)
        if "reason" not in answer:
            return np.frombuffer(pixels, np.uint8).reshape(answer["shape"]), from_json(ImageFacts, answer["facts"])
        error = ImageError(Reason(answer["reason"]), str(answer["detail"]))
    except (ValueError, TypeError, KeyError) as wrong:
        raise ImageError(Reason.CRASHED, "its decoder's answer makes no sense") from wrong
    raise error


def _decode_png(data: bytes, side: int) -> tuple[Plane, ImageFacts]:
    """Decode; where that fails, without what the file says beside its pixels: notes cost no picture."""
    try:
        return _decode_by_pillow(with_stored_pixels(data), side)
    except (ImageError, MemoryError):
        raise
    except Exception:  # as in `decode_here`
        return _decode_by_pillow(with_stored_pixels(without_notes(data)), side)


def _decode_tiff(data: bytes, side: int) -> tuple[Plane, ImageFacts]:
    readable = for_pillow(data)
    try:
        luminance, facts = _decode_by_pillow(readable.data, side)
    except (UnidentifiedImageError, KeyError) as error:  # its directory is whole, so that it is no damage
        raise unsupported(data) from error
    except OSError as error:
        if has_decoder(data):
            raise
        raise unsupported(data) from error
    check_whole(data)
    facts = replace(facts, steps=(*readable.steps, *facts.steps))
    if readable.is_inverse:
        return 255 - luminance, replace(facts, steps=(*facts.steps, "inverted"))
    return luminance, facts


def _decode_bmp(data: bytes, side: int) -> tuple[Plane, ImageFacts]:
    with Image.open(BytesIO(with_kept_palette(data)), formats=FORMATS) as image:
        decoded = _decode_opened(image, data, side)
    check_bmp(data)
    return decoded


def _decode_webp(data: bytes, side: int) -> tuple[Plane, ImageFacts]:
    decoded = _decode_by_pillow(data, side)
    check_webp(data)
    return decoded


def _decode_by_pillow(data: bytes, side: int) -> tuple[Plane, ImageFacts]:
    with Image.open(BytesIO(data), formats=FORMATS) as image:
        return _decode_opened(image, data, side)


DECODERS: Mapping[str, Callable[[bytes, int], tuple[Plane, ImageFacts]]] = {
    "PNG": _decode_png,
    "TIFF": _decode_tiff,
    "BMP": _decode_bmp,
    "WEBP": _decode_webp,
}


def _lacks_end(data: bytes, found: str) -> bool:
    """Tell whether a file is not whole, which Pillow does not tell from damage."""
    if found == "JPEG":
        return lacks_end(data)
    if found == "TIFF":
        return ends_early(data)
    if found == "WEBP":  # the header says how many bytes follow (RFC 9649, 2.4)
        return len(data) - 8 < int.from_bytes(data[4:8], "little")
    return found == "GIF" and not data.rstrip(b"\0").endswith(b"\0;")  # its last block is empty


def _without_header(data: bytes, found: str) -> ImageError:
    """Say why Pillow does not open a file that begins as it should."""
    frame = frame_of(data) if found == "JPEG" else None
    if frame is not None and frame.marker == SOF55:
        return ImageError(Reason.UNSUPPORTED, "JPEG-LS; expected JPEG")
    if frame is not None and frame.bits != 8:
        return ImageError(Reason.UNSUPPORTED, f"a JPEG of {frame.bits} bits a sample; expected 8")
    if frame is not None and frame.samples not in (1, 3, 4):
        return ImageError(Reason.UNSUPPORTED, f"a JPEG of {frame.samples} samples a pixel; expected 1, 3 or 4")
    return ImageError(Reason.UNREADABLE, f"begins like {found}, but its header cannot be read")


def read_plane(path: Path, side: int) -> tuple[Plane, ImageFacts]:
    """Return what the networks see of `path`: uint8 (side, side), and the facts. Raises ImageError as `decode`."""
    luminance, facts = decode(path, side)
    return to_plane(luminance, side), facts


def read_planes(path: Path, sides: Sequence[int]) -> tuple[dict[int, Plane], Plane, ImageFacts]:
    """Read the file at `path` and return as `decode_planes`. Raises ImageError as `decode`."""
    return decode_planes(read_file(path), sides)


def decode_planes(
    data: bytes, sides: Sequence[int], seconds: float = FILE_SECONDS, *, any_dicom: bool = False
) -> tuple[dict[int, Plane], Plane, ImageFacts]:
    """Make planes of several sides, each as if it were the only one: straight from the picture, never from another.

    Args:
        data: As in `decode_bytes`.
        sides: At least one.
        seconds: As in `decode_bytes`.
        any_dicom: As in `decode_bytes`.

    Returns:
        By side, uint8 (side, side); luminance and facts as they were decoded for the first side.

    Raises:
        ImageError: As `decode_bytes`.
    """
    luminance, facts = decode_bytes(data, sides[0], seconds, any_dicom=any_dicom)
    planes = {sides[0]: to_plane(luminance, sides[0])}
    for side in sides[1:]:
        if side not in planes:
            # A large JPEG's reduced scale depends on the side; everything else is the same picture for every side.
            again = facts.format == "JPEG"
            own = decode_bytes(data, side, seconds, any_dicom=any_dicom)[0] if again else luminance
            planes[side] = to_plane(own, side)
    return planes, luminance, facts


def _decode_opened(image: Image.Image, data: bytes, side: int) -> tuple[Plane, ImageFacts]:
    (width, height), mode = _stored_size(image), image.mode
    if width * height > MAX_PIXELS:
        raise ImageError(Reason.TOO_LARGE, f"{width} x {height} is more than {MAX_PIXELS:,} pixels")
    if getattr(image, "n_frames", 1) > 1:
        raise ImageError(Reason.MULTI_FRAME, f"{getattr(image, 'n_frames', 0)} frames; expected one picture")
    refuse_deep_colour(image)
    steps: list[str] = []
    if image.format == "PNG":
        image.load()  # or asking for its orientation would, and what goes wrong would go unseen
    turn = TURNS.get(_orientation(image))  # asked first: loading a TIFF turns it already
    if image.format == "JPEG" and min(width, height) >= 4 * side:
        image.draft(None, (2 * side, 2 * side))
        steps.append("reduced_dct")
    upright = _loaded(image, data)
    check_palette(upright, data)
    if turn is not None:
        upright = image if image.format == "TIFF" else upright.transpose(turn)
        steps.append("exif_rotated")
    luminance, bit_depth = luminance_of(upright, steps)
    synthetic, colour = SYNTHETIC_KEY in image.info, colour_of(upright)
    return luminance, ImageFacts(width, height, mode, bit_depth, image.format or "", tuple(steps), synthetic, colour)


def _loaded(image: Image.Image, data: bytes) -> Image.Image:
    if isinstance(image, JpegImageFile):
        return loaded(image, data)
    image.load()
    return image


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Return width and height as stored, of a picture that was not loaded; of a TIFF Pillow turns them already."""
    is_turned = getattr(image, "tag_v2", {}).get(ORIENTATION) in SIDEWAYS  # of TIFF alone
    return (image.height, image.width) if is_turned else image.size


def _orientation(image: Image.Image) -> int:
    """Return which way up the file says that it is; 1, upright, where it says nothing or nonsense."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
        return found if isinstance(found, int) else 1
    except MemoryError:
        raise
    except Exception:  # decoders raise almost anything on hostile bytes; a note must not cost the picture
        return 1


MOST_PIXELS = 1 << 24  # twice what most detectors have
MOST_NOTES = 1 << 20  # bytes beyond those of the pixels: so many can be a million chunks, each looked at
START_OF_SCAN = b"\xff\xda"

_is_suspected = False


@contextmanager
def suspected(yes: bool = True) -> Iterator[None]:
    """Let no file be plain in the block: a process has ended, perhaps of one of them."""
    global _is_suspected
    before, _is_suspected = _is_suspected, yes
    try:
        yield
    finally:
        _is_suspected = before


def is_plain(data: bytes, kind: str) -> bool:
    """Tell whether a file of a format, as `recognise` names it, may be decoded where it is read."""
    if _is_suspected or ending():
        return False
    if kind == "PNG":
        return _is_plain_png(data)
    return kind == "JPEG" and _is_plain_jpeg(data)


def _is_plain_png(data: bytes) -> bool:
    if len(data) < HEADER_END or data[8:16] != HEADER_BEGIN:  # refused
        return True
    width, height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
    return width * height <= MOST_PIXELS and len(data) <= inflated_length(data) + MOST_NOTES


def _is_plain_jpeg(data: bytes) -> bool:
    """Each scan goes over the whole picture, and costs a file ten bytes: one, then."""
    frame = frame_of(data)
    if frame is None or frame.marker not in (SOF0, SOF1) or data.count(START_OF_SCAN, frame.place) != 1:
        return False
    pixels = frame.width * frame.height
    return pixels <= MOST_PIXELS and len(data) <= pixels * frame.samples + MOST_NOTES


RULE = "triangle-1"
SIDES = (48, 128)  # of the planes that are looked at: smaller and larger than the drawn pictures, in both directions


@cache
def plane_rule() -> PlaneRule:
    """Return the rule of this program, with the libraries that it finds; it takes hundredths of a second."""
    digest = hashlib.sha256(RULE.encode())
    for picture in _probes():
        file = BytesIO()
        picture.save(file, "PNG", compress_level=1)
        planes, _, _ = decode_planes(file.getvalue(), SIDES)
        for side in SIDES:
            digest.update(planes[side].data)
    return PlaneRule(RULE, digest.hexdigest())


def require_plane_rule(folder: Path, description: Mapping[str, object]) -> None:
    """Refuse a model that was made for planes of another rule, which it would answer otherwise without a word.

    Args:
        folder: Of the model, for the sentence.
        description: The content of its model.json.

    Raises:
        ModelError: It names another rule, or none.
    """
    remedy = "train it again (dvc repro)"
    if "plane" not in description:
        raise ModelError(
            f"the description in {folder} does not say by which rule its planes are made, so that nobody can tell "
            f"whether this program makes the same: {remedy}, or take the version of cxr-batch that it was made with"
        )
    own = plane_rule()
    try:
        stated = from_json(PlaneRule, description["plane"])
    except ValueError as error:
        raise ModelError(f"'plane' in the description in {folder} has no rule and fingerprint; {remedy}") from error
    if stated != own:
        raise ModelError(
            f"the model in {folder} was made for planes by the rule {stated.rule} ({stated.fingerprint[:12]}...), and "
            f"this program with these libraries makes them by {own.rule} ({own.fingerprint[:12]}...): its answers "
            f"would be others. Install the versions of constraints.txt, take the version of cxr-batch that it was "
            f"made with, or {remedy}"
        )


def _probes() -> list[Image.Image]:
    """Draw grey, 12-bit, coloured and transparent pictures, of integers alone: the same on every machine."""
    rows, columns = np.mgrid[0:150, 0:220]
    pattern = rows * rows + 3 * columns * (columns % 7) + 5 * rows * (columns // 11)
    grey = (pattern % 256).astype(np.uint8)
    deep = (pattern % 4096).astype(np.uint16)
    colour = np.stack([grey, grey.T[:150, :150].repeat(2, axis=1)[:, :220], 255 - grey], axis=2)
    return [
        Image.fromarray(grey),
        Image.fromarray(grey[:70, :90]),
        Image.fromarray(deep),
        Image.fromarray(colour),
        Image.fromarray(np.stack([grey, 255 - grey // 2], axis=2)),
    ]
