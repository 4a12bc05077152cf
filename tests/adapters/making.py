"""Images and checkpoints for the tests of the adapters."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

ORIENTATION = 0x0112


def pixels(width: int = 48, height: int = 32, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Smooth colours with a little noise: no symmetry, and JPEG keeps them recognisable."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([255 * x / width, 255 * y / height, 127 + 80 * np.sin(x / 5 + seed)], axis=2)
    noisy = base + rng.normal(0, 6, base.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def picture(width: int = 48, height: int = 32, seed: int = 0) -> Image.Image:
    return Image.fromarray(pixels(width, height, seed))


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[ORIENTATION] = orientation
    return made


def bare_png(width: int, height: int) -> bytes:
    """Return a PNG whose header may claim any size; it holds almost no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 10))
        + chunk(b"IEND", b"")
    )


def save_timm(
    path: Path, architecture: str = "test_resnet", num_classes: int = 10, seed: int = 1, **kept: Any
) -> Any:
    """Save a timm checkpoint with random weights as timm's trainer does; return the model."""
    import timm
    import torch

    torch.manual_seed(seed)
    model = timm.create_model(architecture, num_classes=num_classes).eval()
    torch.save({"arch": architecture, "epoch": 3, "state_dict": model.state_dict(), **kept}, path)
    return model
