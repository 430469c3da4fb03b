"""Hostile files, each with the row it must get. Drawn, never found."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from cxr.core.image import Plane
from cxr.phantom.film import draw_phantom
from tests.dicoms import save_dicom

SIDE = 160
NO_ROW = ""
Make = Callable[[Path], object]


@dataclass(frozen=True)
class Hostile:
    """A file and what its row must say; status NO_ROW means that there must be none.

    `steps` are all there must be; `flags` as well.
    """

    name: str
    make: Make
    status: str = "ok"
    reason: str = ""
    format: str = "PNG"
    bit_depth: str = "8"
    steps: str = ""
    flags: str = ""


@cache
def drawn() -> Plane:
    """A phantom of SIDE x SIDE, 8 bit."""
    film = Image.fromarray(draw_phantom("normal", (1, 2), 0).luminance)
    return np.asarray(film.resize((SIDE, SIDE)))


def deep(bits: int) -> NDArray[np.uint16]:
    """The phantom with `bits` bits a sample, full scale."""
    return np.round(drawn().astype(np.float64) / 255 * (2**bits - 1)).astype(np.uint16)


def picture(mode: str = "L", size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    return Image.fromarray(drawn()).resize(size).convert(mode)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def put(image: Image.Image, kind: str = "PNG", **options: Any) -> Make:
    return lambda path: path.write_bytes(encoded(image, kind, **options))


def raw(data: bytes) -> Make:
    return lambda path: path.write_bytes(data)


def cut(image: Image.Image, kind: str, share: float = 0.6) -> Make:
    data = encoded(image, kind)
    return raw(data[: int(len(data) * share)])


def dicom(pixels: NDArray[np.integer[Any]] | None = None, **elements: Any) -> Make:
    return lambda path: save_dicom(path, deep(12) if pixels is None else pixels, **elements)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb() -> bytes:
    """A PNG of 400 megapixels in 50 kB."""
    header = struct.pack(">IIBBBBB", 20000, 20000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(20000 * 2501), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """A PNG with a comment of 100 MB in 100 kB."""
    data = encoded(picture())
    body = b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9)
    return data[:33] + chunk(b"zTXt", body) + data[33:]


def flipped(data: bytes, position: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 0xFF
    return bytes(changed)


def noted() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Synthetic", "a drawn phantom")
    return info


def oriented(turn: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif.tobytes()


def without_preamble(path: Path) -> None:
    save_dicom(path, deep(12), BitsStored=12, HighBit=11)
    path.write_bytes(path.read_bytes()[132:])


def shortened(path: Path, make: Make, by: int) -> None:
    make(path)
    path.write_bytes(path.read_bytes()[:-by])


def link_to(target: str) -> Make:
    return lambda path: path.symlink_to(target)


frames = [picture(), picture().transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
twelve: dict[str, Any] = {"BitsStored": 12, "HighBit": 11}
full12 = "divided_by_4095"
deep_dicom: dict[str, Any] = {"format": "DICOM", "bit_depth": "12"}
no: dict[str, Any] = {"bit_depth": ""}
error: dict[str, Any] = {"status": "error", **no}
rejected: dict[str, Any] = {"status": "rejected", **no}

FILES = [
    # bytes that are no picture
    Hostile("zero.png", raw(b""), reason="empty_file", **error | {"format": ""}),
    Hostile("zero", raw(b""), status=NO_ROW),
    Hostile("text.png", raw(b"dear colleague"), reason="not_an_image", **rejected | {"format": ""}),
    Hostile("text.txt", raw(b"dear colleague"), status=NO_ROW),
    Hostile("BM-notes.txt", raw(b"BMI 23.4, patient is well and goes home tomorrow"), status=NO_ROW),
    Hostile("half.png", cut(picture(), "PNG"), reason="truncated", **error),
    Hostile("header.png", raw(encoded(picture())[:33]), reason="truncated", **error),
    Hostile("magic.png", raw(b"\x89PNG\r\n\x1a\n"), reason="truncated", **error),
    Hostile("flipped.png", raw(flipped(encoded(picture()), 2000)), reason="unreadable", **error),
    Hostile("half.jpg", cut(picture(), "JPEG"), reason="truncated", **error | {"format": "JPEG"}),
    Hostile("half.tif", cut(picture(), "TIFF"), reason="truncated", **error | {"format": "TIFF"}),
    Hostile("half.bmp", cut(picture(), "BMP"), reason="truncated", **error | {"format": "BMP"}),
    # sizes
    Hostile("1x1.png", put(picture(size=(1, 1))), flags="small flat"),
    Hostile("30000x10.png", put(picture(size=(30000, 10))), flags="small elongated"),
    Hostile("bomb.png", raw(bomb()), reason="too_large", **rejected),
    Hostile("text-bomb.png", raw(text_bomb())),
    Hostile("large.jpg", put(picture(size=(1400, 1300)), "JPEG"), format="JPEG", steps="reduced_dct"),
    # samples
    Hostile("16-bit.png", put(Image.fromarray(deep(16))), bit_depth="16", steps="divided_by_65535"),
    Hostile("12-in-16.png", put(Image.fromarray(deep(12))), bit_depth="12", steps=full12),
    Hostile(
        "16-bit.tif", put(Image.fromarray(deep(16)), "TIFF"), format="TIFF", bit_depth="16", steps="divided_by_65535"
    ),
    Hostile("palette.png", put(picture("P")), steps="luma_601"),
    Hostile("rgb.png", put(picture("RGB")), steps="luma_601"),
    Hostile("rgba.png", put(picture("RGBA")), steps="alpha_over_black luma_601"),
    Hostile("la.png", put(picture("LA")), steps="alpha_over_black luma_601"),
    Hostile("1-bit.png", put(picture("1")), bit_depth="1"),
    Hostile("cmyk.jpg", put(picture("CMYK"), "JPEG"), format="JPEG", steps="luma_601"),
    Hostile("float.tif", put(picture("F"), "TIFF"), reason="unsupported_pixels", **rejected | {"format": "TIFF"}),
    Hostile("lzw.tif", put(picture(), "TIFF", compression="tiff_lzw"), format="TIFF"),
    Hostile("marked.png", put(picture(), pnginfo=noted()), flags="synthetic"),
    # several pictures, turned pictures
    Hostile(
        "animated.gif",
        put(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        reason="multi_frame",
        **rejected | {"format": "GIF"},
    ),
    Hostile("still.gif", put(picture(), "GIF"), format="GIF", steps="luma_601"),
    Hostile(
        "animated.webp",
        put(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        reason="multi_frame",
        **rejected | {"format": "WEBP"},
    ),
    Hostile("still.webp", put(picture(), "WEBP", lossless=True), format="WEBP", steps="luma_601"),
    Hostile("animated.png", put(frames[0], save_all=True, append_images=frames[1:]), reason="multi_frame", **rejected),
    Hostile(
        "pages.tif",
        put(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
        reason="multi_frame",
        **rejected | {"format": "TIFF"},
    ),
    Hostile("turned.jpg", put(picture(), "JPEG", exif=oriented(6)), format="JPEG", steps="exif_rotated"),
    Hostile("progressive.jpg", put(picture(), "JPEG", progressive=True), format="JPEG"),
    # DICOM
    Hostile("12-bit.dcm", dicom(**twelve), steps=full12, **deep_dicom),
    Hostile(
        "inverted.dcm",
        dicom(4095 - deep(12), PhotometricInterpretation="MONOCHROME1", **twelve),
        steps=f"{full12} inverted",
        **deep_dicom,
    ),
    Hostile("no-suffix", dicom(**twelve), steps=full12, **deep_dicom),
    Hostile("no-preamble.dcm", without_preamble, steps=f"no_preamble {full12}", **deep_dicom),
    Hostile("rle.dcm", dicom(compress=True, **twelve), steps=full12, **deep_dicom),
    Hostile("8-bit.dcm", dicom(drawn()), format="DICOM", steps="divided_by_255"),
    Hostile(
        "frames.dcm",
        dicom(np.stack([deep(12)] * 2)[0], NumberOfFrames=2, PixelData=deep(12).tobytes() * 2, **twelve),
        reason="multi_frame",
        **rejected | {"format": "DICOM"},
    ),
    Hostile("no-pixels.dcm", dicom(PixelData=None), reason="unsupported_pixels", **rejected | {"format": "DICOM"}),
    Hostile(
        "DICOMDIR",
        dicom(PixelData=None, Rows=None, Columns=None, SOPClassUID="1.2.840.10008.1.3.10"),
        status=NO_ROW,
    ),
    Hostile(
        "short.dcm",
        partial(shortened, make=dicom(**twelve), by=9000),
        reason="truncated",
        **error | {"format": "DICOM"},
    ),
    Hostile(
        "colour.dcm",
        dicom(PhotometricInterpretation="RGB", **twelve),
        reason="unsupported_pixels",
        **rejected | {"format": "DICOM"},
    ),
    # names
    Hostile("new\nline.png", put(picture())),
    Hostile("comma, and 'quotes\".png", put(picture())),
    Hostile("=cmd|'/c calc'!A1.png", put(picture())),
    Hostile("+1.png", put(picture())),
    Hostile("back\\slash.png", put(picture())),
    Hostile("\N{LUNGS} é.png", put(picture())),
    Hostile(os.fsdecode(b"caf\xe9\xff.png"), put(picture())),
    Hostile("UPPER.JpEg", put(picture(), "JPEG"), format="JPEG"),
    Hostile("wrong-suffix.jpg", put(picture()), format="PNG"),
    Hostile("left/same.png", put(picture())),
    Hostile("right/same.png", put(frames[1])),
    Hostile("trailing.png", raw(encoded(picture()) + b"\0" * 500)),
    # the file system
    Hostile("link.png", link_to("left/same.png")),
    Hostile("broken-link.png", link_to("nowhere.png"), reason="unreadable", **error | {"format": ""}),
    Hostile("link-loop.png", link_to("link-loop.png"), reason="unreadable", **error | {"format": ""}),
    # made at open() and in the network by the test
    Hostile("locked.png", put(picture()), reason="unreadable", **error | {"format": ""}),
    Hostile("vanishing.png", put(picture()), reason="unreadable", **error | {"format": ""}),
    Hostile("nan.png", put(picture("L").rotate(90)), status="error", reason="not_finite_output"),
    Hostile("crash.png", put(picture("L").rotate(180)), status="error", reason="network_failure"),
]


def make_files(folder: Path) -> None:
    """Write them all, and a socket, a pipe and a loop of folders."""
    for file in FILES:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        file.make(path)
    os.mkfifo(folder / "pipe.png")
    (folder / "left" / "loop").symlink_to(folder)
