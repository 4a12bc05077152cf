"""Signatures of images: the hash of the bytes, a perceptual hash, and a small picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from snellen.adapters.errors import ImageError
from snellen.adapters.plugins import missing_library
from snellen.analysis.hygiene.image_set import SetImage
from snellen.pipelines.data.image_reader import content_hash
from snellen.pipelines.progress import Reporter

THUMBNAIL = 16
"""Side of the small picture, pixels."""
_TOGETHER = 256


@dataclass(frozen=True, eq=False)
class Signature:
    """The signature of one image.

    Attributes:
        content: sha256 of the bytes.
        perceptual: 64 bits of the perceptual hash; None if only exact copies are searched.
        thumbnail: float32, (16, 16, 3), RGB from 0 to 255; None likewise.
    """

    content: str
    perceptual: int | None = None
    thumbnail: npt.NDArray[np.float32] | None = None


def signatures(
    images: Sequence[SetImage], reporter: Reporter, *, exact: bool, threads: int = 4
) -> Iterator[Signature | ImageError]:
    """Read images and yield their signatures in order; an error for an unreadable image.

    Args:
        images: of one set.
        reporter: receives the number of images.
        exact: compute the hash of the bytes alone.
        threads: number of images that are read at the same time.

    Raises:
        ConfigError: LIBRARY_MISSING, without imagehash, unless ``exact``.
    """
    if not exact:
        _imagehash()
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(images), _TOGETHER):
            reporter.status(f"Reading images: {start:,} of {len(images):,}")
            part = images[start : start + _TOGETHER]
            yield from pool.map(lambda image: _signature(image, exact=exact), part)


def _signature(image: SetImage, *, exact: bool) -> Signature | ImageError:
    try:
        data = image.read()
        if exact:
            return Signature(content_hash(data))
        pixels = image.access.decode(data).pixels
    except ImageError as error:
        return error
    picture = Image.fromarray(pixels)
    bits = np.asarray(_imagehash().phash(picture).hash, dtype=np.bool_).ravel()
    small = picture.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    number = int.from_bytes(np.packbits(bits).tobytes())
    return Signature(content_hash(data), number, np.asarray(small, dtype=np.float32))


def _imagehash() -> Any:
    """Import the library of perceptual hashes, which has no types."""
    try:
        return import_module("imagehash")
    except ModuleNotFoundError as error:
        raise missing_library("near duplicates", "imagehash", "LIBRARY_MISSING") from error
