"""Heat maps of explanations, laid over the part of an image that the model sees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from snellen.pipelines.visualization.canvas import Canvas, Pixels
from snellen.pipelines.visualization.lines import DOTTED, LinePen
from snellen.pipelines.visualization.palette import WHITE

_ALPHA = 0.68
"""Opacity of the hottest place; cold places show the image alone."""
_WIDTH = 256
_COLOURS = ((20, 11, 53), (101, 21, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
"""Colours from cold to hot, evenly spaced (matplotlib's inferno)."""


def draw_heat(
    canvas: Canvas,
    heat: npt.NDArray[np.float32],
    region: tuple[float, float, float, float],
) -> None:
    """Lay a heat map over an image, and draw the edge of its region where that is not the image's.

    Args:
        canvas: a copy of the image.
        heat: (h, w), from 0 to 1.
        region: x1, y1, x2, y2 in pixels of the original image that the map covers; nothing is drawn
            outside of it.
    """
    (x1, y1), (x2, y2) = canvas.point(*region[:2]), canvas.point(*region[2:])
    left, top, right, bottom = (round(value) for value in (x1, y1, x2, y2))
    size = (max(1, right - left), max(1, bottom - top))
    spread = Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    values = np.clip(np.asarray(spread), 0.0, 1.0)
    inside = (max(0, left), max(0, top), min(canvas.width, right), min(canvas.height, bottom))
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        return
    part = values[inside[1] - top : inside[3] - top, inside[0] - left : inside[2] - left]
    pixels = canvas.pixels()
    place = np.s_[inside[1] : inside[3], inside[0] : inside[2]]
    opacity = (part * _ALPHA)[..., None]
    mixed = pixels[place] * (1 - opacity) + _coloured(part) * opacity
    pixels[place] = mixed.round().astype(np.uint8)
    canvas.image.paste(Image.fromarray(pixels))
    if inside != (0, 0, canvas.width, canvas.height):
        pen = LinePen(canvas)
        edge = (inside[0], inside[1], inside[2] - 1, inside[3] - 1)
        pen.casing(edge)
        pen.broken(edge, WHITE, DOTTED, thin=True)


def heat_image(heat: npt.NDArray[np.float32]) -> Pixels:
    """Return a heat map as a picture with transparency: uint8, (h, w, 4), at least 256 wide.

    Args:
        heat: (h, w), from 0 to 1; it is also the opacity.
    """
    scale = -(-_WIDTH // heat.shape[1])
    size = (heat.shape[1] * scale, heat.shape[0] * scale)
    spread = Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    values = np.clip(np.asarray(spread), 0.0, 1.0)
    opacity = (255 * values)[..., None]
    return np.concatenate([_coloured(values), opacity], axis=-1).round().astype(np.uint8)


def _coloured(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the colour of each value: float64, (h, w, 3), from 0 to 255."""
    places = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(values, places, channel) for channel in zip(*_COLOURS, strict=True)]
    return np.stack(channels, axis=-1)
