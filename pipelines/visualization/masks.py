"""Masks, drawn half-transparent on a picture or as an image of instance numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.pipelines.visualization.canvas import Canvas, Pixels
from snellen.pipelines.visualization.palette import Colour

_ALPHA = 0.45
_BYTE_INSTANCES = 255


def decode_mask(counts: bytes | str, height: int, width: int) -> npt.NDArray[np.bool_]:
    """Decode a COCO compressed RLE to booleans of shape (height, width)."""
    from hotcoco import mask

    data = counts.encode() if isinstance(counts, str) else bytes(counts)
    decoded: Any = mask.decode({"size": [height, width], "counts": data})
    return np.asarray(decoded, dtype=np.bool_)


def instance_image(
    masks: Sequence[bytes | str], height: int, width: int
) -> npt.NDArray[np.uint8 | np.uint16]:
    """Number the instance of every pixel: 0 for none, else 1 + its index in ``predicted_boxes``.

    Boxes are sorted by falling confidence; where masks overlap, the more confident instance has
    the pixel.

    Args:
        masks: COCO compressed RLE at (height, width), parallel to the boxes.
        height, width: of the upright image.

    Returns:
        Shape (height, width); uint8, or uint16 for more than 255 instances.
    """
    kind = np.uint8 if len(masks) <= _BYTE_INSTANCES else np.uint16
    image: npt.NDArray[np.uint8 | np.uint16] = np.zeros((height, width), kind)
    for number in range(len(masks), 0, -1):
        image[decode_mask(masks[number - 1], height, width)] = number
    return image


class MaskPainter:
    """Lays masks over a picture; one mask is decoded at a time."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._pixels: Pixels = canvas.pixels()
        # Centres of the picture's pixels in the original: a mask is sampled, not resized.
        self._rows = _sampled(canvas.height, canvas.original[0])
        self._columns = _sampled(canvas.width, canvas.original[1])

    def add(self, counts: bytes | str, colour: Colour) -> None:
        """Fill a mask and draw its outline."""
        mask = decode_mask(counts, *self._canvas.original)[np.ix_(self._rows, self._columns)]
        rows, columns = (np.flatnonzero(np.any(mask, axis=axis)) for axis in (1, 0))
        if not len(rows):
            return
        part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        inside, pixels = mask[part], self._pixels[part]
        shade = np.array(colour, np.float32)
        pixels[inside] = (pixels[inside] * (1 - _ALPHA) + shade * _ALPHA).astype(np.uint8)
        pixels[inside & ~_eroded(inside, max(1, self._canvas.line // 2))] = colour

    def finish(self) -> None:
        """Put the painted pixels back into the picture."""
        from PIL import Image

        self._canvas.image.paste(Image.fromarray(self._pixels))


def _sampled(count: int, original: int) -> npt.NDArray[np.intp]:
    middles = (np.arange(count) + 0.5) * original / count
    return np.minimum(middles.astype(np.intp), original - 1)


def _eroded(mask: npt.NDArray[np.bool_], steps: int) -> npt.NDArray[np.bool_]:
    """Erode a mask by a number of pixels."""
    for _ in range(steps):
        padded = np.pad(mask, 1)
        mask = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask
