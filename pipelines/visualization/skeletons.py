"""Keypoints: points with COCO's limbs for people of 17 points, points alone otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from snellen.pipelines.visualization.canvas import Canvas
from snellen.pipelines.visualization.palette import WHITE, Colour, class_colour

_HEAD: Colour = (255, 214, 10)
_TRUNK: Colour = (236, 64, 190)
_LEFT: Colour = (38, 210, 110)
_RIGHT: Colour = (255, 138, 30)
PERSON_POINTS = 17
_LIMBS: tuple[tuple[int, int, Colour], ...] = (
    *((a, b, _HEAD) for a, b in ((0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6))),
    *((a, b, _TRUNK) for a, b in ((5, 6), (5, 11), (6, 12), (11, 12))),
    *((a, b, _LEFT) for a, b in ((5, 7), (7, 9), (11, 13), (13, 15))),
    *((a, b, _RIGHT) for a, b in ((6, 8), (8, 10), (12, 14), (14, 16))),
)
"""COCO's 17 points: nose, then left and right of eyes, ears, shoulders, elbows, wrists, hips,
knees, ankles."""
PERSON_LIMBS = tuple((a, b) for a, b, _ in _LIMBS)
"""Pairs of points that a limb connects."""
VISIBLE = 0.25
"""Minimum confidence of a point that is drawn."""
_FINER = 3
"""Limbs are drawn at this multiple of their size and reduced, which smooths them."""


def _colour_of(number: int, count: int) -> Colour:
    if count != PERSON_POINTS:
        return class_colour(number)
    if number < 5:
        return _HEAD
    return _LEFT if number % 2 else _RIGHT


def draw_skeleton(canvas: Canvas, keypoints: Sequence[Mapping[str, float]]) -> None:
    """Draw the points of one instance and the limbs between visible points.

    Args:
        keypoints: ``x, y`` in pixels of the original, ``v`` a confidence.
    """
    seen = {
        number: canvas.point(point["x"], point["y"])
        for number, point in enumerate(keypoints)
        if point["v"] >= VISIBLE
    }
    if not seen:
        return
    radius = max(2.5, canvas.line * 1.1)
    # Only the part with the skeleton is enlarged.
    margin = radius + canvas.line + 1
    left = int(max(0, min(x for x, _ in seen.values()) - margin))
    top = int(max(0, min(y for _, y in seen.values()) - margin))
    right = int(min(canvas.image.width, max(x for x, _ in seen.values()) + margin + 1))
    bottom = int(min(canvas.image.height, max(y for _, y in seen.values()) + margin + 1))
    if right <= left or bottom <= top:
        return
    layer = Image.new("RGBA", ((right - left) * _FINER, (bottom - top) * _FINER))
    points = {n: ((x - left) * _FINER, (y - top) * _FINER) for n, (x, y) in seen.items()}
    _draw(ImageDraw.Draw(layer), points, len(keypoints), canvas.line * _FINER, radius * _FINER)
    smooth = layer.resize((right - left, bottom - top), Image.Resampling.BOX)
    canvas.image.paste(smooth, (left, top), smooth)


def _draw(
    pen: ImageDraw.ImageDraw,
    points: Mapping[int, tuple[float, float]],
    count: int,
    line: int,
    radius: float,
) -> None:
    if count == PERSON_POINTS:
        for one, other, colour in _LIMBS:
            if one in points and other in points:
                pen.line([points[one], points[other]], fill=colour, width=line)
    for number, (x, y) in points.items():
        ring = radius + line / 4
        pen.ellipse((x - ring, y - ring, x + ring, y + ring), fill=WHITE)
        pen.ellipse(
            (x - radius, y - radius, x + radius, y + radius), fill=_colour_of(number, count)
        )
