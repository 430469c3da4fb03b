import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cxr.core.errors import ImageError, Reason
from cxr.imaging import png
from cxr.imaging.decode import decode_bytes
from cxr.imaging.png import with_stored_pixels

NOISE = np.random.default_rng(3).integers(0, 256, (37, 41, 4), np.uint8)
PICTURES = {
    "L": Image.fromarray(NOISE[..., 0]),
    "RGB": Image.fromarray(NOISE[..., :3]),
    "RGBA": Image.fromarray(NOISE),
    "LA": Image.fromarray(NOISE).convert("LA"),
    "P": Image.fromarray(NOISE[..., :3]).quantize(16),
    "1": Image.fromarray(NOISE[..., 0]).convert("1"),
    "I;16": Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257),
}


def saved(picture: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Type and content of each chunk, with its CRC checked."""
    found, position = [], 8
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        content = data[position + 8 : position + 8 + size]
        assert struct.unpack_from(">I", data, position + 8 + size)[0] == zlib.crc32(kind + content)
        found.append((kind, content))
        position += 12 + size
    return found


def in_parts(data: bytes, size: int) -> bytes:
    """The same PNG with its pixels in chunks of `size` bytes."""
    parts = [data[:8]]
    for kind, content in chunks(data):
        for start in range(0, max(len(content), 1), size if kind == b"IDAT" else 1 << 30):
            body = kind + content[start : start + (size if kind == b"IDAT" else 1 << 30)]
            parts.append(struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)))
    return b"".join(parts)


@pytest.mark.parametrize("mode", PICTURES)
def test_pixels_and_other_chunks_are_the_same_and_need_no_inflating(mode: str) -> None:
    text = PngInfo()
    text.add_text("Comment", "a film")
    data = saved(PICTURES[mode], pnginfo=text, dpi=(72, 72))

    stored = with_stored_pixels(data)

    assert [chunk for chunk in chunks(stored) if chunk[0] != b"IDAT"] == [c for c in chunks(data) if c[0] != b"IDAT"]
    (pixels,) = (content for kind, content in chunks(stored) if kind == b"IDAT")
    assert pixels[2] & 0b110 == 0, "the first block is not a stored one"
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(stored)) as after:
        assert after.mode == before.mode
        assert after.info == before.info
        assert after.tobytes() == before.tobytes()


def test_pixels_in_many_chunks_are_joined() -> None:
    data = saved(PICTURES["L"])

    assert with_stored_pixels(in_parts(data, 100)) == with_stored_pixels(data) != data


def test_what_is_interlaced_or_too_long_is_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(saved(PICTURES["L"]))
    monkeypatch.setattr(png, "MAX_INFLATED", 42 * 37)  # a row is a filter and 41 pixels
    assert with_stored_pixels(bytes(data)) != data
    monkeypatch.setattr(png, "MAX_INFLATED", 42 * 37 - 1)
    assert with_stored_pixels(bytes(data)) == data
    monkeypatch.undo()
    data[28] = 1
    assert with_stored_pixels(checked(data)) == data


def checked(data: bytearray) -> bytes:
    """Write the CRC that belongs to a header."""
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    return bytes(data)


def with_rows(rows: int) -> bytes:
    """A picture of 37 rows whose header says another number."""
    data = bytearray(saved(PICTURES["L"]))
    struct.pack_into(">I", data, 20, rows)
    return checked(data)


def test_a_stream_that_is_longer_than_the_header_says_is_left_to_pillow() -> None:
    assert with_stored_pixels(with_rows(36)) == with_rows(36)


@pytest.mark.parametrize("rows", [38, 40, 74])
def test_rows_that_are_absent_are_not_shown_black(rows: int) -> None:
    with pytest.raises(ImageError) as error:
        decode_bytes(with_rows(rows), 8)
    assert error.value.reason is Reason.TRUNCATED
    assert error.value.detail == f"its rows have {37 * 42:,} bytes; its header says {rows * 42:,}"


@pytest.mark.parametrize("row", [0, 20, 36])
@pytest.mark.parametrize("mode", ["L", "RGB", "P", "I;16"])
def test_rows_of_an_unknown_filter_are_not_shown_black(mode: str, row: int) -> None:
    """Their checksums are right; Pillow says it once, to whoever asks it first."""
    whole = saved(PICTURES[mode])
    rows = bytearray(zlib.decompress(b"".join(body for kind, body in chunks(whole) if kind == b"IDAT")))
    rows[row * len(rows) // 37] = 9
    start, end = whole.index(b"IDAT") - 4, whole.index(b"IEND") - 4
    assert judged(whole[:start] + chunk(b"IDAT", zlib.compress(rows)) + whole[end:]) is Reason.UNREADABLE


def judged(data: bytes) -> object:
    try:
        plane, facts = decode_bytes(data, 8)
    except ImageError as error:
        return error.reason
    return plane.tobytes(), facts


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_file_is_answered_as_the_whole_one_or_not_at_all(draw: st.DataObject) -> None:
    whole = in_parts(saved(PICTURES[draw.draw(st.sampled_from(sorted(PICTURES)))]), 200)
    data = bytearray(whole)
    for _ in range(draw.draw(st.integers(1, 3))):
        data[draw.draw(st.integers(8, len(data) - 1))] = draw.draw(st.integers(0, 255))
    found = judged(bytes(data[: draw.draw(st.integers(8, len(data)))]))
    assert found in (judged(whole), Reason.UNREADABLE, Reason.TRUNCATED)


def chunk(kind: bytes, content: bytes, crc: int | None = None) -> bytes:
    crc = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


HUGE = zlib.compress(bytes(2 << 20))
NOTES = {
    "text with a wrong checksum": chunk(b"tEXt", b"Comment\0words", 1),
    "2 MB of text": chunk(b"iTXt", b"Comment\0\1\0\0\0" + HUGE),
    "2 MB of old text": chunk(b"zTXt", b"Comment\0\0" + HUGE),
    "text in an unknown compression": chunk(b"zTXt", b"Comment\0\7words"),
    "EXIF of rubbish": chunk(b"eXIf", b"rubbish"),
    "EXIF with a wrong checksum": chunk(b"eXIf", b"II*\0\10\0\0\0\0\0", 1),
    "old EXIF of rubbish": chunk(b"tEXt", b"Raw profile type exif\0rubbish"),
    "a profile of rubbish": chunk(b"iCCP", b"name\0\7rubbish"),
    "a huge profile": chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(80 << 20))),
    "a short header of resolution": chunk(b"pHYs", b"\0"),
}


@pytest.mark.parametrize("mode", ["L", "P"])
@pytest.mark.parametrize("place", ["before the pixels", "after the pixels"])
@pytest.mark.parametrize("note", NOTES)
def test_notes_cost_no_pixel(note: str, place: str, mode: str) -> None:
    whole = saved(PICTURES[mode])
    start = whole.index(b"IDAT") - 4 if place == "before the pixels" else whole.index(b"IEND") - 4
    plane, facts = decode_bytes(whole[:start] + NOTES[note] + whole[start:], 8)
    expected, expected_facts = decode_bytes(whole, 8)
    assert np.array_equal(plane, expected)
    assert facts == expected_facts


def test_a_damaged_note_does_not_cost_the_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = saved(PICTURES["L"], exif=exif)
    start = whole.index(b"IDAT") - 4
    damaged = whole[:start] + NOTES["2 MB of text"] + whole[start:]
    assert judged(damaged) == judged(whole)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("part", ["stream", "checksum of the stream", "checksum of the chunk"])
def test_checksums_of_pixels_are_believed(part: str, interlaced: bool) -> None:
    data = bytearray(saved(PICTURES["L"]))
    data[28] = interlaced
    start = data.index(b"IDAT")
    end = start + 4 + struct.unpack_from(">I", data, start - 4)[0]
    data[{"stream": start + 60, "checksum of the stream": end - 1, "checksum of the chunk": end}[part]] ^= 0xFF
    if part != "checksum of the chunk":
        struct.pack_into(">I", data, end, zlib.crc32(data[start:end]))
    assert judged(checked(data)) in (Reason.UNREADABLE, Reason.TRUNCATED)


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE", b"tRNS"])
def test_checksums_of_header_palette_and_transparency_are_believed(kind: bytes) -> None:
    data = bytearray(saved(PICTURES["P"], transparency=3))
    start = data.index(kind)
    data[start + 4 + struct.unpack_from(">I", data, start - 4)[0]] ^= 1
    assert judged(bytes(data)) is Reason.UNREADABLE


def test_a_copy_whose_end_is_zeros_is_no_film_with_a_black_half() -> None:
    for mode in PICTURES:
        whole = saved(PICTURES[mode])
        half = len(whole) // 2
        assert judged(whole[:half] + bytes(len(whole) - half)) in (Reason.UNREADABLE, Reason.TRUNCATED)


@pytest.mark.parametrize("place", ["first", "before the pixels", "after the pixels"])
def test_a_png_has_one_header_and_begins_with_it(place: str) -> None:
    """Pillow believes the last one, wherever it is."""
    data, note = saved(PICTURES["L"]), chunk(b"tEXt", b"Comment\0drawn")
    header = data[8:33]
    changed = {
        "first": data[:8] + note + data[8:],
        "before the pixels": data[:33] + header + data[33:],
        "after the pixels": data[:-12] + header + data[-12:],
    }[place]
    with pytest.raises(ImageError, match=r"unreadable: a PNG (that does not begin with its header|with two headers)"):
        decode_bytes(changed, 64)
