"""Images and multipart bodies, intact and damaged in ways that break parsers; reproducible."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

BOUNDARY = b"snellen"
_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def seeds() -> list[bytes]:
    """Return small images in every supported format, with the special features of each."""
    rng = np.random.default_rng(0)
    rgb = Image.fromarray(rng.integers(0, 255, (24, 36, 3), np.uint8))
    grey, alpha = rgb.convert("L"), rgb.convert("RGBA")
    palette, cmyk = rgb.convert("P"), rgb.convert("CMYK")
    wide = Image.fromarray(rng.integers(0, 65535, (24, 36)).astype(np.uint16))
    frames = [Image.fromarray(rng.integers(0, 255, (24, 36, 3), np.uint8)) for _ in range(3)]
    many: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    plain = [
        *(_saved(rgb, kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")),
        *(_saved(frames[0], kind, **many) for kind in ("PNG", "WEBP", "GIF", "TIFF")),
        *(_saved(rgb, "JPEG", exif=_exif(n)) for n in range(1, 9)),
        *(_saved(image, "PNG") for image in (grey, alpha, palette, wide, rgb.convert("1"))),
        *(_saved(image, "TIFF") for image in (grey, alpha, palette, wide, cmyk)),
        *(_saved(rgb, "TIFF", compression=c) for c in ("tiff_lzw", "tiff_deflate", "packbits")),
        *(_saved(image, "BMP") for image in (grey, alpha, palette)),
    ]
    return [
        *plain,
        _saved(cmyk, "JPEG"),
        _saved(grey, "JPEG"),
        _saved(rgb, "JPEG", progressive=True, optimize=True),
        _saved(rgb, "JPEG", icc_profile=bytes(200)),
        _saved(rgb, "WEBP", lossless=True),
        _saved(alpha, "WEBP"),
        _saved(rgb, "PNG", exif=_exif(6)),
        _saved(palette, "GIF", transparency=3),
    ]


def _flip(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def _flip_head(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(rng.choice((1, 2, 4))):
        data[rng.randrange(min(len(data), 80))] = rng.randrange(256)
    return data


def _cut(rng: random.Random, data: bytearray) -> bytearray:
    return data[: rng.randrange(len(data))]


def _remove(rng: random.Random, data: bytearray) -> bytearray:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 2, 4, 16, 200))]
    return data


def _repeat(rng: random.Random, data: bytearray) -> bytearray:
    start = rng.randrange(len(data))
    part = data[start : start + rng.choice((1, 4, 40, 400))]
    return data[:start] + part * rng.choice((2, 3, 50)) + data[start:]


def _edge(rng: random.Random, data: bytearray) -> bytearray:
    """Replace two or four bytes, such as a length or an offset, with a boundary value."""
    size, order = rng.choice(("H", "I")), rng.choice("<>")
    number = rng.choice(_EDGES) & (0xFFFF if size == "H" else 0xFFFFFFFF)
    packed = struct.pack(order + size, number)
    start = rng.randrange(min(len(data), rng.choice((64, len(data)))))
    data[start : start + len(packed)] = packed
    return data


def _noise(rng: random.Random, data: bytearray) -> bytearray:
    start = rng.randrange(len(data))
    return data[:start] + rng.randbytes(rng.choice((1, 20, 500))) + data[start:]


_MUTATIONS: tuple[Callable[[random.Random, bytearray], bytearray], ...] = (
    _flip, _flip_head, _cut, _remove, _repeat, _edge, _edge, _noise,
)  # fmt: skip


def mutated(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """Damage ``data`` in one to four ways; sometimes join it with part of another file."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if len(found) < 2:
            break
        found = rng.choice(_MUTATIONS)(rng, found)
    if rng.random() < 0.1:
        other = rng.choice(others)
        found = found[: rng.randrange(len(found) + 1)] + other[rng.randrange(len(other)) :]
    return bytes(found)


_NAMES = (b"a.png", b"../../x.jpg", b"\xff\xfe.png", b"a\0b", b"%00", b"<b>", b"x" * 300, b"")
_KINDS = (
    b"",
    b"\r\nContent-Type: image/png",
    b"\r\nContent-Transfer-Encoding: base64",
    b"\r\nContent-Type: multipart/mixed; boundary=snellen",
    b"\r\nContent-Length: 5",
)
_VALUES: dict[bytes, tuple[bytes, ...]] = {
    b"training_job_id": (b"1", b"2", b"1", b"99", b"-1", b"", b"\0", b"1e9"),
    b"checkpoint": (b"best", b"last", b"7", b"000000001", b"../x", b""),
    b"confidence": (b"0.5", b"0", b"1", b"nan", b"-1", b"1e-300", b""),
    b"visualize": (b"false", b"true", b"2", b"", b"on"),
    b"record": (b"false", b"no", b"x"),
}


def form(rng: random.Random, image: bytes) -> bytes:
    """Create a multipart body around ``image`` with random fields, names and headers."""
    fields = [(b"training_job_id", rng.choice(_VALUES[b"training_job_id"][:3]))]
    for name in rng.sample(list(_VALUES), rng.choice((0, 0, 1, 2))):
        fields.append((name, rng.choice(_VALUES[name])))
    parts = [_part(b'name="%s"' % name, value) for name, value in fields]
    head = b'name="image"; filename="%s"' % rng.choice(_NAMES)
    parts.insert(rng.randrange(len(parts) + 1), _part(head, image, rng.choice(_KINDS)))
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def plain_form(image: bytes, job: int) -> bytes:
    """Create the multipart body of a well-behaved client."""
    head = _part(b"name=training_job_id", str(job).encode())
    return head + _part(b"name=image; filename=a", image) + b"--" + BOUNDARY + b"--\r\n"


def _part(head: bytes, data: bytes, more: bytes = b"") -> bytes:
    line = b"--" + BOUNDARY + b"\r\nContent-Disposition: form-data; " + head + more
    return line + b"\r\n\r\n" + data + b"\r\n"
