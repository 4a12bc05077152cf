"""Images in any form as files to send."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from snellen.adapters.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    ImageSource = str | os.PathLike[str] | bytes | npt.NDArray[np.uint8] | Image.Image


def file_of(image: ImageSource) -> tuple[str, bytes]:
    """Return a file name and the bytes to send; arrays and Pillow images become PNGs.

    Raises:
        InputError: IMAGE_NOT_FOUND.
    """
    if isinstance(image, bytes):
        return "image", image
    if isinstance(image, str | os.PathLike):
        path = Path(image)
        try:
            return path.name, path.read_bytes()
        except OSError as error:
            raise InputError(
                "IMAGE_NOT_FOUND",
                f"image: '{path}' cannot be read: {error.strerror or error}. Expected an image "
                "file.",
            ) from error
    from PIL import Image

    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return "image.png", stream.getvalue()
