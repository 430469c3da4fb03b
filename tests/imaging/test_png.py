import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cxr.core.errors import ImageError
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
    assert with_stored_pixels(bytes(data)) == data


@pytest.mark.parametrize("rows", [36, 38])
def test_a_stream_of_another_length_than_the_header_says_is_left_to_pillow(rows: int) -> None:
    short = bytearray(saved(PICTURES["L"]))
    struct.pack_into(">I", short, 20, rows)

    assert with_stored_pixels(bytes(short)) == short


def judged(data: bytes) -> object:
    try:
        plane, facts = decode_bytes(data, 8)
    except ImageError as error:
        return error.reason
    return plane.tobytes(), facts


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_file_is_judged_as_pillow_alone_judges_it(draw: st.DataObject) -> None:
    data = bytearray(in_parts(saved(PICTURES[draw.draw(st.sampled_from(sorted(PICTURES)))]), 200))
    for _ in range(draw.draw(st.integers(1, 3))):
        data[draw.draw(st.integers(8, len(data) - 1))] = draw.draw(st.integers(0, 255))
    damaged = bytes(data[: draw.draw(st.integers(8, len(data)))])
    ours = judged(damaged)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cxr.imaging.decode.with_stored_pixels", lambda data: data)
        assert ours == judged(damaged)
