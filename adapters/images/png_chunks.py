"""Chunks of PNG files, and the removal of metadata that Pillow refuses to read."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = b"IEND\xaeB`\x82"
METADATA_IGNORED = "large or broken text or ICC profile ignored"

_TEXT = {b"tEXt", b"zTXt", b"iTXt"}
_ORIENTATION_KEYS = {b"exif", b"Raw profile type exif", b"XML:com.adobe.xmp"}
"""Keywords of text that may hold the orientation."""
_LIMIT = 1 << 20


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type, start and stop (exclusive) of each chunk; ``stop`` may lie behind the file.

    Args:
        data: a PNG file.
    """
    start = len(SIGNATURE)
    while start + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[start : start + 8])
        stop = start + 12 + length
        yield kind, start, stop
        start = stop


def without_text(data: bytes) -> bytes:
    """Return a PNG without its colour profile and its text, but for text with an orientation.

    Pillow fails on text or a profile above 1 MiB, which protects it from decompression bombs; no
    pixel depends on either. Text is kept where it may hold the orientation and stays below that
    limit. A file that ends within a chunk is returned up to its last whole chunk and the rest.
    """
    kept = [data[: len(SIGNATURE)]]
    end = len(SIGNATURE)
    for kind, start, stop in png_chunks(data):
        if stop > len(data):
            break
        end = stop
        if kind == b"iCCP" or (kind in _TEXT and not _keep(kind, data[start:stop])):
            continue
        kept.append(data[start:stop])
        if kind == b"IEND":
            break
    return b"".join([*kept, data[end:]])


def _keep(kind: bytes, chunk: bytes) -> bool:
    body, crc = chunk[8:-4], chunk[-4:]
    keyword, _, rest = body.partition(b"\0")
    if keyword not in _ORIENTATION_KEYS or zlib.crc32(chunk[4:-4]) != int.from_bytes(crc, "big"):
        return False
    if len(body) > _LIMIT:
        return False
    if kind == b"tEXt" or (kind == b"iTXt" and rest[:1] == b"\0"):
        return True
    packed = rest[1:] if kind == b"zTXt" else rest[2:].split(b"\0", 2)[-1]
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(packed, _LIMIT)
    except zlib.error:
        return False
    return not unpacking.unconsumed_tail
