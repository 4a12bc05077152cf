"""A copy of an image at a size on which lines and labels can be seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from snellen.pipelines.visualization.text import Font, font_of

Pixels = npt.NDArray[np.uint8]
MAX_SIDE = 1600
"""Longest side of a picture, pixels; larger images are drawn on a smaller copy."""
MIN_SIDE = 320
"""Images with a smaller longest side are enlarged, so that labels are legible."""
_MIN_SIZE = (160, 96)
"""Minimum width and height of a picture; smaller images get a margin."""
_MARGIN = (38, 40, 45)
_PIXELATED = 64
"""Images up to this longest side are enlarged by whole pixels, as the model sees them."""


@dataclass(slots=True)
class Canvas:
    """A picture to draw on.

    Attributes:
        image: RGB.
        scale_x, scale_y: pixels of the picture for one of the original.
        width, height: of the image inside of the picture; the rest is margin.
        original: height and width of the original image, pixels.
        line: width of lines, pixels.
        font: for labels.
    """

    image: Image.Image
    scale_x: float
    scale_y: float
    width: int
    height: int
    original: tuple[int, int]
    line: int
    font: Font

    @property
    def draw(self) -> ImageDraw.ImageDraw:
        """A drawing context of the picture."""
        return ImageDraw.Draw(self.image)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Convert a point of the original image to the picture."""
        return x * self.scale_x, y * self.scale_y

    def pixels(self) -> Pixels:
        """Return the picture as uint8, shape (height, width, 3)."""
        return np.array(self.image, dtype=np.uint8)


def canvas_of(pixels: Pixels, max_side: int = MAX_SIDE) -> Canvas:
    """Copy an image at a useful size.

    Args:
        pixels: uint8, shape (H, W, 3), RGB; not changed.
        max_side: longest side of the copy, pixels.

    Raises:
        ValueError: pixels of another shape or type.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(
            f"pixels are {pixels.dtype} of shape {pixels.shape}. Expected uint8 of (H, W, 3)."
        )
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels)
    size = _fitting(width, height, max_side)
    if size != (width, height):
        image = image.resize(size, _resampling(max(width, height), max(size)))
    room = (max(size[0], _MIN_SIZE[0]), max(size[1], _MIN_SIZE[1]))
    if room != size:
        wider = Image.new("RGB", room, _MARGIN)
        wider.paste(image)
        image = wider
    mean = (size[0] + size[1]) / 2
    return Canvas(
        image=image,
        scale_x=size[0] / width,
        scale_y=size[1] / height,
        width=size[0],
        height=size[1],
        original=(height, width),
        line=max(2, round(mean * 0.0032)),
        font=font_of(min(30, max(12, round(7 + mean * 0.013)))),
    )


def _fitting(width: int, height: int, max_side: int) -> tuple[int, int]:
    longest = max(width, height)
    if longest > max_side:
        factor = max_side / longest
    elif longest < MIN_SIDE <= max_side:
        factor = float(math.ceil(MIN_SIDE / longest))
    else:
        return width, height
    return max(1, round(width * factor)), max(1, round(height * factor))


def _resampling(before: int, after: int) -> Image.Resampling:
    if after < before:
        return Image.Resampling.BOX
    return Image.Resampling.NEAREST if before <= _PIXELATED else Image.Resampling.BICUBIC
