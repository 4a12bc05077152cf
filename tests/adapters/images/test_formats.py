"""Recognition of image formats by content; the names of formats that are not decoded."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from snellen.adapters.errors import ErrorCode, ImageError
from snellen.adapters.images.decode import decode_image
from snellen.adapters.images.formats import HEADER_BYTES, SUPPORTED_FORMATS, sniff_format
from tests.adapters.making import encode, picture


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + b"\0\0\0\0" + b"".join(compatible)
    return struct.pack(">I", len(body) + 4) + body + b"\0\0\0\x08mdat"


HEADERS = {
    "HEIC": [ftyp(b"heic", b"mif1"), ftyp(b"mif1", b"mif1", b"heic"), ftyp(b"msf1", b"hevc")],
    "AVIF": [ftyp(b"avif", b"mif1"), ftyp(b"mif1", b"mif1", b"avif"), ftyp(b"avis", b"msf1")],
    "Canon RAW": [b"II*\0\x10\0\0\0CR\x02\0", ftyp(b"crx ", b"isom")],
    "PSD": [b"8BPS\0\x01" + bytes(20)],
    "FITS": [b"SIMPLE  =                    T"],
    "EPS": [b"%!PS-Adobe-3.0 EPSF-3.0\n"],
    "JPEG XL": [b"\xff\x0a\xfa\x7f", b"\0\0\0\x0cJXL \r\n\x87\n"],
    "JPEG-LS": [b"\xff\xd8\xff\xf7\0\x0b"],
    "OpenEXR": [b"\x76\x2f\x31\x01\x02\0\0\0"],
    "QOI": [b"qoif\0\0\0\x01"],
    "ICO": [b"\0\0\x01\0\x01\0\x20\x20"],
    "PNM": [b"P6\n4 4\n255\n", b"P5\n# made by hand\n", b"P1 3 3 0"],
    "DICOM": [bytes(128) + b"DICM"],
    "TIFF": [b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0"],
}
CASES = [(name, data) for name, headers in HEADERS.items() for data in headers]


@pytest.mark.parametrize(("name", "header"), CASES, ids=lambda x: x if isinstance(x, str) else "")
def test_formats_are_recognised_by_their_first_bytes(name: str, header: bytes) -> None:
    assert sniff_format(header) == name


@pytest.mark.parametrize("kind", SUPPORTED_FORMATS)
def test_every_supported_format_is_recognised_and_decoded(kind: str) -> None:
    data = encode(picture(), kind)
    assert sniff_format(data[:HEADER_BYTES]) == kind
    assert (decode_image(data).width, decode_image(data).height) == (48, 32)


@pytest.mark.parametrize(
    "data",
    [b"", b"B", b"BM", b"BMW is a maker of cars", b"P", b"P1", b"Path,label\n", b"<svg/>", b"%PDF-",
     b"plain text", ftyp(b"isom", b"mp42"), b"RIFF\0\0\0\0WAVEfmt ", b"\0" * 200],
)  # fmt: skip
def test_other_content_is_no_image(data: bytes) -> None:
    assert sniff_format(data[:HEADER_BYTES]) is None


@pytest.mark.parametrize(
    ("name", "header"),
    [case for case in CASES if case[0] not in SUPPORTED_FORMATS],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_format_that_is_not_decoded_is_named(name: str, header: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        decode_image(header + bytes(200), name="a.img")
    assert caught.value.code is ErrorCode.UNSUPPORTED
    assert f"a.img: the content is {name}, which is not supported. Expected one of JPEG, " in (
        caught.value.message
    )


def test_a_heic_picture_says_how_to_convert_it() -> None:
    with pytest.raises(ImageError, match=r"convert the file \(heif-convert IN.heic OUT.jpg\)"):
        decode_image(ftyp(b"heic", b"mif1"))


def mpo(count: int) -> bytes:
    buffer = io.BytesIO()
    rest = [picture(seed=seed) for seed in range(1, count)]
    picture().save(buffer, "MPO", save_all=True, append_images=rest)
    return buffer.getvalue()


@pytest.mark.parametrize("fast", [True, False])
def test_of_an_mpo_file_the_first_picture_is_read(
    fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fast:
        monkeypatch.setattr("snellen.adapters.images.decode.jpeg_decoder", lambda: None)
    data = mpo(3)
    with Image.open(io.BytesIO(data)) as reference:
        assert reference.format == "MPO"
        expected, frames = reference.convert("RGB").tobytes(), getattr(reference, "n_frames", 0)
    decoded = decode_image(data, name="a.mpo")
    assert decoded.pixels.tobytes() == expected
    assert decoded.n_frames == frames == 3
    assert decoded.warnings == []
    assert decode_image(encode(picture(), "JPEG")).n_frames == 1


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_newer_formats_are_pillows_own_pixels(kind: str, mode: str) -> None:
    data = encode(picture().convert(mode), kind)
    with Image.open(io.BytesIO(data)) as reference:
        expected = reference.convert("RGB").tobytes()
    assert decode_image(data).pixels.tobytes() == expected


def test_16_bit_jpeg_2000_is_shifted_like_png() -> None:
    grey = Image.new("I;16", (16, 16), 0x1234)
    assert (decode_image(encode(grey, "JPEG2000")).pixels == 0x12).all()


@pytest.mark.parametrize("no_jp2", [True, False])
def test_a_bare_jpeg_2000_codestream_is_read(no_jp2: bool) -> None:
    data = encode(picture(), "JPEG2000", no_jp2=no_jp2, quality_mode="rates", quality_layers=[1])
    assert decode_image(data).width == 48
