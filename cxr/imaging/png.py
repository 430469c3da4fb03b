"""PNG: believe its checksums, undo the compression with ISA-L in a third of the time, leave the rest to Pillow.

Pillow inflates a PNG a row at a time, which costs as much as undoing the row filters. Here the pixels are inflated at
once and put back as stored blocks, so that Pillow still reads the header, filters, palette, text and everything else.
Pillow does not look at the checksums of the pixels: a copy whose end is zeros would be a film with a black half.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from isal import isal_zlib

from cxr.core.errors import ImageError, Reason
from cxr.imaging.pixels import MAX_PIXELS

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_INFLATED = 1 << 26  # bytes; a larger picture gains less and would be held twice
HEADER_BEGIN = b"\0\0\0\x0dIHDR"  # after the signature: 13 bytes
HEADER_END = 33  # of signature and IHDR: length, type, 13 bytes of data, CRC
ZLIB_HEADER = b"\x78\x01"  # a window of 32 KiB, the fastest level
BLOCK = 0xFFFF  # bytes that a stored block holds at most
PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})  # what grey levels depend on
ANCILLARY = 0x20  # bit of the first letter of a chunk's type: without it no decoder may pass over the chunk
# What a picture needs beside them: its frames, and which way up it is.
FRAME_CHUNKS = frozenset({b"acTL", b"fcTL", b"fdAT", b"IEND"})
NOTE_CHUNKS = frozenset({b"eXIf", b"tEXt"})
LONGEST_NOTE = 1 << 16  # bytes
PIECE = 1 << 16  # bytes that are inflated at a time where only the checksum is wanted
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk: length, type, content and CRC lie in `data[start:end]`, which may end before the content does."""

    kind: bytes
    start: int
    end: int
    content: memoryview
    is_whole: bool
    is_intact: bool


@dataclass(frozen=True, slots=True)
class _Pixels:
    """Where the chunks of pixels lie in a file, and what they hold."""

    start: int
    end: int
    compressed: bytes


def with_stored_pixels(data: bytes) -> bytes:
    """Return a PNG of the same pixels, header and other chunks that needs no inflating.

    Args:
        data: A PNG file.

    Returns:
        The file with one chunk of pixels in stored blocks (RFC 1951, 3.2.4); `data` itself where it is interlaced,
        longer than 64 MiB when inflated, or of another length than its header says, which Pillow then judges.

    Raises:
        ImageError: It does not begin with its one header, a chunk of pixels is not whole, or a checksum of theirs is
            wrong.
    """
    if len(data) < HEADER_END:
        raise ImageError(Reason.TRUNCATED, f"the file ends after {len(data):,} bytes, in its header")
    if data[8:16] != HEADER_BEGIN:
        raise ImageError(Reason.UNREADABLE, "a PNG that does not begin with its header")
    pixels = _pixels(data)
    length = inflated_length(data)
    inflated = _inflate(pixels.compressed, length) if 0 < length <= MAX_INFLATED else None
    if inflated is None:
        _check_stream(pixels.compressed, data)
        return data
    return b"".join((data[: pixels.start], *_stored_chunk(inflated), data[pixels.end :]))


def without_notes(data: bytes) -> bytes:
    """Return a PNG of the same pixels without chunks that are damaged, long, or say nothing of its pixels."""
    kept = [SIGNATURE]
    for chunk in _chunks(data):
        is_note = chunk.kind in NOTE_CHUNKS and chunk.is_intact and len(chunk.content) <= LONGEST_NOTE
        if chunk.is_whole and (is_note or chunk.kind in PIXEL_CHUNKS | FRAME_CHUNKS):
            kept.append(data[chunk.start : chunk.end])
    return b"".join(kept)


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Give the chunks of a file up to IEND or its end, with whether their CRC is right."""
    position, view = len(SIGNATURE), memoryview(data)
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        content, end = view[position + 8 : position + 8 + size], position + 12 + size
        is_whole = end <= len(data)
        said = struct.unpack_from(">I", data, end - 4)[0] if is_whole else None
        yield _Chunk(kind, position, end, content, is_whole, said == isal_zlib.crc32(content, isal_zlib.crc32(kind)))
        if kind == b"IEND":
            return
        position = end


def _stored_chunk(inflated: bytes) -> Iterator[bytes | memoryview]:
    """Give the parts of an IDAT chunk whose zlib stream (RFC 1950) holds `inflated` in stored blocks.

    As `zlib.compress` does at level 0, but each byte is copied once, when the parts are joined.
    """
    stream = [b"IDAT", ZLIB_HEADER, *_stored_blocks(memoryview(inflated))]
    stream.append(struct.pack(">I", isal_zlib.adler32(inflated)))
    crc = 0
    for part in stream:
        crc = isal_zlib.crc32(part, crc)
    yield struct.pack(">I", sum(map(len, stream)) - 4)
    yield from stream
    yield struct.pack(">I", crc)


def _stored_blocks(inflated: memoryview) -> Iterator[bytes | memoryview]:
    for start in range(0, len(inflated), BLOCK):
        block = inflated[start : start + BLOCK]
        last = start + BLOCK >= len(inflated)
        yield struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF)
        yield block


def inflated_length(data: bytes) -> int:
    """Return how many bytes the rows have, each with that of its filter; 0 where the header does not tell."""
    width, height, depth, colour, compression, filtering, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    if compression or filtering or interlace or colour not in CHANNELS:
        return 0
    return int(height) * (1 + (int(width) * CHANNELS[colour] * int(depth) + 7) // 8)


def _pixels(data: bytes) -> _Pixels:
    """Return the first run of IDAT chunks of a file, whose chunks of pixels are all whole and intact."""
    run: list[_Chunk] = []
    is_over = has_end = False
    for chunk in _chunks(data):
        has_end = chunk.kind == b"IEND"
        if has_end:
            break
        if chunk.kind == b"IHDR" and chunk.start != len(SIGNATURE):
            raise ImageError(Reason.UNREADABLE, "a PNG with two headers")
        if chunk.kind == b"tRNS" or not chunk.kind[0] & ANCILLARY:
            _check_chunk(chunk, data)
        if chunk.kind == b"IDAT" and not is_over:
            run.append(chunk)
        is_over = bool(run) and chunk.kind != b"IDAT"
    if not run:
        reason = Reason.UNREADABLE if has_end else Reason.TRUNCATED
        raise ImageError(reason, f"a PNG without pixels in its {len(data):,} bytes")
    return _Pixels(run[0].start, run[-1].end, b"".join(chunk.content for chunk in run))


def _check_chunk(chunk: _Chunk, data: bytes) -> None:
    name = ascii(chunk.kind.decode("latin-1"))[1:-1]
    if not chunk.is_whole:
        raise ImageError(
            Reason.TRUNCATED, f"the file ends after {len(data):,} bytes, its chunk {name} after {chunk.end:,}"
        )
    if not chunk.is_intact:
        raise ImageError(Reason.UNREADABLE, f"the checksum of a chunk {name} is wrong: its content is damaged")


def _check_stream(compressed: bytes, data: bytes) -> None:
    """Inflate to nothing, for length and checksum; no further than the largest picture of that header can be."""
    width, height = struct.unpack_from(">II", data, 16)
    if width * height > MAX_PIXELS:  # which is refused as soon as it is opened
        return
    # 8 bytes a pixel at most; a row of an interlaced pass has a filter too.
    left = most = 2 * (width * 8 + 1) * height + PIECE
    stream = isal_zlib.decompressobj()
    try:
        for start in range(0, len(compressed), PIECE):
            left -= _inflated_bytes(stream, compressed[start : start + PIECE], left)
    except isal_zlib.IsalError as error:  # type: ignore[misc]  # its stubs call the class an instance
        raise ImageError(
            Reason.UNREADABLE, "its compressed pixels are damaged: they do not agree with their checksum"
        ) from error
    if not stream.eof and left > 0:
        raise ImageError(Reason.TRUNCATED, "its compressed pixels end before their checksum")
    found, expected = most - left, inflated_length(data)
    if found < expected:  # Pillow would leave the rows that are absent black
        raise ImageError(Reason.TRUNCATED, f"its rows have {found:,} bytes; its header says {expected:,}")


def _inflated_bytes(stream: "isal_zlib.Decompress", piece: bytes, most: int) -> int:
    """Return how many bytes `piece` adds to what a stream holds; no more are looked for once they are `most`."""
    count = 0
    while not stream.eof and count < most:
        found = len(stream.decompress(piece, PIECE))
        piece = stream.unconsumed_tail
        count += found
        if not found and not piece:
            break
    return count


def _inflate(compressed: bytes, length: int) -> bytes | None:
    """Return `length` bytes; None where the stream is damaged or holds another number of them."""
    stream = isal_zlib.decompressobj()
    try:
        inflated = stream.decompress(compressed, length + 1)
    except isal_zlib.IsalError:  # type: ignore[misc]  # its stubs call the class an instance
        return None
    return inflated if stream.eof and not stream.unused_data and len(inflated) == length else None
