"""PNG files with more text or a larger colour profile than Pillow reads."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from snellen.adapters.errors import ErrorCode, ImageError
from snellen.adapters.images.decode import decode_image
from snellen.adapters.images.png_chunks import METADATA_IGNORED, without_text
from snellen.adapters.images.size import upright_size
from tests.adapters.making import encode, exif, picture, pixels

MIB = 1 << 20


def chunk(kind: bytes, body: bytes, crc: int | None = None) -> bytes:
    code = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", code)


def with_chunks(*extra: bytes, before: bytes = b"IDAT", data: bytes | None = None) -> bytes:
    whole = encode(picture(), "PNG") if data is None else data
    at = whole.index(before) - 4
    return whole[:at] + b"".join(extra) + whole[at:]


UNCOMPRESSED = chunk(b"tEXt", b"Comment\0" + b"x" * (MIB + 1))
PACKED = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * (MIB + 1)))
INTERNATIONAL = chunk(b"iTXt", b"Comment\0\x01\0en\0\0" + zlib.compress(b"x" * (MIB + 1)))
PROFILE = chunk(b"iCCP", b"icc\0\0" + zlib.compress(b"\x01" * (2 * MIB)))
BOMB = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 100 * MIB))
CASES = {
    "zTXt": (PACKED,),
    "iTXt": (INTERNATIONAL,),
    "iCCP": (PROFILE,),
    "a bomb": (BOMB,),
    "many": (chunk(b"tEXt", b"Comment\0" + b"x" * MIB),) * 8
    + (chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"y" * (MIB - 10))),) * 64,
    "unknown compression of a profile": (chunk(b"iCCP", b"icc\0\x07junk"),),
    "unknown compression of text": (chunk(b"zTXt", b"Comment\0\x07junk"),),
    "checksum": (chunk(b"tEXt", b"Comment\0abc", crc=1),),
}


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"S-{case.replace(' ', '-')}")
def test_large_or_broken_metadata_does_not_cost_the_image(case: str, before: bytes) -> None:
    if case == "unknown compression of a profile" and before == b"IEND":
        return  # a profile comes before the pixels
    data = with_chunks(*CASES[case], before=before)
    decoded = decode_image(data, name="a.png")
    assert np.array_equal(decoded.pixels, pixels())
    # Pillow stops at some broken chunks behind the pixels by itself.
    assert decoded.warnings == [METADATA_IGNORED] or before == b"IEND"
    assert upright_size(io.BytesIO(data)) == (48, 32)


def test_pillows_limits_stay_as_they_are() -> None:
    before = (PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY)
    decode_image(with_chunks(BOMB))
    assert before == (PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY)
    with pytest.raises(ValueError, match="Decompressed data too large"):
        Image.open(io.BytesIO(with_chunks(BOMB)))


@pytest.mark.parametrize("keep", [True, False])
def test_the_orientation_survives(keep: bool) -> None:
    data = encode(picture(), "PNG", exif=exif(6))
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta tiff:Orientation="6"/>'
    if not keep:
        data = with_chunks(chunk(b"iTXt", xmp))
    decoded = decode_image(with_chunks(PACKED, data=data))
    assert decoded.pixels.shape == (48, 32, 3)
    assert np.array_equal(decoded.pixels, np.rot90(pixels(), -1))


def test_a_small_file_is_returned_as_it_is() -> None:
    data = encode(picture(), "PNG")
    assert without_text(data) == data
    assert without_text(data[:-20]) == data[:-20]
    assert without_text(data + b"tail") == data + b"tail"


def test_text_with_an_orientation_stays_below_the_limit() -> None:
    bomb = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"0" * 100 * MIB))
    assert without_text(with_chunks(bomb)) == encode(picture(), "PNG")


def test_damage_beside_the_text_is_still_found() -> None:
    whole = with_chunks(PACKED)
    for data, code in (
        (whole[:-40], ErrorCode.TRUNCATED),
        (with_chunks(PACKED, chunk(b"gAMA", b"\0\0\0\x01", crc=5)), ErrorCode.CORRUPT),
    ):
        with pytest.raises(ImageError) as caught:
            decode_image(data)
        assert caught.value.code is code
