"""The size from the header equals Pillow's, for every format and orientation."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageFile, ImageOps

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.images.decode import decode_image
from snellen.adapters.images.formats import FORMATS as FORMATS_READ
from snellen.adapters.images.size import HeaderSize, header_size, upright_size
from tests.adapters.making import bare_png, encode, exif, picture

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
WITH_EXIF = ("JPEG", "PNG", "WEBP", "TIFF")


def rejected(path: Path) -> ImageError:
    with pytest.raises(ImageError) as caught:
        upright_size(path)
    return caught.value


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("mode", ["RGB", "L", "1"])
def test_the_size_is_pillows(tmp_path: Path, kind: str, mode: str) -> None:
    path = tmp_path / "named.wrong"
    path.write_bytes(encode(picture(48, 32).convert(mode), kind))
    assert upright_size(path) == upright_size(str(path)) == Image.open(path).size == (48, 32)


@pytest.mark.parametrize("kind", WITH_EXIF)
@pytest.mark.parametrize("orientation", [*range(1, 9), 0, 9])
def test_the_orientation_is_applied(tmp_path: Path, kind: str, orientation: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(encode(picture(48, 32), kind, exif=exif(orientation)))
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).size
    assert upright_size(path) == upright
    assert upright == ((32, 48) if orientation in {5, 6, 7, 8} else (48, 32))
    sideways = orientation in {5, 6, 7, 8}
    assert header_size(path) == HeaderSize((48, 32), orientation)
    assert header_size(path).is_sideways == sideways


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_png_may_have_its_exif_behind_its_pixels(tmp_path: Path, orientation: int) -> None:
    data = encode(picture(48, 32), "PNG", exif=exif(orientation))
    start = data.index(b"eXIf") - 4
    stop = start + 12 + int.from_bytes(data[start : start + 4], "big")
    end = data.index(b"IEND") - 4
    path = tmp_path / "x.png"
    path.write_bytes(data[:start] + data[stop:end] + data[start:stop] + data[end:])
    decoded = decode_image(path.read_bytes())
    assert upright_size(path) == (decoded.width, decoded.height)
    assert upright_size(path) == ((32, 48) if orientation == 6 else (48, 32))


@pytest.mark.parametrize("kind", FORMATS)
def test_no_pixel_is_decoded(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(*_: object) -> None:
        raise AssertionError("pixels were decoded")

    path = tmp_path / "x"
    path.write_bytes(encode(picture(48, 32), kind))
    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded)
    monkeypatch.setattr(FORMATS_READ[kind], "load", decoded)
    assert upright_size(path) == (48, 32)
    path.write_bytes(bare_png(30_000, 20_000))
    assert upright_size(path) == (30_000, 20_000)


def test_broken_metadata_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(encode(picture(48, 32), "JPEG", exif=b"Exif\0\0garbage"))
    assert upright_size(path) == (48, 32)


def test_what_has_no_size(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    for data, code in (
        (b"", ErrorCode.EMPTY),
        (b"only text", ErrorCode.UNSUPPORTED),
        (encode(picture())[:20], ErrorCode.TRUNCATED),
    ):
        path.write_bytes(data)
        error = rejected(path)
        assert (error.stage, error.code) == (ErrorStage.DECODE, code)
    for missing in (tmp_path / "none.png", tmp_path):
        error = rejected(missing)
        assert (error.stage, error.code) == (ErrorStage.READ, ErrorCode.IO)
