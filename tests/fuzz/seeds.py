"""The 51 drawn files that are mutated: every format, eleven transfer syntaxes of DICOM."""

import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from tests.dicoms import save_dicom
from tests.screening.hostile import deep, encoded, oriented, picture

SYNTAXES = Path(__file__).parents[1] / "inputs/syntaxes"
# Syntaxes that nothing here writes; each holds another drawn picture.
OTHERS = {
    "lossless.dcm": "jpeg-lossless-sv1-u16.dcm",
    "jpeg-ls.dcm": "jpeg-ls-lossless-u16.dcm",
    "extended.dcm": "jpeg-extended-u12.dcm",
    "high-throughput.dcm": "htj2k-lossless-u16.dcm",
}
SIZE = (96, 80)
BITS = {"BitsStored": 12, "HighBit": 11}


def _deep(bits: int = 12) -> Image.Image:
    return Image.fromarray(deep(bits)).resize(SIZE)


def _grey(mode: str = "L") -> Image.Image:
    return picture(mode, SIZE)


@cache
def seeds() -> dict[str, bytes]:
    """Return the files by name, in a fixed order."""
    return dict((*_png(), *_jpeg(), *_tiff(), *_others(), *_dicom()))


def _png() -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        yield f"{mode.lower()}.png", encoded(_grey(mode))
    yield "16-bit.png", encoded(_deep(16))
    yield "12-in-16.png", encoded(_deep())
    yield "transparent.png", encoded(_grey("P"), transparency=3)
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "drawn", zip=True)
    yield "notes.png", encoded(_grey(), pnginfo=notes, exif=oriented(6), icc_profile=bytes(range(128)), dpi=(72, 72))


def _jpeg() -> Iterator[tuple[str, bytes]]:
    for mode in ("L", "RGB", "CMYK"):
        yield f"{mode.lower()}.jpg", encoded(_grey(mode), "JPEG")
    yield "progressive.jpg", encoded(_grey(), "JPEG", progressive=True)
    yield "progressive-rgb.jpg", encoded(_grey("RGB"), "JPEG", progressive=True)
    yield "turned.jpg", encoded(_grey(), "JPEG", exif=oriented(6), comment=b"drawn")
    yield "restarts.jpg", encoded(_grey("RGB"), "JPEG", restart_marker_blocks=4, subsampling="4:2:0")
    yield "large.jpg", encoded(picture(size=(800, 640)), "JPEG", quality=30)


def _tiff() -> Iterator[tuple[str, bytes]]:
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"{compression}.tif", encoded(_grey(), "TIFF", compression=compression)
    yield "fax.tif", encoded(_grey("1"), "TIFF", compression="group4")
    yield "16-bit.tif", encoded(_deep(16), "TIFF")
    yield "16-bit-lzw.tif", encoded(_deep(16), "TIFF", compression="tiff_lzw")
    yield "rgb.tif", encoded(_grey("RGB"), "TIFF", compression="tiff_lzw")
    yield "palette.tif", encoded(_grey("P"), "TIFF")
    yield "big.tif", encoded(_grey(), "TIFF", big_tiff=True, exif=oriented(3))


def _others() -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "RGB"):
        yield f"{mode.lower()}.bmp", encoded(_grey(mode), "BMP")
    yield "lossy.webp", encoded(_grey(), "WEBP")
    yield "lossless.webp", encoded(_grey(), "WEBP", lossless=True)
    yield "alpha.webp", encoded(_grey("RGBA"), "WEBP", exif=oriented(6))
    yield "still.gif", encoded(_grey(), "GIF")
    yield "transparent.gif", encoded(_grey("P"), "GIF", transparency=3, comment=b"drawn")
    yield "frames.gif", encoded(_grey(), "GIF", save_all=True, append_images=[_grey().rotate(90)])


def _dicom() -> Iterator[tuple[str, bytes]]:
    grey, shallow = np.asarray(_deep()), np.asarray(_grey())
    yield "explicit.dcm", _written(grey, WindowCenter="2048", WindowWidth="3000.5")
    yield "lut.dcm", _written(grey, VOILUTSequence=[_lut()], ViewPosition="PA", PatientName="Drawn^Film")
    rescaled = {"RescaleSlope": "2", "RescaleIntercept": "-9"}
    yield "no-preamble.dcm", _written(grey, PhotometricInterpretation="MONOCHROME1", **rescaled)[132:]
    yield "implicit.dcm", _written(grey, ImplicitVRLittleEndian)
    yield "big-endian.dcm", _written(grey.byteswap(), ExplicitVRBigEndian)
    yield "deflated.dcm", _written(grey, DeflatedExplicitVRLittleEndian)
    yield "rle.dcm", _compressed(grey)
    jpegs = {"quality": 95, "subsampling": 0}
    yield "jpeg.dcm", _around(encoded(_grey(), "JPEG", **jpegs), shallow, JPEGBaseline8Bit)
    yield "jpeg-2000.dcm", _around(encoded(_grey(), "JPEG2000", no_jp2=True), shallow, JPEG2000Lossless)
    for name, drawn in OTHERS.items():
        yield name, (SYNTAXES / drawn).read_bytes()


def _lut() -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [4096, 0, 8]
    item.LUTData = (np.arange(4096) // 16).astype("<u2").tobytes()
    item["LUTData"].VR = "OW"
    return item


def _written(pixels: Any, syntax: UID | None = None, **elements: Any) -> bytes:
    return _file(pixels, False, syntax, **elements)


def _compressed(pixels: Any) -> bytes:
    return _file(pixels, True, RLELossless)


def _file(pixels: Any, compress: bool, syntax: UID | None, **elements: Any) -> bytes:
    deep_bits = BITS if pixels.dtype.itemsize == 2 else {}
    with io.BytesIO() as file:
        save_dicom(file, pixels, compress=compress, **deep_bits | elements)
        data = file.getvalue()
    if syntax is None or compress:
        return data
    dataset = dcmread(io.BytesIO(data))
    dataset.file_meta.TransferSyntaxUID = syntax
    return _saved(dataset, syntax)


def _around(codestream: bytes, pixels: Any, syntax: UID) -> bytes:
    dataset = dcmread(io.BytesIO(_written(pixels)))
    dataset.PixelData = encapsulate([codestream])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    return _saved(dataset, syntax)


def _saved(dataset: Dataset, syntax: UID) -> bytes:
    with io.BytesIO() as file:
        dcmwrite(
            file,
            dataset,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian,
            force_encoding=True,
        )
        return file.getvalue()
