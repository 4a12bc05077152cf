"""Types of images that an adapter accepts, and their conversion to a DecodedImage."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.images.decode import MAX_BYTES, decode_image, decode_pil
from snellen.adapters.types import DecodedImage

ImageInput = str | PathLike[str] | bytes | npt.NDArray[np.uint8] | Image.Image | DecodedImage
"""A local path, the bytes of a file, uint8 RGB of shape (height, width, 3), a Pillow image, or
a decoded image."""


def as_decoded(image: ImageInput) -> DecodedImage:
    """Convert any accepted image to pixels by the one image rule.

    Raises:
        ImageError: stage ``read`` with NOT_FOUND or IO for a path; stage ``decode`` for content
            that cannot be used, such as an array of another shape or type.
    """
    if isinstance(image, DecodedImage):
        return image
    if isinstance(image, bytes):
        return decode_image(image)
    if isinstance(image, np.ndarray):
        return _from_array(image)
    if isinstance(image, Image.Image):
        return decode_pil(image)
    path = Path(image)
    return decode_image(_read(path), name=path.name)


def input_path(image: ImageInput) -> str:
    """Return the path of an image that was given as one, else an empty string."""
    return str(Path(image)) if isinstance(image, (str, PathLike)) else ""


def _read(path: Path) -> bytes:
    try:
        if not path.exists():
            raise ImageError(ErrorStage.READ, ErrorCode.NOT_FOUND, f"{path}: there is no such file")
        if not path.is_file():
            raise ImageError(ErrorStage.READ, ErrorCode.IO, f"{path}: is not a regular file")
        with path.open("rb") as file:
            # One byte more than allowed is enough to notice the limit.
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ImageError(
            ErrorStage.READ, ErrorCode.IO, f"{path}: cannot be read: {error}"
        ) from error


def _from_array(array: npt.NDArray[np.uint8]) -> DecodedImage:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise ImageError(
            ErrorStage.DECODE,
            ErrorCode.UNSUPPORTED,
            f"the array is {array.dtype} of shape {array.shape}. Expected uint8 of shape "
            "(height, width, 3), RGB.",
        )
    if array.shape[0] < 1 or array.shape[1] < 1:
        raise ImageError(
            ErrorStage.DECODE, ErrorCode.DIMENSION, f"the array has no pixels: {array.shape}"
        )
    return DecodedImage(pixels=np.ascontiguousarray(array))
