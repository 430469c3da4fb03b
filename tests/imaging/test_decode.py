import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from cxr.core.errors import ImageError, Reason
from cxr.core.image import to_plane
from cxr.imaging.decode import decode, read_plane
from cxr.imaging.pixels import FORMATS, scale_to_8_bit
from tests.dicoms import save_dicom

SIDE = 8
RAMP_8 = np.tile(np.arange(0, 256, 15, dtype=np.uint8), (12, 1))  # 18 columns, 12 rows, black to white
RAMP_12 = np.tile(np.linspace(0, 4095, 18).round().astype(np.uint16), (12, 1))


def luminance(path: Path) -> NDArray[np.uint8]:
    return decode(path, SIDE)[0]


def save(path: Path, image: Image.Image | NDArray[Any], **options: Any) -> Path:
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(path, **options)
    return path


def refusal(path: Path) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(path, SIDE)
    assert caught.value.detail
    return caught.value


def png_bytes(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff_16_bytes(values: NDArray[np.uint16], photometric: int) -> bytes:
    """An uncompressed 16-bit TIFF; Pillow cannot write photometric 0, white is zero."""
    height, width = values.shape
    data = values.astype("<u2").tobytes()
    entries = [(256, width), (257, height), (258, 16), (259, 1), (262, photometric), (273, 8), (277, 1)]
    entries += [(278, height), (279, len(data))]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(entries)) + directory + b"\0" * 4


class TestGreyLevels:
    @pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
    def test_8_bit_grey_is_kept_exactly(self, tmp_path: Path, suffix: str) -> None:
        pixels, facts = decode(save(tmp_path / f"a.{suffix}", RAMP_8), SIDE)
        np.testing.assert_array_equal(pixels, RAMP_8)
        assert (facts.width, facts.height, facts.bit_depth, facts.steps) == (18, 12, 8, ())

    @pytest.mark.parametrize("suffix", ["png", "tif"])
    def test_12_bits_in_16_are_divided_by_4095(self, tmp_path: Path, suffix: str) -> None:
        pixels, facts = decode(save(tmp_path / f"a.{suffix}", RAMP_12), SIDE)
        np.testing.assert_array_equal(pixels, np.rint(RAMP_12 / 4095 * 255))
        assert (facts.bit_depth, facts.steps) == (12, ("divided_by_4095",))

    def test_a_dim_12_bit_picture_is_neither_clipped_nor_stretched(self, tmp_path: Path) -> None:
        dim = np.linspace(1500, 2500, 18).round().astype(np.uint16)[np.newaxis].repeat(12, axis=0)
        pixels = luminance(save(tmp_path / "dim.png", dim))
        assert (pixels.min(), pixels.max()) == (round(1500 / 4095 * 255), round(2500 / 4095 * 255))

    @pytest.mark.parametrize(("top", "full_scale"), [(1023, 1023), (1024, 4095), (16383, 16383), (65535, 65535)])
    def test_16_bit_files_are_divided_by_the_smallest_detector_range_that_holds_them(
        self, tmp_path: Path, top: int, full_scale: int
    ) -> None:
        values = np.linspace(0, top, 18).round().astype(np.uint16)[np.newaxis].repeat(12, axis=0)
        pixels = luminance(save(tmp_path / "a.png", values))
        np.testing.assert_array_equal(pixels, (values.astype(np.int64) * 255 + full_scale // 2) // full_scale)

    def test_8_and_16_bit_files_of_one_picture_differ_by_at_most_one_level(self, tmp_path: Path) -> None:
        narrow = luminance(save(tmp_path / "a.png", RAMP_8)).astype(int)
        wide = luminance(save(tmp_path / "b.png", RAMP_8.astype(np.uint16) * 257)).astype(int)
        assert np.abs(narrow - wide).max() <= 1

    def test_a_16_bit_tiff_whose_white_is_zero_is_inverted(self, tmp_path: Path) -> None:
        (tmp_path / "white_zero.tif").write_bytes(tiff_16_bytes(4095 - RAMP_12, photometric=0))
        (tmp_path / "black_zero.tif").write_bytes(tiff_16_bytes(RAMP_12, photometric=1))
        inverted, facts = decode(tmp_path / "white_zero.tif", SIDE)
        assert np.abs(inverted.astype(int) - luminance(tmp_path / "black_zero.tif")).max() <= 1
        assert facts.steps == ("divided_by_4095", "inverted")

    def test_an_8_bit_tiff_whose_white_is_zero_is_inverted_once(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.tif", RAMP_8)
        content = path.read_bytes()
        entry = struct.pack("<HHI", 262, 3, 1)
        assert entry in content
        path.write_bytes(content.replace(entry + b"\x01\0", entry + b"\0\0"))
        np.testing.assert_array_equal(luminance(path), 255 - RAMP_8)

    def test_1_bit_is_black_and_white(self, tmp_path: Path) -> None:
        pixels, facts = decode(save(tmp_path / "a.png", Image.fromarray(RAMP_8).convert("1", dither=0)), SIDE)
        np.testing.assert_array_equal(pixels, np.where(RAMP_8 >= 128, 255, 0))
        assert facts.bit_depth == 1

    @given(st.sampled_from([255, 1023, 4095, 16383, 65535]), st.data())
    def test_scaling_rounds_to_the_nearest_level(self, full_scale: int, data: st.DataObject) -> None:
        value = data.draw(st.integers(0, full_scale))
        (level,) = scale_to_8_bit(np.array([value], np.uint16), full_scale)
        assert abs(255 * value / full_scale - int(level)) <= 0.5


class TestColourAndAlpha:
    @pytest.mark.parametrize("mode", ["RGB", "P", "CMYK"])
    def test_grey_stored_as_colour_is_the_same_grey(self, tmp_path: Path, mode: str) -> None:
        path = save(
            tmp_path / "a.tif", Image.fromarray(RAMP_8).convert("RGB").convert(mode, palette=Image.Palette.ADAPTIVE)
        )
        assert np.abs(luminance(path).astype(int) - RAMP_8).max() <= 1

    def test_colour_is_weighed_by_rec_601(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.png", Image.new("RGB", (9, 9), (200, 100, 50)))
        assert set(luminance(path).flat) == {round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)}

    def test_palette_entries_are_looked_up(self, tmp_path: Path) -> None:
        image = Image.new("P", (9, 9), 1)
        image.putpalette([0, 0, 0, 180, 180, 180])
        assert set(luminance(save(tmp_path / "a.png", image)).flat) == {180}

    @pytest.mark.parametrize(("mode", "colour"), [("LA", (200, 128)), ("RGBA", (200, 200, 200, 128))])
    def test_half_transparent_grey_lies_over_black(self, tmp_path: Path, mode: str, colour: tuple[int, ...]) -> None:
        pixels, facts = decode(save(tmp_path / "a.png", Image.new(mode, (9, 9), colour)), SIDE)
        assert set(pixels.flat) == {100}
        assert "alpha_over_black" in facts.steps

    def test_a_transparent_palette_entry_lies_over_black(self, tmp_path: Path) -> None:
        image = Image.new("P", (9, 9), 1)
        image.putpalette([0, 0, 0, 200, 200, 200])
        assert set(luminance(save(tmp_path / "a.png", image, transparency=bytes([255, 128]))).flat) == {100}

    def test_opaque_alpha_changes_nothing(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.png", Image.fromarray(RAMP_8).convert("RGBA"))
        np.testing.assert_array_equal(luminance(path), RAMP_8)

    @pytest.mark.parametrize(("colour_type", "samples"), [(2, 3), (4, 2), (6, 4)])
    def test_16_bit_colour_and_alpha_are_refused(self, tmp_path: Path, colour_type: int, samples: int) -> None:
        row = b"\0" + b"\x0f\xff" * samples * 4
        (tmp_path / "deep.png").write_bytes(png_bytes(4, 4, 16, colour_type, row * 4))
        assert refusal(tmp_path / "deep.png").reason is Reason.UNSUPPORTED

    @pytest.mark.parametrize(
        ("colour", "samples", "said"),
        [
            (2, 3, "16-bit colour; save it as 16-bit greyscale"),
            (4, 2, "16-bit grey with alpha; save it as 16-bit greyscale without alpha"),
            (6, 4, "16-bit colour with alpha; save it as 16-bit greyscale without alpha"),
        ],
    )
    def test_deep_samples_are_called_what_they_are(self, tmp_path: Path, colour: int, samples: int, said: str) -> None:
        (tmp_path / "a.png").write_bytes(png_bytes(1, 1, 16, colour, b"\0" + bytes(2 * samples)))
        assert refusal(tmp_path / "a.png").detail == said

    @pytest.mark.parametrize(
        ("masks", "bits"), [((0xF800, 0x7E0, 0x1F), (5, 6, 5)), ((0x7C00, 0x3E0, 0x1F), (5, 5, 5))]
    )
    @pytest.mark.parametrize("header", [40, 124])
    def test_a_bmp_of_16_bits_a_pixel_has_5_or_6_a_sample(
        self, tmp_path: Path, header: int, masks: tuple[int, int, int], bits: tuple[int, int, int]
    ) -> None:
        levels = np.tile(np.arange(32), (4, 1))
        samples = [levels << size - 5 | levels >> 10 - size for size in bits]
        words = sum(sample * (mask & -mask) for sample, mask in zip(samples, masks, strict=True))
        pixels = np.asarray(words).astype("<u2").tobytes()
        head = struct.pack("<IiiHHIIiiII3I", header, 32, 4, 1, 16, 3, len(pixels), 0, 0, 0, 0, *masks)
        head = head.ljust(header, b"\0")
        start = 14 + len(head)
        (tmp_path / "a.bmp").write_bytes(b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + head + pixels)
        plane, facts = decode(tmp_path / "a.bmp", SIDE)
        shares = [sample / (2**size - 1) for sample, size in zip(samples, bits, strict=True)]
        assert np.abs(plane - 255 * np.tensordot([0.299, 0.587, 0.114], shares, 1)).max() < 2
        assert (facts.mode, facts.steps) == ("RGB", ("luma_601",))

    def test_floating_point_pixels_are_refused(self, tmp_path: Path) -> None:
        assert refusal(save(tmp_path / "a.tif", np.ones((9, 9), np.float32))).reason is Reason.UNSUPPORTED

    def test_integers_beyond_16_bits_are_refused(self, tmp_path: Path) -> None:
        assert refusal(save(tmp_path / "a.tif", np.full((9, 9), 65536, np.int32))).reason is Reason.UNSUPPORTED


class TestOrientation:
    @pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
    @pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
    def test_the_picture_is_turned_upright_once(
        self, tmp_path: Path, suffix: str, orientation: int, turns: int
    ) -> None:
        stored = np.zeros((16, 24), np.uint8)
        stored[:8, :8] = 255  # one 8 x 8 block of a JPEG, so that compression keeps it
        exif = Image.Exif()
        exif[0x0112] = orientation
        pixels, facts = decode(save(tmp_path / f"a.{suffix}", stored, exif=exif), SIDE)
        np.testing.assert_allclose(pixels, np.rot90(stored, turns), atol=2)
        assert ("exif_rotated" in facts.steps) == (orientation != 1)
        assert (facts.width, facts.height) == (24, 16), "not as stored"

    @pytest.mark.parametrize("compression", [None, "tiff_deflate"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_sizes_of_a_tiff_are_those_stored_and_its_picture_is_that_of_a_png(
        self, tmp_path: Path, orientation: int, compression: str | None
    ) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = np.arange(12 * 18, dtype=np.uint8).reshape(12, 18)
        expected, facts_of_png = decode(save(tmp_path / "a.png", stored, exif=exif), SIDE)
        pixels, facts = decode(save(tmp_path / "a.tif", stored, exif=exif, compression=compression), SIDE)
        np.testing.assert_array_equal(pixels, expected)
        assert (facts.width, facts.height, facts.steps) == (18, 12, facts_of_png.steps)

    def test_a_16_bit_picture_is_turned_too(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        assert luminance(save(tmp_path / "a.png", RAMP_12, exif=exif)).shape == (18, 12)


class TestBrokenFiles:
    def test_zero_bytes(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(b"")
        assert refusal(tmp_path / "a.png").reason is Reason.EMPTY

    def test_absent(self, tmp_path: Path) -> None:
        assert refusal(tmp_path / "a.png").reason is Reason.UNREADABLE

    def test_a_folder(self, tmp_path: Path) -> None:
        assert refusal(tmp_path).reason is Reason.UNREADABLE

    @pytest.mark.parametrize("content", [b"x", b"hello, this is text\n" * 20, b"%!PS-Adobe-3.0 EPSF-3.0\n"])
    def test_content_of_another_kind(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.png").write_bytes(content)
        assert refusal(tmp_path / "a.png").reason is Reason.NOT_AN_IMAGE

    def test_only_listed_decoders_are_used(self) -> None:
        assert not {"EPS", "PSD", "PDF", "WMF", "FITS"} & set(FORMATS)

    @pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
    @pytest.mark.parametrize("kept", [0.5, 0.8, 0.95])
    def test_a_file_cut_short(self, tmp_path: Path, suffix: str, kept: float) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
        path = save(tmp_path / f"a.{suffix}", noise)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * kept)])
        assert refusal(path).reason is Reason.TRUNCATED

    def test_a_progressive_jpeg_cut_short_is_not_read_blurred(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
        path = save(tmp_path / "a.jpg", noise, progressive=True)
        path.write_bytes(path.read_bytes()[:-200])
        assert refusal(path).reason is Reason.TRUNCATED

    def test_a_header_that_promises_too_many_pixels(self, tmp_path: Path) -> None:
        (tmp_path / "bomb.png").write_bytes(png_bytes(60_000, 60_000, 8, 0, b"\0"))
        (tmp_path / "large.png").write_bytes(png_bytes(10_000, 9_000, 8, 0, b"\0"))
        assert refusal(tmp_path / "bomb.png").reason is Reason.TOO_LARGE
        assert refusal(tmp_path / "large.png").reason is Reason.TOO_LARGE

    @pytest.mark.parametrize(("name", "form"), [("a.tif", "TIFF"), ("gif.png", "GIF"), ("apng.png", "PNG")])
    def test_several_pictures_in_one_file(self, tmp_path: Path, name: str, form: str) -> None:
        pages = [Image.new("L", (9, 9), level) for level in (0, 99)]
        pages[0].save(tmp_path / name, form, save_all=True, append_images=pages[1:])
        assert refusal(tmp_path / name).reason is Reason.MULTI_FRAME

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(form=st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "DICOM"]), data=st.data())
    def test_damaged_bytes_give_a_picture_or_an_image_error_and_nothing_else(
        self, tmp_path: Path, form: str, data: st.DataObject
    ) -> None:
        path = tmp_path / "a.bin"
        if form == "DICOM":
            save_dicom(path, RAMP_8)
        else:
            Image.fromarray(RAMP_8).save(path, form)
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 8))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                plane, _ = read_plane(path, SIDE)
            except ImageError:
                return
        assert (plane.shape, plane.dtype) == ((SIDE, SIDE), np.uint8)


class TestDicom:
    def test_monochrome_1_and_2_of_one_picture_are_equal(self, tmp_path: Path) -> None:
        save_dicom(tmp_path / "two.dcm", RAMP_8)
        save_dicom(tmp_path / "one.dcm", 255 - RAMP_8, PhotometricInterpretation="MONOCHROME1")
        pixels, facts = decode(tmp_path / "one.dcm", SIDE)
        np.testing.assert_array_equal(pixels, RAMP_8)
        np.testing.assert_array_equal(luminance(tmp_path / "two.dcm"), RAMP_8)
        assert (facts.format, facts.mode, facts.steps) == ("DICOM", "MONOCHROME1", ("divided_by_255", "inverted"))

    @pytest.mark.parametrize("bits", [12, 14, 16])
    def test_values_are_divided_by_bits_stored_not_by_their_maximum(self, tmp_path: Path, bits: int) -> None:
        save_dicom(tmp_path / "a.dcm", RAMP_12, BitsStored=bits, HighBit=bits - 1)
        np.testing.assert_array_equal(luminance(tmp_path / "a.dcm"), scale_to_8_bit(RAMP_12, 2**bits - 1))

    def test_signed_values_start_at_the_lowest(self, tmp_path: Path) -> None:
        signed = (RAMP_12.astype(np.int32) - 2048).astype(np.int16)
        save_dicom(tmp_path / "a.dcm", signed, BitsStored=12, HighBit=11, PixelRepresentation=1)
        np.testing.assert_array_equal(luminance(tmp_path / "a.dcm"), scale_to_8_bit(RAMP_12, 4095))

    def test_a_file_without_extension_is_recognised(self, tmp_path: Path) -> None:
        save_dicom(tmp_path / "IM0001", RAMP_8)
        np.testing.assert_array_equal(luminance(tmp_path / "IM0001"), RAMP_8)

    def test_the_same_picture_as_png_is_the_same_plane(self, tmp_path: Path) -> None:
        save_dicom(tmp_path / "a.dcm", RAMP_12, BitsStored=12, HighBit=11)
        save(tmp_path / "a.png", RAMP_12)
        np.testing.assert_array_equal(luminance(tmp_path / "a.dcm"), luminance(tmp_path / "a.png"))

    def test_run_length_encoding_is_decoded(self, tmp_path: Path) -> None:
        save_dicom(tmp_path / "a.dcm", RAMP_8, compress=True)
        np.testing.assert_array_equal(luminance(tmp_path / "a.dcm"), RAMP_8)

    def test_several_frames_are_refused(self, tmp_path: Path) -> None:
        save_dicom(tmp_path / "a.dcm", np.stack([RAMP_8, RAMP_8]), NumberOfFrames=2, Rows=12, Columns=18)
        assert refusal(tmp_path / "a.dcm").reason is Reason.MULTI_FRAME

    @pytest.mark.parametrize("photometric", ["RGB", "MONOCHROME2"])
    def test_three_samples_per_pixel_are_refused(self, tmp_path: Path, photometric: str) -> None:
        colour = np.dstack([RAMP_8] * 3)
        save_dicom(
            tmp_path / "a.dcm", colour, SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation=photometric
        )
        assert refusal(tmp_path / "a.dcm").reason is Reason.UNSUPPORTED

    def test_missing_pixel_bytes_are_named_truncated(self, tmp_path: Path) -> None:
        save_dicom(tmp_path / "a.dcm", RAMP_8)
        (tmp_path / "a.dcm").write_bytes((tmp_path / "a.dcm").read_bytes()[:-50])
        assert refusal(tmp_path / "a.dcm").reason is Reason.TRUNCATED

    def test_an_object_of_a_picture_without_pixels_is_unsupported(self, tmp_path: Path) -> None:
        save_dicom(tmp_path / "a.dcm", RAMP_8, PixelData=None)
        error = refusal(tmp_path / "a.dcm")
        assert error.reason is Reason.UNSUPPORTED
        assert error.detail.startswith("it has no pixel data")

    def test_a_header_that_promises_too_many_pixels_is_refused(self, tmp_path: Path) -> None:
        save_dicom(tmp_path / "a.dcm", RAMP_8, Rows=60_000, Columns=60_000)
        assert refusal(tmp_path / "a.dcm").reason is Reason.TOO_LARGE


class TestPlanes:
    @pytest.mark.parametrize("shape", [(1, 1), (3000, 10), (10, 3000), (SIDE, SIDE)])
    def test_every_shape_becomes_a_square(self, tmp_path: Path, shape: tuple[int, int]) -> None:
        plane, _ = read_plane(save(tmp_path / "a.png", np.full(shape, 77, np.uint8)), SIDE)
        np.testing.assert_array_equal(plane, np.full((SIDE, SIDE), 77))

    def test_reduction_averages_so_that_no_detail_aliases(self) -> None:
        stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
        assert np.abs(to_plane(stripes, SIDE).astype(int) - 128).max() <= 8

    def test_a_jpeg_decoded_at_reduced_scale_gives_nearly_the_same_plane(self, tmp_path: Path) -> None:
        rows, columns = np.mgrid[0:1024, 0:1024] / 1024
        smooth = (127 + 80 * np.sin(6 * rows) * np.cos(9 * columns)).astype(np.uint8)
        noise = np.random.default_rng(0).normal(0, 8, smooth.shape)
        path = save(tmp_path / "a.jpg", np.clip(smooth + noise, 0, 255).astype(np.uint8), quality=95)
        reduced, facts = read_plane(path, 128)
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            whole = to_plane(np.asarray(image), 128)
        assert "reduced_dct" in facts.steps
        assert (facts.width, facts.height) == (1024, 1024)
        difference = np.abs(reduced.astype(int) - whole)
        assert difference.max() <= 6
        assert difference.mean() < 1

    def test_the_phantom_mark_in_a_png_is_seen(self, tmp_path: Path) -> None:
        from PIL.PngImagePlugin import PngInfo

        mark = PngInfo()
        mark.add_text("Synthetic", "yes")
        assert decode(save(tmp_path / "drawn.png", RAMP_8, pnginfo=mark), SIDE)[1].synthetic
        assert not decode(save(tmp_path / "plain.png", RAMP_8), SIDE)[1].synthetic


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
@pytest.mark.parametrize("exif", [b"rubbish", b"Exif\0\0rubbish", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*"])
def test_damaged_exif_costs_no_picture(exif: bytes, suffix: str, tmp_path: Path) -> None:
    Image.fromarray(RAMP_8).save(tmp_path / f"plain.{suffix}")
    Image.fromarray(RAMP_8).save(tmp_path / f"damaged.{suffix}", exif=exif)
    assert np.array_equal(luminance(tmp_path / f"damaged.{suffix}"), luminance(tmp_path / f"plain.{suffix}"))
