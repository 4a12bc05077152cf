"""Codes of damaged files: TRUNCATED for a file that ends early, and for nothing else."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.images.decode import decode_image, decode_pil
from snellen.adapters.images.formats import SUPPORTED_FORMATS
from snellen.adapters.images.size import upright_size
from snellen.adapters.images.truncation import ends_early
from tests.adapters.making import encode, picture

JPEG = encode(picture(), "JPEG")
BMP = encode(picture(20, 15), "BMP")
GIF = encode(picture(), "GIF")
WEBP = encode(picture(), "WEBP")
TIFF = encode(picture(), "TIFF")
SOF = JPEG.index(b"\xff\xc0")
SOS = JPEG.index(b"\xff\xda")
DQT = JPEG.index(b"\xff\xdb")


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def chunk(kind: bytes, body: bytes, crc: int | None = None) -> bytes:
    code = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", code)


def png(
    header: bytes = b"\x08\x02\0\0\0", data: bytes | None = None, crc: int | None = None
) -> bytes:
    pixels = zlib.compress(bytes(13 * 4)) if data is None else data
    ihdr = chunk(b"IHDR", struct.pack(">II", 4, 4) + header, crc)
    return b"\x89PNG\r\n\x1a\n" + ihdr + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def tiff_with(tag: int, value: int) -> bytes:
    """Return a TIFF file with another value of one of its tags."""
    start = struct.unpack("<I", TIFF[4:8])[0]
    for entry in range(struct.unpack("<H", TIFF[start : start + 2])[0]):
        at = start + 2 + 12 * entry
        if struct.unpack("<H", TIFF[at : at + 2])[0] == tag:
            return patched(TIFF, at + 8, struct.pack("<H", value))
    raise KeyError(tag)


UNSUPPORTED = {
    "jpeg lossless": patched(JPEG, SOF, b"\xff\xc3"),
    "jpeg hierarchical": patched(JPEG, SOF, b"\xff\xc5"),
    "jpeg 12 bit": patched(JPEG, SOF + 4, b"\x0c"),
    "jpeg 5 channels": patched(JPEG, SOF + 9, b"\x05"),
    "png filter method": png(b"\x08\x02\0\x01\0"),
    "bmp 2 bit": patched(BMP, 28, b"\x02\0"),
    "bmp jpeg inside": patched(BMP, 30, b"\x04\0\0\0"),
    "bmp runs of colours": patched(BMP, 30, b"\x01\0\0\0"),
    "bmp bit fields": patched(BMP, 30, b"\x03\0\0\0"),
    "tiff compression jpeg 2000": tiff_with(259, 34712),
    "tiff compression jpeg xl": tiff_with(259, 50002),
    "tiff compression webp": tiff_with(259, 50001),
    "tiff photometric": tiff_with(262, 9),
    "tiff 13 bands": tiff_with(277, 13),
}
CORRUPT = {
    "jpeg without tables": JPEG[:DQT] + JPEG[SOF:],
    "jpeg bad scan": patched(JPEG, SOS + 4, b"\x07"),
    "jpeg bad length": patched(JPEG, DQT + 2, b"\xff\xff"),
    "jpeg scan before frame": JPEG[:SOF] + JPEG[SOS:],
    "png header checksum": png(crc=1),
    "png 3 bit": png(b"\x03\x02\0\0\0"),
    "png too few pixels": png(data=zlib.compress(b"\0" * 10)),
    "png not compressed": png(data=b"these are no pixels"),
    "webp bad frame": patched(WEBP, 20, b"\xff" * 10),
    "webp unknown chunk": patched(WEBP, 12, b"XXXX"),
    "gif bad codes": patched(GIF, len(GIF) - 300, b"\xff" * 40),
    "gif without image": GIF[: 13 + 768] + b";",
    "tiff bad lzw": tiff_with(259, 5),
    "tiff bad deflate": tiff_with(259, 8),
    "avif bad box": patched(encode(picture(), "AVIF"), 40, b"\xff" * 40),
    "jpeg 2000 bad size": patched(encode(picture(), "JPEG2000", no_jp2=True), 40, b"\0" * 8),
}


def rejected(data: bytes) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode_image(data, name="x.bin")
    assert caught.value.stage is ErrorStage.DECODE
    assert caught.value.message.startswith("x.bin: ")
    return caught.value


@pytest.fixture(params=[True, False], ids=["fast", "pillow"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode JPEG with torchvision, then with Pillow: the codes are the same."""
    if not request.param:
        monkeypatch.setattr("snellen.adapters.images.decode.jpeg_decoder", lambda: None)


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("case", UNSUPPORTED)
def test_a_variant_that_is_not_read_is_unsupported(case: str) -> None:
    error = rejected(UNSUPPORTED[case])
    assert error.code is ErrorCode.UNSUPPORTED
    assert "is not supported" in error.message
    assert "convert the file to JPEG or PNG" in error.message


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("case", CORRUPT)
@pytest.mark.filterwarnings("ignore")
def test_damage_in_a_whole_file_is_corrupt(case: str) -> None:
    error = rejected(CORRUPT[case])
    assert error.code is ErrorCode.CORRUPT
    assert "data is corrupt" in error.message
    assert "Expected an undamaged file" in error.message


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("kind", SUPPORTED_FORMATS)
@pytest.mark.parametrize("part", [0.2, 0.5, 0.8, 0.95])
@pytest.mark.filterwarnings("ignore")
def test_a_file_that_ends_early_is_truncated(kind: str, part: float) -> None:
    whole = encode(picture(200, 150), kind)
    error = rejected(whole[: int(len(whole) * part)])
    assert error.code is ErrorCode.TRUNCATED
    assert f"the {kind} file is truncated" in error.message
    assert "copy or download it again" in error.message


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "jpeg", "packbits"])
@pytest.mark.parametrize("part", [0.3, 0.9])
@pytest.mark.filterwarnings("ignore")
def test_compressed_tiff_files_that_end_early_are_truncated(compression: str, part: float) -> None:
    whole = encode(picture(200, 150), "TIFF", compression=compression)
    assert rejected(whole[: int(len(whole) * part)]).code is ErrorCode.TRUNCATED


@pytest.mark.parametrize("size", range(4, 60, 7))
@pytest.mark.parametrize("kind", SUPPORTED_FORMATS)
@pytest.mark.filterwarnings("ignore")
def test_a_file_cut_within_its_header_is_never_called_corrupt(kind: str, size: int) -> None:
    # With a few bytes the format itself cannot be told.
    code = rejected(encode(picture(), kind)[:size]).code
    assert code in {ErrorCode.TRUNCATED, ErrorCode.UNSUPPORTED}
    if size >= 18:
        assert code is ErrorCode.TRUNCATED


@pytest.mark.parametrize("kind", SUPPORTED_FORMATS)
@pytest.mark.parametrize("tail", [b"", b"\0" * 600, b"<script>"])
def test_a_whole_file_does_not_end_early(kind: str, tail: bytes) -> None:
    assert not ends_early(encode(picture(), kind) + tail, kind)


def test_a_progressive_jpeg_with_a_thumbnail_is_followed_to_its_end() -> None:
    thumbnail = encode(picture(8, 8), "JPEG")
    app = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 8) + b"Exif\0\0" + thumbnail
    whole = encode(picture(), "JPEG", progressive=True)
    with_thumbnail = whole[:2] + app + whole[2:]
    assert not ends_early(with_thumbnail, "JPEG")
    assert ends_early(with_thumbnail[:-200], "JPEG")


def test_the_size_of_a_damaged_file_has_the_same_codes() -> None:
    for data, code in (
        (UNSUPPORTED["bmp 2 bit"], ErrorCode.UNSUPPORTED),
        (CORRUPT["png header checksum"], ErrorCode.CORRUPT),
        (encode(picture(), "PNG")[:30], ErrorCode.TRUNCATED),
    ):
        with pytest.raises(ImageError) as caught:
            upright_size(io.BytesIO(data))
        assert caught.value.code is code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), ErrorCode.PIXEL_LIMIT),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), ErrorCode.PIXEL_LIMIT),
        (Image.DecompressionBombError("too large"), ErrorCode.PIXEL_LIMIT),
    ],
)
def test_too_little_memory_is_a_limit_not_damage(
    error: Exception, code: ErrorCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(data: bytes) -> None:
        raise error

    monkeypatch.setattr("snellen.adapters.images.decode.jpeg_decoder", lambda: fail)
    assert rejected(JPEG).code is code


def test_pillow_images_that_cannot_be_loaded_are_told_apart() -> None:
    for data, code in (
        (JPEG[:-100], ErrorCode.TRUNCATED),
        (CORRUPT["png not compressed"], ErrorCode.CORRUPT),
    ):
        with pytest.raises(ImageError) as caught:
            decode_pil(Image.open(io.BytesIO(data)))
        assert caught.value.code is code
