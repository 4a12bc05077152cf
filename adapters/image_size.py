"""The size of an image from its header alone, for labels that are relative to it."""

from __future__ import annotations

from pathlib import Path

from adapters.image_formats import FORMATS, sniff_format
from adapters.types import ErrorCode, ErrorStage, ImageError

_ORIENTATION_TAG = 0x0112
_SIDEWAYS = {5, 6, 7, 8}


def upright_size(path: str | Path) -> tuple[int, int]:
    """Width and height in pixels, EXIF orientation applied; no pixel is decoded.

    Raises:
        ImageError: IO, EMPTY or UNSUPPORTED, where the header cannot be read.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(32)
            kind = sniff_format(head)
            if kind is None:
                code = ErrorCode.UNSUPPORTED if head else ErrorCode.EMPTY
                raise ImageError(ErrorStage.DECODE, code, "the file is no image that is read")
            file.seek(0)
            with FORMATS[kind](file) as image:
                width, height = image.size
                orientation = _orientation(image)
    except ImageError:
        raise
    except OSError as error:
        raise ImageError(ErrorStage.READ, ErrorCode.IO, str(error)) from None
    except Exception as error:  # whatever a broken header makes its parser raise
        raise ImageError(ErrorStage.DECODE, ErrorCode.TRUNCATED, str(error)) from None
    return (height, width) if orientation in _SIDEWAYS else (width, height)


def _orientation(image: object) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))  # type: ignore[attr-defined]
    except Exception:  # as for decoding: a broken block of metadata is ignored
        return 1
