"""Detection of files that end before their content does, by the structure of each format.

Decoders say "truncated" of many kinds of damage, and not always of truncated files. The lengths
that the parts of a file declare tell the difference.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Literal

from PIL import TiffImagePlugin

from snellen.adapters.images.png_chunks import END, png_chunks

_STANDALONE = {0x01, *range(0xD0, 0xD9)}
_SOS, _EOI = 0xDA, 0xD9
_EOI_BYTES = b"\xff\xd9"
_PIXEL_BOXES = {b"mdat", b"jp2c"}
_STRIPS, _TILES = (273, 279), (324, 325)
"""Tags of a TIFF with the offsets and lengths of its pixel data."""


def ends_early(data: bytes, kind: str) -> bool:
    """Return True where a file lacks its end; False where it is whole, or cannot be followed.

    Args:
        data: the file.
        kind: its format, one of `SUPPORTED_FORMATS`.
    """
    try:
        return _CHECKS[kind](data)
    except IndexError:  # the file ends within a header
        return True
    except Exception:  # broken in another way than by its end
        return False


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, start and stop (exclusive) of each segment, of all scans, to the end.

    ``stop`` may lie behind the file. The coded pixels after a scan's header belong to no segment.
    """
    at = 2
    while at + 2 <= len(data):
        if data[at] != 0xFF or data[at + 1] == 0xFF:
            at += 1  # padding, or damage that decoders skip, too
            continue
        marker = data[at + 1]
        if marker in _STANDALONE or marker in (0x00, _EOI):
            stop = at + 2
        else:
            stop = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at, stop
        if marker == _EOI:
            return
        at = _next_marker(data, stop) if marker == _SOS else stop


def _next_marker(data: bytes, at: int) -> int:
    """Return the position of the first marker behind coded pixels."""
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        if data[at + 1] not in (0x00, 0xFF) and data[at + 1] not in _STANDALONE:
            return at
        at += 1
    return len(data)


def _jpeg(data: bytes) -> bool:
    if data.rstrip(b"\0").endswith(_EOI_BYTES):
        return False
    return all(marker != _EOI for marker, _, _ in jpeg_segments(data))


def _png(data: bytes) -> bool:
    if data.rstrip(b"\0").endswith(END):
        return False
    for kind, _, stop in png_chunks(data):
        if not kind.isalpha():
            return False
        if stop > len(data):
            return True
        if kind == b"IEND":
            return False
    return True


def _webp(data: bytes) -> bool:
    return int.from_bytes(data[4:8], "little") + 8 > len(data)


def _gif(data: bytes) -> bool:
    at = 13 + _colours(data[10])
    while True:
        if data[at] == 0x3B:
            return False
        if data[at] == 0x2C:
            if at + 10 > len(data):
                return True
            at += 11 + _colours(data[at + 9])
        elif data[at] == 0x21:
            at += 2
        else:
            return False
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
        if at >= len(data):
            return True


def _colours(packed: int) -> int:
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0


def _bmp(data: bytes) -> bool:
    def number(start: int, size: int = 4) -> int:
        return int.from_bytes(data[start : start + size], "little", signed=True)

    pixels, header = number(10), number(14)
    if len(data) < max(pixels, 14 + header):
        return True
    if (declared := number(2)) > 0:
        return declared > len(data)
    if header == 12:
        width, height, bits, packed = number(18, 2), number(20, 2), number(24, 2), 0
    else:
        width, height, bits, packed = number(18), abs(number(22)), number(28, 2), number(30)
    row = (width * bits + 31) // 32 * 4
    return packed in (0, 3) and pixels + row * height > len(data)


def _tiff(data: bytes) -> bool:
    directory = tiff_directory(data)
    if directory is None:
        return True
    for offsets, lengths in (_STRIPS, _TILES):
        if offsets in directory:
            parts = zip(directory[offsets], directory.get(lengths, ()), strict=False)
            return any(offset + length > len(data) for offset, length in parts)
    return False


def tiff_directory(data: bytes) -> TiffImagePlugin.ImageFileDirectory_v2 | None:
    """Return the tags of the first image of a TIFF file; None where the file ends before them.

    Raises:
        Exception: of many types; the tags cannot be read.
    """
    wide = data[2:4] in (b"+\0", b"\0+")
    if len(data) < (16 if wide else 8):
        return None
    directory = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if wide else 8])
    order: Literal["little", "big"] = "little" if data[:1] == b"I" else "big"
    count_bytes, entry_bytes = (8, 20) if wide else (2, 12)
    start = directory.next
    count = int.from_bytes(data[start : start + count_bytes], order)
    if start + count_bytes + count * entry_bytes > len(data):
        return None
    stream = io.BytesIO(data)
    stream.seek(start)
    directory.load(stream)
    return directory


def _boxes(data: bytes) -> bool:
    """Follow the boxes of an ISO base media file up to its pixels."""
    at = 0
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size == 0:
            return False
        at += max(size, 8)
        if kind in _PIXEL_BOXES and at <= len(data):
            return False
    return True


def _jpeg2000(data: bytes) -> bool:
    if data.rstrip(b"\0").endswith(_EOI_BYTES):
        return False
    return data.startswith(b"\xff\x4f") or _boxes(data)


_CHECKS: dict[str, Callable[[bytes], bool]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "BMP": _bmp,
    "GIF": _gif,
    "TIFF": _tiff,
    "AVIF": _boxes,
    "JPEG2000": _jpeg2000,
}
