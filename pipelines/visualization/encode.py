"""Encode pictures as PNG and JPEG files."""

from __future__ import annotations

import io
import re
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image


def encode_png(pixels: npt.NDArray[np.uint8 | np.uint16]) -> bytes:
    """Encode pixels as PNG, lossless.

    Args:
        pixels: uint8 of shape (H, W, 3) or (H, W, 4), or uint8 or uint16 of shape (H, W).
    """
    return _saved(Image.fromarray(pixels), format="PNG", compress_level=4)


def encode_jpeg(pixels: npt.NDArray[np.uint8], quality: int = 90) -> bytes:
    """Encode uint8 pixels of shape (H, W, 3) as JPEG, without chroma subsampling."""
    return _saved(Image.fromarray(pixels), format="JPEG", quality=quality, subsampling=0)


def picture_name(image_index: int, image_name: str) -> str:
    """Return the name of a picture without suffix: the index of its image, and a plain name.

    >>> picture_name(17, "cats/a b.png")
    '000017-a-b'
    """
    stem = PurePosixPath(image_name).stem
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[:60]
    return f"{image_index:06d}-{safe}" if safe else f"{image_index:06d}"


def _saved(image: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, **options)
    return stream.getvalue()
