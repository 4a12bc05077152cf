"""The one image rule."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

import snellen.adapters.images.decode
from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.images.decode import BACKGROUND, decode_image, decode_pil
from tests.adapters.making import bare_png, encode, exif, picture, pixels

LOSSLESS = ("PNG", "BMP", "TIFF")
ALL = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


def rejected(data: bytes, **limits: int) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode_image(data, name="x.bin", **limits)
    assert caught.value.stage is ErrorStage.DECODE
    assert "x.bin" in caught.value.message
    return caught.value


@pytest.mark.parametrize("kind", ALL)
def test_upright_images_are_pillows_own_pixels(kind: str) -> None:
    data = encode(picture(), kind)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    decoded = decode_image(data)
    assert np.array_equal(decoded.pixels, expected)
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.flags.c_contiguous
    assert (decoded.width, decoded.height) == (48, 32)
    assert decoded.warnings == []


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0}, {"quality": 20}])
def test_every_kind_of_jpeg_is_pillows_own_pixels(options: dict[str, int]) -> None:
    data = encode(picture(33, 17), "JPEG", **options)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(decode_image(data).pixels, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_orientation_equals_pillows_transposition(orientation: int, mode: str) -> None:
    data = encode(picture().convert(mode), "JPEG", exif=exif(orientation))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert np.array_equal(decode_image(data).pixels, np.asarray(upright))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_orientation_is_applied_once_in_other_formats(orientation: int, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(picture(), kind, exif=exif(orientation), **options)
    stored = picture()
    stored.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(stored))
    assert np.array_equal(decode_image(data).pixels, expected)


def test_without_the_fast_decoder_jpegs_have_the_same_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encode(picture(), "JPEG", exif=exif(6))
    fast = decode_image(data).pixels
    monkeypatch.setattr(snellen.adapters.images.decode, "jpeg_decoder", lambda: None)
    assert np.array_equal(decode_image(data).pixels, fast)


def test_a_replaced_image_open_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def patched(*_: object, **__: object) -> None:
        raise AssertionError("Image.open was called")

    monkeypatch.setattr(Image, "open", patched)
    for kind in ALL:
        assert decode_image(encode(picture(), kind)).width == 48


def test_16_bit_grey_is_shifted_not_clipped() -> None:
    grey = pixels()[:, :, 0].astype(np.uint16) << 8 | 0x7F
    decoded = decode_image(encode(Image.fromarray(grey), "PNG"))
    assert np.array_equal(decoded.pixels, np.repeat((grey >> 8)[:, :, None], 3, axis=2))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_pixels_are_rejected_with_advice(mode: str) -> None:
    with pytest.raises(ImageError) as error:
        decode_pil(Image.new(mode, (4, 4)))
    assert error.value.code is ErrorCode.UNSUPPORTED
    assert "Expected 8 or 16 bits; convert the image" in error.value.message


def test_what_is_transparent_becomes_the_background() -> None:
    alpha = Image.new("L", (48, 32), 0)
    alpha.paste(255, (0, 0, 24, 32))
    half = picture()
    half.putalpha(alpha)
    out = decode_image(encode(half, "PNG")).pixels
    assert np.array_equal(out[:, :24], pixels()[:, :24])
    assert (out[:, 24:] == BACKGROUND).all()
    assert np.array_equal(
        decode_image(encode(half.convert("LA"), "PNG")).pixels[:, 24:], out[:, 24:]
    )


def test_transparent_palette_colour_becomes_the_background() -> None:
    image = Image.new("P", (4, 2), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), 1)
    out = decode_image(encode(image, "PNG", transparency=0)).pixels
    assert tuple(out[0, 0]) == (200, 100, 50)
    assert tuple(out[0, 1]) == BACKGROUND
    assert tuple(decode_image(encode(image, "PNG")).pixels[0, 1]) == (10, 20, 30)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_of_several_frames_the_first_is_read_and_they_are_counted(kind: str) -> None:
    frames = [picture(seed=seed) for seed in range(3)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    decoded = decode_image(data)
    assert decoded.n_frames == 3
    assert np.array_equal(decoded.pixels, decode_image(encode(frames[0], kind, **options)).pixels)


def test_damage_behind_the_first_frame_does_not_cost_the_image() -> None:
    frames = [picture(seed=seed) for seed in range(3)]
    data = encode(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    decoded = decode_image(data[: int(len(data) * 0.5)])
    assert np.array_equal(decoded.pixels, pixels())
    assert decoded.warnings == ["frames after the first cannot be read"]


def test_a_wrong_extension_is_decoded_with_a_warning() -> None:
    decoded = decode_image(encode(picture(), "JPEG"), name="photo.PNG")
    assert decoded.warnings == ["extension .png but the content is JPEG"]
    assert decode_image(encode(picture(), "JPEG"), name="photo.jpeg").warnings == []


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_corrupt_metadata_is_ignored_with_a_warning(kind: str) -> None:
    broken = encode(picture(), kind, exif=b"Exif\0\0NOT-A-TIFF-HEADER", icc_profile=b"nonsense")
    decoded = decode_image(broken)
    assert np.array_equal(decoded.pixels, decode_image(encode(picture(), kind)).pixels)
    assert decoded.warnings == ["corrupt EXIF ignored", "corrupt ICC profile ignored"]


def test_bytes_after_the_image_do_not_matter() -> None:
    for kind in ("JPEG", "PNG"):
        data = encode(picture(), kind)
        tail = decode_image(data + b"<script>alert(1)</script>")
        assert np.array_equal(tail.pixels, decode_image(data).pixels)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_truncated_files_are_rejected_even_if_pillow_was_told_to_accept_them(
    kind: str, part: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = encode(picture(200, 150), kind)
    assert rejected(data[: int(len(data) * part)]).code is ErrorCode.TRUNCATED


def test_a_jpeg_that_lacks_its_last_byte_is_truncated() -> None:
    assert rejected(encode(picture(), "JPEG")[:-1]).code is ErrorCode.TRUNCATED


@pytest.mark.parametrize(
    "data", [b"%!PS-Adobe-3.0 EPSF", b"%PDF-1.7", b"8BPS\0\1", b"SIMPLE  =  T", b"<svg/>", b"text"]
)
def test_other_formats_are_rejected_naming_the_allowed_ones(data: bytes) -> None:
    error = rejected(data)
    assert error.code is ErrorCode.UNSUPPORTED
    assert "JPEG, PNG, WEBP, BMP, GIF, TIFF" in error.message


def test_limits_hold_before_anything_is_decoded() -> None:
    assert rejected(b"").code is ErrorCode.EMPTY
    assert rejected(bare_png(10_000, 10_000)).code is ErrorCode.PIXEL_LIMIT
    assert rejected(b"\0" * 11, max_bytes=10).code is ErrorCode.BYTE_LIMIT
    assert rejected(bare_png(0, 5)).code is ErrorCode.DIMENSION
    for kind in ALL:
        assert (
            rejected(encode(picture(), kind), max_pixels=48 * 32 - 1).code is ErrorCode.PIXEL_LIMIT
        )
        assert decode_image(encode(picture(), kind), max_pixels=48 * 32).height == 32


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_preview_is_the_image_at_a_fraction_of_its_size(mode: str, orientation: int) -> None:
    drawn = picture(60, 40).convert(mode).resize((1200, 800), Image.Resampling.BICUBIC)
    data = encode(drawn, "JPEG", exif=exif(orientation), quality=95)
    whole, preview = decode_image(data), decode_image(data, preview=100)
    longer, shorter = max(preview.pixels.shape[:2]), min(preview.pixels.shape[:2])
    assert (longer, shorter) == (150, 100), "an eighth, at least 1.5 times the side"
    size = (preview.width, preview.height)
    expected = Image.fromarray(whole.pixels).resize(size, Image.Resampling.BOX)
    difference = np.asarray(expected, np.int16) - preview.pixels
    assert np.abs(difference).mean() < 2


@pytest.mark.parametrize("kind", [*LOSSLESS, "JPEG"])
def test_the_preview_of_a_small_image_is_exact(kind: str) -> None:
    data = encode(picture(), kind)
    assert np.array_equal(decode_image(data, preview=100).pixels, decode_image(data).pixels)


@pytest.mark.parametrize("size", [(1, 3000), (3000, 1)])
def test_thin_images_have_previews(size: tuple[int, int]) -> None:
    assert max(decode_image(encode(picture(*size), "JPEG"), preview=64).pixels.shape) >= 96


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
@pytest.mark.parametrize("kind", ["JPEG", *LOSSLESS])
def test_thin_images_are_images(kind: str, size: tuple[int, int]) -> None:
    assert decode_image(encode(picture(*size), kind)).pixels.shape == (size[1], size[0], 3)


@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0",
                        b"RIFF\0\0\0\0WEBP", b""]), st.binary(max_size=200))  # fmt: skip
@settings(deadline=None, max_examples=150)
@example(b"BM", b"")
@pytest.mark.filterwarnings("ignore")
def test_random_bytes_raise_nothing_but_image_errors(magic: bytes, rest: bytes) -> None:
    with pytest.raises(ImageError):
        decode_image(magic + rest)


@given(
    st.sampled_from(ALL),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=12),
)
@settings(deadline=None, max_examples=200)
@pytest.mark.filterwarnings("ignore")
def test_mutated_images_decode_or_raise_image_errors(
    kind: str, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(encode(picture(24, 16), kind))
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    try:
        decoded = decode_image(bytes(data), max_pixels=10_000)
    except ImageError:
        return
    assert decoded.pixels.ndim == 3
    assert decoded.pixels.shape[2] == 3
