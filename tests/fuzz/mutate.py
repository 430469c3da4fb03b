"""Mutated files: bytes anywhere, or the parts that a format has, which a decoder believes.

`mutated(n)` is a function of n. Each mutation takes bytes and a `Random` and returns other bytes.

Why not Atheris, which installs on Linux for each Python that is supported: it is led by coverage, and has none of the
decoders, which are compiled without it; it runs in one process, and the faults to be found end or hang processes; and
bits that it flips in a PNG end at a checksum, where knowing the format gets past it.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random

from tests.fuzz.seeds import seeds

Mutation = Callable[[bytes, Random], bytes]

NUMBERS = (0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 127, 128, 255, 256, 4095, 32767, 32768, 60000, 65535)
LARGE = (0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF)
VRS = (b"OB", b"OW", b"UN", b"SQ", b"US", b"SS", b"DS", b"IS", b"UI", b"CS", b"LO", b"UT", b"FD", b"??")
TEXTS = (b"", b" ", b"0", b"-1", b"1e400", b"nan", b"2048,5", b"1\\2\\3", b"x" * 17, b"\0\0", b"\xff\xfe", b"9" * 40)
DICOM_TAGS = (
    (0x0002, 0x0010), (0x0028, 0x0002), (0x0028, 0x0004), (0x0028, 0x0008), (0x0028, 0x0010), (0x0028, 0x0011),
    (0x0028, 0x0100), (0x0028, 0x0101), (0x0028, 0x0102), (0x0028, 0x0103), (0x0028, 0x1050), (0x0028, 0x1051),
    (0x0028, 0x1052), (0x0028, 0x1053), (0x0028, 0x3002), (0x0028, 0x3006), (0x0028, 0x3010), (0x7FE0, 0x0010),
)  # fmt: skip


def mutated(number: int) -> tuple[str, bytes]:
    """Return the name of the seed and the mutated file of a number; the seeds take turns."""
    files = seeds()
    name = list(files)[number % len(files)]
    random = Random(f"{name} {number // len(files)}")
    data = files[name]
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        own = _own(data)
        chosen = random.choice(own) if own and random.random() < 0.6 else random.choice(ANYWHERE)
        data = chosen(data, random)
    return name, data


def _own(data: bytes) -> Sequence[Mutation]:
    """Return the mutations of a format."""
    if data[128:132] == b"DICM":
        return DICOM
    return next((own for signature, own in OWN.items() if data.startswith(signature)), ())


def _place(data: bytes, random: Random, room: int = 1) -> int:
    """Half of the places are among the first bytes, where headers are."""
    most = max(1, len(data) - room)
    return random.randrange(min(most, 128) if random.random() < 0.5 else most)


def _put(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


def flip(data: bytes, random: Random) -> bytes:
    """Flip up to eight bits."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 8) if changed else 0):
        changed[_place(data, random)] ^= 1 << random.randrange(8)
    return bytes(changed)


def overwrite(data: bytes, random: Random) -> bytes:
    """Put a number where there may be one."""
    return _put(data, _place(data, random, 4), _number(random))


def _number(random: Random) -> bytes:
    form, numbers = random.choice(((">H", NUMBERS), ("<H", NUMBERS), (">I", NUMBERS + LARGE), ("<I", NUMBERS + LARGE)))
    return struct.pack(form, random.choice(numbers))


def cut(data: bytes, random: Random) -> bytes:
    """End early."""
    return data[: random.randrange(len(data) + 1)]


def zero_tail(data: bytes, random: Random) -> bytes:
    """End in zeros, as a copy that stopped does."""
    kept = random.randrange(len(data) + 1)
    return data[:kept] + bytes(len(data) - kept)


def repeat(data: bytes, random: Random) -> bytes:
    """Have a piece several times."""
    start = _place(data, random)
    piece = data[start : start + random.randint(1, 64)]
    return data[:start] + piece * random.choice((2, 3, 1000)) + data[start:]


def drop(data: bytes, random: Random) -> bytes:
    """Leave a piece out."""
    start = _place(data, random)
    return data[:start] + data[start + random.randint(1, 64) :]


def insert(data: bytes, random: Random) -> bytes:
    """Have a piece of noise."""
    start = _place(data, random)
    return data[:start] + random.randbytes(random.randint(1, 64)) + data[start:]


def splice(data: bytes, random: Random) -> bytes:
    """Go on as another file."""
    other = random.choice(list(seeds().values()))
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other)) :]


ANYWHERE: tuple[Mutation, ...] = (flip, flip, overwrite, overwrite, cut, zero_tail, repeat, drop, insert, splice)


# PNG


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], 8
    while place + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, place)
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += 12 + size
    return found


def _png(chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def png_chunk(data: bytes, random: Random) -> bytes:
    """Change what a chunk holds; its checksum is right."""
    chunks = _chunks(data)
    if not chunks:
        return data
    number = random.randrange(len(chunks))
    kind, body = chunks[number]
    chunks[number] = (kind, random.choice(ANYWHERE)(body, random))
    return _png(chunks)


def png_order(data: bytes, random: Random) -> bytes:
    """Have a chunk twice, elsewhere, under another name, or not at all."""
    chunks = _chunks(data)
    if not chunks:
        return data
    kind, body = chunks.pop(random.randrange(len(chunks)))
    name = random.choice((kind, kind, b"IDAT", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"zTXt", b"iCCP", b"eXIf"))
    for _ in range(random.choice((0, 1, 2, 100))):
        chunks.insert(random.randrange(len(chunks) + 1), (name, body))
    return _png(chunks)


def png_header(data: bytes, random: Random) -> bytes:
    """Change size, depth, colour or interlacing."""
    chunks = _chunks(data)
    if not chunks:
        return data
    kind, body = chunks[0]
    place = random.choice((0, 4, 8, 9, 10, 11, 12))
    new = struct.pack(">I", random.choice(NUMBERS + LARGE)) if place < 8 else bytes([random.randrange(17)])
    return _png([(kind, _put(body, place, new)), *chunks[1:]])


def png_rows(data: bytes, random: Random) -> bytes:
    """Change the rows under the compression, whose checksums are right."""
    chunks = _chunks(data)
    try:
        rows = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    except zlib.error:
        return data
    rows = random.choice(ANYWHERE)(rows, random) * random.choice((1, 1, 1, 2))
    others = [(kind, body) for kind, body in chunks if kind != b"IDAT"]
    return _png([*others[:-1], (b"IDAT", zlib.compress(rows, random.choice((0, 9)))), *others[-1:]])


# JPEG, JPEG-LS, JPEG 2000


def _segments(data: bytes) -> list[tuple[int, int]]:
    """Return where the segments before the first scan are, markers included, and that of the scan."""
    found, place = [], 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        end = place + 2 + struct.unpack_from(">H", data, place + 2)[0]
        found.append((place, end))
        if data[place + 1] in (0xDA, 0x93):
            break
        place = end
    return found


def marker_segment(data: bytes, random: Random) -> bytes:
    """Change a byte or a number of a segment: tables, sizes, components, lengths."""
    segments = _segments(data)
    if not segments:
        return data
    start, end = random.choice(segments)
    place = random.randrange(start + 2, max(end, start + 3))
    new = random.choice((bytes([random.randrange(256)]), b"\0", b"\xff", struct.pack(">H", random.choice(NUMBERS))))
    return _put(data, place, new)


def marker_order(data: bytes, random: Random) -> bytes:
    """Have a segment many times, elsewhere, as another one, or not at all."""
    segments = _segments(data)
    if not segments:
        return data
    start, end = random.choice(segments)
    piece, rest = data[start:end], data[:start] + data[end:]
    if random.random() < 0.3:
        piece = _put(piece, 1, bytes([random.choice((0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xDA, 0xE0, 0xE1, 0xF7))]))
    place = random.choice(segments)[0]
    return rest[:place] + piece * random.choice((0, 1, 2, 500)) + rest[place:]


def scan(data: bytes, random: Random) -> bytes:
    """Change what comes after the headers, or put a marker there."""
    segments = _segments(data)
    start = segments[-1][1] if segments else 2
    if start >= len(data):
        return data
    place = random.randrange(start, len(data))
    return _put(data, place, random.choice((b"\xff\xd9", b"\xff\xd0", b"\xff\xda", random.randbytes(4))))


def image_size(data: bytes, random: Random) -> bytes:
    """Change SIZ of JPEG 2000: image, tiles, offsets, components."""
    place = random.choice((8, 12, 16, 20, 24, 28, 32, 36))
    changed = _put(data, place, struct.pack(">I", random.choice(NUMBERS + LARGE)))
    return changed if random.random() < 0.7 else _put(data, random.randrange(40, 46), random.randbytes(1))


MARKERS: tuple[Mutation, ...] = (marker_segment, marker_segment, marker_order, scan)


# TIFF


def tiff_entry(data: bytes, random: Random) -> bytes:
    """Change tag, type, number or value of an entry of the first directory."""
    order, big = ("<" if data[:2] == b"II" else ">"), data[2:4] in (b"+\0", b"\0+")
    try:
        (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, place)
    except struct.error:
        return data
    size, head = (20, 8) if big else (12, 2)
    entry = place + head + size * random.randrange(max(1, min(count, 64)))
    what, form, numbers = random.choice(
        (
            (0, "H", (254, 256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 322, 324, 338, 339, 34665)),
            (2, "H", (*range(17), 65535)),
            (4, "I", NUMBERS + LARGE),
            (size - (8 if big else 4), "I", (*range(9), 32773, *NUMBERS, *LARGE)),
            (size - (8 if big else 4), "H", (*range(9), 32773, *NUMBERS)),
        )
    )
    return _put(data, entry + what, struct.pack(order + form, random.choice(numbers)))


# BMP, GIF, WebP: numbers at known places


def header_number(data: bytes, random: Random) -> bytes:
    """Put a number into the first 64 bytes, at an even place."""
    return _put(data, 2 * random.randrange(2, 32), _number(random))


# DICOM


def _item(data: bytes) -> tuple[int, int] | None:
    """Return where the first fragment of the pixels is."""
    place = data.find(b"\xe0\x7f\x10\x00")
    if place < 0 or data[place + 8 : place + 12] != b"\xff\xff\xff\xff" or len(data) < place + 28:
        return None
    (table,) = struct.unpack_from("<I", data, place + 16)
    start = place + 20 + table + 8
    if start > len(data):
        return None
    (length,) = struct.unpack_from("<I", data, start - 4)
    return start, start + length


def _find(data: bytes, random: Random) -> int:
    """Return the place of an element that decoding looks at; of either byte order; below 0 where there is none."""
    tag = random.choice(DICOM_TAGS)
    places = [data.find(struct.pack(form, *tag), 0 if tag[0] == 2 else 128) for form in ("<HH", ">HH")]
    return max(places)


def dicom_length(data: bytes, random: Random) -> bytes:
    """Have a length lie."""
    place = _find(data, random)
    if place < 0:
        return data
    form = random.choice(("<H", ">H", "<I", ">I"))
    return _put(data, place + random.choice((4, 6, 8)), struct.pack(form, random.choice(NUMBERS)))


def dicom_representation(data: bytes, random: Random) -> bytes:
    """Change a value representation."""
    place = _find(data, random)
    return data if place < 0 else _put(data, place + 4, random.choice(VRS))


def dicom_value(data: bytes, random: Random) -> bytes:
    """Change a value, and its length with it."""
    place = _find(data, random)
    if place < 0 or data[place + 4 : place + 6] in (b"OB", b"OW", b"SQ"):
        return data
    (length,) = struct.unpack_from("<H", data, place + 6)
    value = random.choice((*TEXTS, struct.pack("<H", random.choice(NUMBERS)), struct.pack("<I", random.choice(LARGE))))
    return data[: place + 6] + struct.pack("<H", len(value)) + value + data[place + 8 + min(length, 64) :]


def dicom_again(data: bytes, random: Random) -> bytes:
    """Have some elements again, many times, or not at all."""
    place = _find(data, random)
    if place < 0:
        return data
    end = place + random.choice((8, 10, 12, 40))
    return data[:place] + data[place:end] * random.choice((0, 2, 3000)) + data[end:]


def dicom_nested(data: bytes, random: Random) -> bytes:
    """Begin sequences in sequences."""
    begin = struct.pack("<HH2sHIHHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    place = max(_find(data, random), 132)
    return data[:place] + begin * random.choice((1, 3, 2000)) + data[place:]


def dicom_fragment(data: bytes, random: Random) -> bytes:
    """Change the codestream; the length of its item is right, for the most part."""
    item = _item(data)
    if item is None:
        return flip(data, random)
    fragment = data[slice(*item)]
    if fragment.startswith(b"\xff\x4f"):
        own: Sequence[Mutation] = (image_size, *MARKERS)
    elif fragment.startswith(b"\xff\xd8"):
        own = MARKERS
    else:
        own = (rle_header,)
    changed = random.choice((*own, *own, random.choice(ANYWHERE)))(fragment, random)
    changed += b"\0" * (len(changed) % 2)
    length = len(changed) if random.random() < 0.9 else random.choice(NUMBERS + LARGE)
    return data[: item[0] - 4] + struct.pack("<I", length) + changed + data[item[1] :]


def rle_header(data: bytes, random: Random) -> bytes:
    """Change how many segments there are, or where one begins."""
    return _put(data, 4 * random.choice((0, 1, 2, 3, 15)), struct.pack("<I", random.choice(NUMBERS + LARGE)))


def deflated(data: bytes, random: Random) -> bytes:
    """Change what is deflated, or have it very long; of other syntaxes, the bytes as they are."""
    place = data.find(b"1.2.840.10008.1.2.1.99\0\0")
    for start in range(place, place + 200 if place > 0 else 0):
        try:
            inflated = zlib.decompress(data[start:], -15)
        except zlib.error:
            continue
        if len(inflated) < 1000:
            continue
        changed = random.choice((*DICOM[:5], flip, cut))(inflated, random)
        bomb = bytes(random.choice((0, 0, 0, 50_000_000)))
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return data[:start] + packer.compress(changed + bomb) + packer.flush()
    return dicom_value(data, random)


DICOM: tuple[Mutation, ...] = (
    dicom_length, dicom_representation, dicom_value, dicom_again, dicom_nested,
    dicom_value, dicom_fragment, dicom_fragment, dicom_fragment, deflated,
)  # fmt: skip

OWN: dict[bytes, Sequence[Mutation]] = {
    b"\x89PNG": (png_chunk, png_chunk, png_order, png_header, png_rows),
    b"\xff\xd8\xff": MARKERS,
    b"II": (tiff_entry,),
    b"MM": (tiff_entry,),
    b"BM": (header_number,),
    b"GIF8": (header_number,),
    b"RIFF": (header_number,),
    b"\x02\0": DICOM,
    b"\x08\0": DICOM,
}
