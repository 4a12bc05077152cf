"""JPEG decoding with libjpeg-turbo, without holding the GIL.

torchvision's decoder gives Pillow's pixels (CMYK included), 1.6 to 2.3 times as fast. It is
deprecated in favour of another package; if a later torchvision lacks it, callers decode with Pillow
and get the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

_RGB = 3  # torchvision.io.ImageReadMode.RGB

Decoder = Callable[[bytes], npt.NDArray[np.uint8]]


@lru_cache(maxsize=1)
def jpeg_decoder() -> Decoder | None:
    """Return the fast decoder, or None if this installation has none.

    The decoder takes the bytes of a JPEG file and returns uint8 RGB of shape (height, width, 3)
    with the EXIF orientation applied. It raises RuntimeError on truncated or corrupt data, and
    may be called from several threads at once.
    """
    try:
        import torch

        from snellen.adapters.runtime.torchvision_operators import jpeg_decoding

        decode_jpeg = jpeg_decoding()
    except ImportError:
        return None

    def decode(data: bytes) -> npt.NDArray[np.uint8]:
        # frombuffer warns about read-only memory, so the compressed bytes are copied once.
        source = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        pixels = decode_jpeg(source, _RGB, True)
        array: npt.NDArray[np.uint8] = pixels.permute(1, 2, 0).contiguous().numpy()
        return array

    return decode
