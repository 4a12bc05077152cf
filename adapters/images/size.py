"""Image sizes from headers alone, for labels that are relative to the size."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.images.failures import classify, decode_error
from snellen.adapters.images.formats import (
    FORMATS,
    HEADER_BYTES,
    sniff_format,
    unsupported_message,
)
from snellen.adapters.images.png_chunks import without_text

_ORIENTATION_TAG = 0x0112
_SIDEWAYS = frozenset({5, 6, 7, 8})
_PNG_EXIF = {"exif", "Raw profile type exif"}


@dataclass(frozen=True, slots=True)
class HeaderSize:
    """The size that the header of an image states.

    Attributes:
        stored: width and height of the stored pixels.
        orientation: EXIF orientation, 1 (as stored) to 8.
    """

    stored: tuple[int, int]
    orientation: int

    @property
    def is_sideways(self) -> bool:
        """True if the orientation swaps width and height."""
        return self.orientation in _SIDEWAYS

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height with the orientation applied."""
        width, height = self.stored
        return (height, width) if self.is_sideways else self.stored


def upright_size(source: str | Path | BinaryIO) -> tuple[int, int]:
    """Return width and height in pixels, EXIF orientation applied; see `header_size`."""
    return header_size(source).upright


def header_size(source: str | Path | BinaryIO) -> HeaderSize:
    """Read the size and the orientation of an image; no pixel is decoded.

    Args:
        source: a path, or an open file, which is closed.

    Raises:
        ImageError: IO, EMPTY, UNSUPPORTED, TRUNCATED or CORRUPT: the header cannot be read.
    """
    data, kind = b"", None
    try:
        with open(source, "rb") if isinstance(source, str | Path) else source as file:
            head = file.read(HEADER_BYTES)
            kind = sniff_format(head)
            if kind not in FORMATS:
                if not head:
                    raise decode_error(ErrorCode.EMPTY, "the file has 0 bytes")
                raise decode_error(ErrorCode.UNSUPPORTED, unsupported_message(head))
            try:
                return _measure(file, kind)
            except Exception:
                file.seek(0)
                data = file.read()
                if kind != "PNG":
                    raise
                return _measure(io.BytesIO(without_text(data)), kind)
    except ImageError:
        raise
    except Exception as error:  # a parser may raise anything on a broken header
        if kind is None or (isinstance(error, OSError) and error.errno is not None):
            raise ImageError(ErrorStage.READ, ErrorCode.IO, str(error)) from None
        raise classify(error, data, kind, "image") from None


def _measure(file: BinaryIO, kind: str) -> HeaderSize:
    file.seek(0)
    with FORMATS[kind](file) as image:
        width, height = image.size
        if kind == "PNG" and not _PNG_EXIF & set(image.info):
            return HeaderSize((width, height), _late_orientation(file))
        found = HeaderSize((width, height), _orientation(image.getexif))
        if kind == "TIFF" and found.is_sideways:
            # Pillow's reader has turned width and height already.
            return HeaderSize((height, width), found.orientation)
        return found


def _orientation(read: Callable[[], Image.Exif]) -> int:
    try:
        return int(read().get(_ORIENTATION_TAG, 1))
    except Exception:  # as for decoding: a broken block of metadata is ignored
        return 1


def _late_orientation(file: BinaryIO) -> int:
    """Read the orientation from EXIF after a PNG's pixels, without decoding the pixels."""

    def read() -> Image.Exif:
        found = Image.Exif()
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                found.load(file.read(length))
                break
            file.seek(length + 4, 1)
        return found

    return _orientation(read)
