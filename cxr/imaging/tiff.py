"""TIFF: depth, sign and polarity come from the file's tags, and Pillow gets a form of them that it reads.

Pillow knows a list of combinations of tags. It takes an absent PhotometricInterpretation for WhiteIsZero, opens deep
WhiteIsZero in one byte order only, misreads planes of 16 bits, and takes signed bytes for unsigned ones. Here the
directory is read first, what has no defined black and white is refused, and the rest is written as the one form of it
that Pillow has: BlackIsZero, not planar, a palette of 16 bits. The pixels themselves are not touched.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from cxr.core.errors import ImageError, Reason
from cxr.imaging.jpeg import END, SOI, check_coded
from cxr.imaging.pixels import check_rows

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES = 256, 257, 258, 259, 262, 277
STRIPS, ROWS, STRIP_BYTES, PLANAR, PALETTE_COLOURS = 273, 278, 279, 284, 320
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES = 322, 323, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES = 338, 339, 347
# Tags that may have more values than their entry holds, and without which there is no picture.
OF_PIXELS = (
    BITS, STRIPS, STRIP_BYTES, PALETTE_COLOURS, TILES, TILE_BYTES, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES,
)  # fmt: skip
WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE = 0, 1, 3
UNSIGNED, SIGNED, UNDEFINED = 1, 2, 4
UNCOMPRESSED, JPEG = 1, 7
# Compressions that Pillow knows and a libtiff may be built without, as Pillow calls them.
_OPTIONAL = {
    7: "jpeg", 8: "tiff_adobe_deflate", 32946: "tiff_deflate", 34925: "lzma", 50000: "zstd", 50001: "webp",
}  # fmt: skip
SHORT = 3
NUMBERS = {1: "B", SHORT: "H", 4: "I", 16: "Q"}  # types of entries that hold unsigned integers
UNDEFINED_BYTES = 7  # a type too
_FULL_BYTE, _FULL_WORD = 0xFF, 0xFFFF
MOST_VALUES = 16  # of a tag that is looked at: a picture has no more samples a pixel


@dataclass(frozen=True, slots=True)
class _Form:
    """How a file writes directories: `order` for struct; classic, or BigTIFF with longer offsets."""

    order: str
    is_big: bool

    @property
    def offset(self) -> str:
        return self.order + ("Q" if self.is_big else "I")

    @property
    def count(self) -> str:
        return self.order + ("Q" if self.is_big else "H")

    @property
    def entry(self) -> str:
        return self.order + ("HHQ8s" if self.is_big else "HHI4s")

    @property
    def start(self) -> int:
        """Where the place of the first directory is written."""
        return 8 if self.is_big else 4


@dataclass(frozen=True, slots=True)
class _Directory:
    """The first directory of a file: its entries as they are, their integers, and where the next one is."""

    form: _Form
    entries: Mapping[int, bytes]
    values: Mapping[int, tuple[int, ...]]
    following: int

    def first(self, tag: int, default: int) -> int:
        return self.values.get(tag, (default,))[0]


@dataclass(frozen=True, slots=True)
class Readable:
    """A TIFF that Pillow reads.

    Attributes:
        data: The file.
        is_inverse: Whether its luminance is to be inverted once it is decoded.
        steps: What was done to get here, as the column `steps` says it.
    """

    data: bytes
    is_inverse: bool = False
    steps: tuple[str, ...] = ()


def for_pillow(data: bytes) -> Readable:
    """Return a TIFF of the same pixels that Pillow reads.

    Raises:
        ImageError: The directory is not whole or contradicts itself, or black and white of its samples are not defined.
    """
    directory = _read(data)
    _check_reach(directory, data)
    _check(directory)
    _check_parts(directory)
    if directory.first(PHOTOMETRIC, BLACK_IS_ZERO) == PALETTE:
        return _with_wide_palette(data, directory)
    if directory.first(SAMPLES, 1) != 1:
        return Readable(data)
    photometric = directory.values.get(PHOTOMETRIC, (None,))[0]
    is_inverse = photometric == WHITE_IS_ZERO and _bits(directory) > 8  # up to 8 Pillow inverts by itself
    wanted = _plain_form(directory)
    if photometric is None or is_inverse:
        wanted[PHOTOMETRIC] = [BLACK_IS_ZERO]
    return Readable(_rewritten(data, directory, wanted), is_inverse)


def _plain_form(directory: _Directory) -> dict[int, Sequence[int]]:
    """Return what tags should say of one sample a pixel, where they say it otherwise."""
    wanted: dict[int, Sequence[int]] = {}
    if directory.first(PLANAR, 1) != 1:  # one sample a pixel has one plane
        wanted[PLANAR] = [1]
    if directory.first(SAMPLE_FORMAT, UNSIGNED) == UNDEFINED:
        wanted[SAMPLE_FORMAT] = [UNSIGNED]
    return wanted


def _with_wide_palette(data: bytes, directory: _Directory) -> Readable:
    """Return a picture with a palette whose colours have 16 bits, as they should; libtiff tells the others as here.

    Raises:
        ImageError: The palette has another number of values than the bits of a sample need, or its values no integers.
    """
    bits, found = directory.first(BITS, 1), _count(directory, PALETTE_COLOURS) or 0
    if found != 3 << bits:
        raise ImageError(
            Reason.UNREADABLE,
            f"its palette, ColorMap, has {found:,} values; samples of {bits} bits need 3 x 2^{bits}, {3 << bits:,}",
        )
    values = _numbers(directory, PALETTE_COLOURS, data)
    if not values:
        raise ImageError(Reason.UNREADABLE, "the values of its palette, ColorMap, are no unsigned integers")
    wanted = _plain_form(directory) if directory.first(SAMPLES, 1) == 1 else {}
    if not 0 < max(values) <= _FULL_BYTE:
        return Readable(_rewritten(data, directory, wanted))
    wide = [value * (_FULL_WORD // _FULL_BYTE) for value in values]
    return Readable(_rewritten(data, directory, {**wanted, PALETTE_COLOURS: wide}), steps=("lut_bits=8",))


def check_whole(data: bytes) -> None:
    """Refuse uncompressed pixels that a copy has not reached, and damaged JPEG, neither of which libtiff tells.

    Raises:
        ImageError: As `check_rows` and `check_coded`.
    """
    directory = _read(data)
    if directory.first(COMPRESSION, UNCOMPRESSED) == JPEG:
        for codestream in _codestreams(directory, data):
            check_coded(codestream)
    bits, start = _bits(directory), directory.first(STRIPS, 0)
    if directory.first(COMPRESSION, UNCOMPRESSED) == UNCOMPRESSED and start and bits >= 8:
        samples = directory.first(SAMPLES, 1) if directory.first(PLANAR, 1) == 1 else 1
        check_rows(memoryview(data)[start:], start, directory.first(WIDTH, 0) * samples * bits // 8)


def ends_early(data: bytes) -> bool:
    """Tell whether strips or tiles lie beyond the end of a file. Raises ImageError where its directory does."""
    directory = _read(data)
    return any(place + size > len(data) for place, size in _parts_of(directory, data))


def _parts_of(directory: _Directory, data: bytes) -> Iterator[tuple[int, int]]:
    """Give place and size of each strip or tile, bytes."""
    for places, sizes in ((STRIPS, STRIP_BYTES), (TILES, TILE_BYTES)):
        yield from zip(_numbers(directory, places, data), _numbers(directory, sizes, data), strict=False)


def _codestreams(directory: _Directory, data: bytes) -> Iterator[bytes]:
    """Give the JPEG of each strip or tile, with the tables that all of them share (TIFF Technical Note 2)."""
    tables = b""
    if JPEG_TABLES in directory.entries:
        _, _, size, inside = struct.unpack(directory.form.entry, directory.entries[JPEG_TABLES])
        (place,) = struct.unpack(directory.form.offset, inside)
        tables = data[place : place + size].removeprefix(SOI).removesuffix(END)
    for place, size in _parts_of(directory, data):
        yield SOI + tables + data[place : place + size].removeprefix(SOI)


def has_decoder(data: bytes) -> bool:
    """Tell whether the libtiff at hand can decode the compression of a file that it could not read.

    It does not say why it cannot. What it has been built without it cannot encode either.
    """
    name = _OPTIONAL.get(_read(data).first(COMPRESSION, UNCOMPRESSED))
    if name is None:
        return True
    try:
        Image.new("RGB", (16, 16)).save(BytesIO(), "TIFF", compression=name)
    except OSError:
        return False
    return True


def unsupported(data: bytes) -> ImageError:
    """Say why a decoder refuses a file whose directory is whole: the combination of its tags."""
    directory = _read(data)
    if not directory.values.keys() >= {WIDTH, HEIGHT} or not directory.values.keys() & {STRIPS, TILES}:
        return ImageError(Reason.UNREADABLE, "a TIFF directory without size or place of its pixels")
    names = {
        "BitsPerSample": BITS,
        "SampleFormat": SAMPLE_FORMAT,
        "PhotometricInterpretation": PHOTOMETRIC,
        "Compression": COMPRESSION,
    }
    said = ", ".join(
        f"{name} {' '.join(map(str, directory.values[tag]))}" for name, tag in names.items() if tag in directory.values
    )
    order = "little-endian" if directory.form.order == "<" else "big-endian"
    kind = "BigTIFF" if directory.form.is_big else "TIFF"
    return ImageError(Reason.UNSUPPORTED, f"no decoder for a {order} {kind} of {said}")


def _bits(directory: _Directory) -> int:
    return max(directory.values.get(BITS, (1,)))


def _check_reach(directory: _Directory, data: bytes) -> None:
    """Refuse a file that ends before its next directory, or before what a tag says of its pixels."""
    last = f"the file ends after {len(data):,} bytes, before"
    if directory.following >= len(data):
        raise ImageError(Reason.TRUNCATED, f"{last} its second TIFF directory")
    for tag in OF_PIXELS:
        if tag in directory.entries and _is_beyond(directory.entries[tag], directory.form, data):
            raise ImageError(Reason.TRUNCATED, f"{last} the values of its TIFF tag {tag}")


def _is_beyond(entry: bytes, form: _Form, data: bytes) -> bool:
    """Tell whether values of an entry lie beyond the end of the file."""
    _, kind, count, inside = struct.unpack(form.entry, entry)
    size = count * (1 if kind == UNDEFINED_BYTES else struct.calcsize(NUMBERS.get(kind, "")))
    return size > len(inside) and bool(struct.unpack(form.offset, inside)[0] + size > len(data))


def _check_parts(directory: _Directory) -> None:
    """Refuse a picture with fewer strips or tiles than its size asks for: decoders leave the others black."""
    width, height = directory.first(WIDTH, 1), directory.first(HEIGHT, 1)
    if width == 0 or height == 0:
        raise ImageError(Reason.UNREADABLE, f"a TIFF of {width} x {height} pixels")
    is_tiled = TILES in directory.entries
    across = directory.first(TILE_WIDTH, width) if is_tiled else width
    down = directory.first(TILE_HEIGHT if is_tiled else ROWS, height)
    planes = directory.first(SAMPLES, 1) if directory.first(PLANAR, 1) != 1 else 1
    found = _count(directory, TILES if is_tiled else STRIPS)
    if across == 0 or down == 0 or found is None:
        return
    expected = planes * -(-width // across) * -(-height // down)
    if found < expected:
        parts, size = ("tiles", f"{across} x {down} pixels") if is_tiled else ("strips", f"{down} rows")
        raise ImageError(
            Reason.UNREADABLE, f"it names {found} {parts} of {size}; {width} x {height} pixels need {expected}"
        )


def _count(directory: _Directory, tag: int) -> int | None:
    """Return how many values a tag has; None where it is absent."""
    entry = directory.entries.get(tag)
    return None if entry is None else int(struct.unpack(directory.form.entry, entry)[2])


def _check(directory: _Directory) -> None:
    """Refuse samples whose black and white are not defined."""
    bits, formats = _bits(directory), set(directory.values.get(SAMPLE_FORMAT, (UNSIGNED,)))
    if formats - {UNSIGNED, SIGNED, UNDEFINED}:
        raise ImageError(Reason.UNSUPPORTED, "floating-point pixels have no defined black and white")
    if SIGNED in formats and bits <= 8:
        raise ImageError(Reason.UNSUPPORTED, f"signed samples of {bits} bits have no defined black and white")
    colours = directory.first(SAMPLES, 1) - len(directory.values.get(EXTRA_SAMPLES, ()))
    if bits > 8 and (colours > 1 or directory.first(PHOTOMETRIC, BLACK_IS_ZERO) == PALETTE):
        raise ImageError(Reason.UNSUPPORTED, f"{bits}-bit colour; save it as 16-bit greyscale")


def _read(data: bytes) -> _Directory:
    form = _Form("<" if data[:2] == b"II" else ">", data[2:4] in (b"+\0", b"\0+"))
    try:
        (place,) = struct.unpack_from(form.offset, data, form.start)
        (count,) = struct.unpack_from(form.count, data, place)
        start, size = place + struct.calcsize(form.count), struct.calcsize(form.entry)
        entries: dict[int, bytes] = {}
        for number in range(count):
            entry = data[start + number * size : start + (number + 1) * size]
            entries.setdefault(struct.unpack(form.entry, entry)[0], entry)
        (following,) = struct.unpack_from(form.offset, data, start + count * size)
    except struct.error as error:
        raise ImageError(
            Reason.TRUNCATED, f"the file ends after {len(data):,} bytes, before the end of its TIFF directory"
        ) from error
    if not entries:
        raise ImageError(Reason.TRUNCATED, "its TIFF directory is empty, as where a copy stopped")
    values = {tag: found for tag, entry in entries.items() if (found := _values(entry, form, data))}
    return _Directory(form, entries, values, following)


def _numbers(directory: _Directory, tag: int, data: bytes) -> tuple[int, ...]:
    """Return all integers of a tag."""
    entry = directory.entries.get(tag)
    return () if entry is None else _values(entry, directory.form, data, most=len(data))


def _values(entry: bytes, form: _Form, data: bytes, most: int = MOST_VALUES) -> tuple[int, ...]:
    """Return the first integers of an entry; none where it holds something else, or they lie beyond the file."""
    _, kind, count, inside = struct.unpack(form.entry, entry)
    if kind not in NUMBERS:
        return ()
    pattern = f"{form.order}{min(count, most)}{NUMBERS[kind]}"
    is_inside = count * struct.calcsize(NUMBERS[kind]) <= len(inside)
    place = 0 if is_inside else struct.unpack(form.offset, inside)[0]
    try:
        return struct.unpack_from(pattern, inside if is_inside else data, place)
    except struct.error:
        return ()


def _rewritten(data: bytes, directory: _Directory, wanted: Mapping[int, Sequence[int]]) -> bytes:
    """Return the file with its first directory written anew at its end, with `wanted` in place of what it says."""
    if not wanted:
        return data
    form, entries = directory.form, dict(directory.entries)
    room = 8 if form.is_big else 4
    parts = [data, b"\0" * (-len(data) % 8)]
    for tag, values in wanted.items():
        content = struct.pack(f"{form.order}{len(values)}H", *values)
        if len(content) > room:
            place = struct.pack(form.offset, sum(map(len, parts)))
            parts += content, b"\0" * (-len(content) % 8)
            content = place
        entries[tag] = struct.pack(form.entry, tag, SHORT, len(values), content.ljust(room, b"\0"))
    start = struct.pack(form.offset, sum(map(len, parts)))
    parts[0] = data[: form.start] + start + data[form.start + len(start) :]
    return b"".join((*parts, *_parts(entries, form, directory.following)))


def _parts(entries: Mapping[int, bytes], form: _Form, following: int) -> Iterable[bytes]:
    yield struct.pack(form.count, len(entries))
    for tag in sorted(entries):
        yield entries[tag]
    yield struct.pack(form.offset, following)
