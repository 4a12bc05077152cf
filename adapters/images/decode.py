"""The one image rule: conversion of the bytes of a file to the pixels that every model sees.

Batch runs, single calls and HTTP all decode here, so they cannot disagree.

- The content decides the format, never the extension. JPEG (MPO, too), PNG, WebP, BMP, GIF, TIFF,
  AVIF and JPEG 2000 are read; other formats are rejected, since rarely used decoders have most
  vulnerabilities.
- Limits on bytes and pixels are checked before decoding.
- EXIF orientation is applied. On plain upright RGB images the pixels equal Pillow's
  ``convert("RGB")``.
- Alpha (also palettes and colour keys with transparency) is composited on ``BACKGROUND``.
- 16-bit grey is scaled by ``>> 8`` (Pillow's ``convert`` would clip it to white). 32-bit integer
  and float pixels have no agreed white and are rejected.
- CMYK is converted by Pillow's formula, R = 255 - min(255, C + K) and so on, without colour
  profiles; ICC profiles are ignored in every format.
- The first of several frames is decoded, and their number is recorded.
"""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, JpegImagePlugin

from snellen.adapters.errors import ErrorCode, ImageError
from snellen.adapters.images.failures import classify, classify_pil, decode_error
from snellen.adapters.images.formats import (
    CORRUPT_EXIF,
    FORMATS,
    HEADER_BYTES,
    extension_warnings,
    metadata_warnings,
    sniff_format,
    unsupported_message,
)
from snellen.adapters.images.jpeg import jpeg_decoder
from snellen.adapters.images.png_chunks import METADATA_IGNORED, without_text
from snellen.adapters.types import DecodedImage

MAX_PIXELS = 64_000_000
MAX_BYTES = 20 * 2**20
"""Larger files are rejected before they are read."""
BACKGROUND = (255, 255, 255)
"""White: transparent logos, scans and diagrams were drawn on a page."""

_PREVIEW = 1.5
"""Side at which a preview is at least decoded, as a multiple of its own."""
_ORIENTATION_TAG = 0x0112
_MP_COUNT = 0xB001
_TRANSPOSITIONS: dict[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(
    data: bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    name: str = "",
    preview: int | None = None,
) -> DecodedImage:
    """Decode the bytes of an image file by the one image rule.

    Args:
        data: the whole file.
        max_pixels: largest width * height; compared with the header before decoding.
        max_bytes: largest file.
        name: of the file, for the warning about a wrong extension and for messages.
        preview: maximum side in pixels of a picture for people, never for a model: a JPEG may be
            decoded at a half, a quarter or an eighth of its size, still larger than that. None
            for the exact pixels.

    Returns:
        uint8 RGB of shape (height, width, 3), upright, C-contiguous.

    Raises:
        ImageError: stage ``decode`` with EMPTY, BYTE_LIMIT, UNSUPPORTED, TRUNCATED, CORRUPT,
            DIMENSION (no pixels) or PIXEL_LIMIT. Nothing else is raised for any bytes.
    """
    what = name or "image"
    _check_bytes(data, max_bytes, what)
    kind = sniff_format(data[:HEADER_BYTES])
    if kind not in FORMATS:
        message = unsupported_message(data[:HEADER_BYTES])
        raise decode_error(ErrorCode.UNSUPPORTED, f"{what}: {message}")
    warnings = extension_warnings(name, kind)
    try:
        return _decode(data, kind, (max_pixels, preview), what, warnings)
    except ImageError:
        raise
    except Exception as error:  # decoders raise many types for unexpected bytes
        if kind == "PNG" and (smaller := without_text(data)) != data:
            shorter = decode_image(smaller, max_pixels=max_pixels, max_bytes=max_bytes, name=name)
            shorter.warnings.append(METADATA_IGNORED)
            return shorter
        raise classify(error, data, kind, what) from error


def decode_pil(image: Image.Image, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Convert a Pillow image by the same rule (orientation, alpha, 16 bit, CMYK).

    Raises:
        ImageError: stage ``decode``, as for ``decode_image``.
    """
    try:
        _check_size(image.size, max_pixels, "image")
        return _from_pil(image, [])
    except ImageError:
        raise
    except Exception as error:
        raise classify_pil(error) from error


def _check_bytes(data: bytes, max_bytes: int, what: str) -> None:
    if not data:
        raise decode_error(ErrorCode.EMPTY, f"{what}: the file is empty (0 bytes)")
    if len(data) > max_bytes:
        raise decode_error(
            ErrorCode.BYTE_LIMIT,
            f"{what}: {len(data)} bytes, more than the limit of {max_bytes}",
        )


def _check_size(size: tuple[int, int], max_pixels: int, what: str) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise decode_error(ErrorCode.DIMENSION, f"{what}: has no pixels ({width} x {height})")
    if width * height > max_pixels:
        raise decode_error(
            ErrorCode.PIXEL_LIMIT,
            f"{what}: {width} x {height} is {width * height} pixels, more than the limit of "
            f"{max_pixels}",
        )


def _decode(
    data: bytes, kind: str, limits: tuple[int, int | None], what: str, warnings: list[str]
) -> DecodedImage:
    max_pixels, preview = limits
    # Pillow keeps this switch process-wide and other libraries turn it on: a truncated image would
    # then be scored with grey pixels.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    if kind == "PNG" and len(data) >= 24:
        # Pillow does not recognise a PNG without pixels as a PNG.
        width, height = struct.unpack(">II", data[16:24])
        _check_size((width, height), max_pixels, what)
    with FORMATS[kind](io.BytesIO(data)) as opened:
        _check_size(opened.size, max_pixels, what)
        warnings += metadata_warnings(opened)
        is_draft = kind == "JPEG" and preview is not None and _draft(opened, preview)
        fast = jpeg_decoder() if kind == "JPEG" and not is_draft else None
        if fast is None:
            return _from_pil(opened, warnings)
        return DecodedImage(pixels=fast(data), n_frames=_pictures(opened), warnings=warnings)


def _draft(image: Image.Image, side: int) -> bool:
    """Prepare a JPEG that is much larger than a preview; return False for any other."""
    scale = _PREVIEW * side / max(image.size)
    if scale > 0.5:
        return False
    width, height = (max(1, round(length * scale)) for length in image.size)
    image.draft(None, (width, height))
    return True


def _pictures(image: Image.Image) -> int:
    """Return the number of pictures of an MPO file, and 1 for any other JPEG."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return 1
    try:
        index = image._getmp()
        return 1 if index is None else max(1, int(index[_MP_COUNT]))
    except Exception:  # a broken index costs the count, not the image
        return 1


def _from_pil(image: Image.Image, warnings: list[str]) -> DecodedImage:
    n_frames, warnings = _count_frames(image, warnings)
    image.load()
    # After load: TIFF turns itself upright there, and a PNG's EXIF may follow its pixels.
    try:
        orientation = int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # as above
        orientation = 1
        if CORRUPT_EXIF not in warnings:
            warnings = [*warnings, CORRUPT_EXIF]
    rgb = _to_rgb(image)
    if orientation in _TRANSPOSITIONS:
        rgb = rgb.transpose(_TRANSPOSITIONS[orientation])
    return DecodedImage(pixels=_as_array(rgb), n_frames=n_frames, warnings=warnings)


def _count_frames(image: Image.Image, warnings: list[str]) -> tuple[int, list[str]]:
    """Return the number of frames; damage after the first costs the count, not the image."""
    try:
        return int(getattr(image, "n_frames", _pictures(image))), warnings
    except Exception:  # as above
        image.seek(0)
        return 1, [*warnings, "frames after the first cannot be read"]


def _as_array(image: Image.Image) -> npt.NDArray[np.uint8]:
    return np.array(image, dtype=np.uint8)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        wide: npt.NDArray[Any] = np.asarray(image)
        return Image.fromarray((wide >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise decode_error(
            ErrorCode.UNSUPPORTED,
            f"pixels of 32-bit {'integers' if image.mode == 'I' else 'floats'} have no agreed "
            "white. Expected 8 or 16 bits; convert the image.",
        )
    if image.has_transparency_data:
        # Alpha over an opaque colour, with Pillow's rounding.
        ground = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")
