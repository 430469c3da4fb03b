"""The one way from an image file to pixels: decode once, into one 8-bit luminance plane.

Training and screening both call `decode` and `to_plane`, so they cannot disagree about a file.
"""

import warnings
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from cxr.core.errors import ImageError, Reason
from cxr.core.image import SYNTHETIC_KEY, ImageFacts, Plane, to_plane
from cxr.imaging.formats import HEAD_BYTES, recognise
from cxr.imaging.isolation import FILE_SECONDS
from cxr.imaging.pixels import FORMATS, MAX_PIXELS, colour_of, luminance_of, named, refuse_deep_colour, white_is_zero
from cxr.imaging.png import with_stored_pixels

ORIENTATION = 0x0112  # EXIF and TIFF tag

# Pillow warns above the limit and fails above twice the limit; `_decode_opened` refuses both, with a sentence.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def decode(path: Path, side: int) -> tuple[Plane, ImageFacts]:
    """Decode the file at `path`; see `decode_bytes`.

    Raises:
        ImageError: As `decode_bytes`, or the file cannot be read.
    """
    try:
        if path.exists() and not path.is_file():  # opening a pipe or a device would wait for ever
            raise ImageError(Reason.UNREADABLE, "neither a file nor a link to one")
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(Reason.UNREADABLE, error.strerror or str(error)) from error
    except MemoryError as error:
        raise ImageError(Reason.MEMORY, "not enough memory for the file's bytes") from error
    return decode_bytes(data, side)


def decode_bytes(data: bytes, side: int, seconds: float = FILE_SECONDS) -> tuple[Plane, ImageFacts]:
    """Decode a file's bytes into its luminance; colour profiles are not applied.

    From memory, so that a file which changes meanwhile gives neither half a picture nor a digest of other bytes, and
    because Pillow would map a named file, which scrambles turned TIFFs.

    Args:
        data: PNG, JPEG, TIFF, BMP, GIF, WebP or DICOM; recognised by content.
        side: Side in pixels that the caller will resize to; a JPEG at least four times as large is decoded
            at a reduced DCT scale, never below twice `side`.
        seconds: That decoding compressed DICOM pixels may take; 0: as long as it takes.

    Returns:
        uint8 of shape (height, width), 0 black, 255 white, upright; and the facts.

    Raises:
        ImageError: With one of `Reason`, for anything that is not one whole picture.
    """
    if not data:
        raise ImageError(Reason.EMPTY, "the file has no bytes")
    found = recognise(data[:HEAD_BYTES])
    if found is None:
        raise ImageError(Reason.NOT_AN_IMAGE, "no image format recognises the content")
    try:
        if found == "DICOM":
            from cxr.imaging.dicom import decode_dicom

            return decode_dicom(data, seconds)
        with Image.open(BytesIO(with_stored_pixels(data) if found == "PNG" else data), formats=FORMATS) as image:
            return _decode_opened(image, side)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(Reason.MEMORY, "not enough memory for its pixels") from error
    except UnidentifiedImageError as error:  # before its size could be read
        raise ImageError(Reason.UNREADABLE, f"begins like {found}, but its header cannot be read") from error
    except Exception as error:  # decoders raise almost anything on hostile bytes; one file must not stop a batch
        raise named(error) from error


def read_plane(path: Path, side: int) -> tuple[Plane, ImageFacts]:
    """Return what the networks see of `path`: uint8 (side, side), and the facts. Raises ImageError as `decode`."""
    luminance, facts = decode(path, side)
    return to_plane(luminance, side), facts


def _decode_opened(image: Image.Image, side: int) -> tuple[Plane, ImageFacts]:
    width, height, mode = image.width, image.height, image.mode
    if width * height > MAX_PIXELS:
        raise ImageError(Reason.TOO_LARGE, f"{width} x {height} is more than {MAX_PIXELS:,} pixels")
    if getattr(image, "n_frames", 1) > 1:
        raise ImageError(Reason.MULTI_FRAME, f"{getattr(image, 'n_frames', 0)} frames; expected one picture")
    refuse_deep_colour(image)
    steps: list[str] = []
    turned = image.getexif().get(ORIENTATION, 1) in range(2, 9)  # asked first: loading a TIFF turns it already
    if image.format == "JPEG" and min(width, height) >= 4 * side:
        image.draft(None, (2 * side, 2 * side))
        steps.append("reduced_dct")
    image.load()
    upright: Image.Image = image
    if turned:
        upright = ImageOps.exif_transpose(image)
        steps.append("exif_rotated")
    luminance, bit_depth = luminance_of(upright, steps)
    if white_is_zero(image):
        luminance = 255 - luminance
        steps.append("inverted")
    synthetic, colour = SYNTHETIC_KEY in image.info, colour_of(upright)
    return luminance, ImageFacts(width, height, mode, bit_depth, image.format or "", tuple(steps), synthetic, colour)
