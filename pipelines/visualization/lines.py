"""Outlines of boxes: solid, dashed or dotted, on a dark casing that shows them on any image."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import ImageDraw

from snellen.pipelines.visualization.canvas import Canvas
from snellen.pipelines.visualization.labels import Rectangle
from snellen.pipelines.visualization.palette import Colour

DASHED = (4.0, 3.0)
DOTTED = (1.0, 2.0)
"""Length of a stroke and of the gap after it, in line widths."""
_CASING = (8, 10, 13, 158)
"""Red, green, blue and opacity of the darker line below every line."""
_CORNER = 8
"""Side of the corner of a false positive, in line widths; at most a third of its box."""


class LinePen:
    """Draws outlines on one picture."""

    def __init__(self, canvas: Canvas) -> None:
        self._line = canvas.line
        self._pen = ImageDraw.Draw(canvas.image, "RGBA")

    def casing(self, place: Rectangle) -> None:
        """Darken the place of an outline, one pixel wider on both sides."""
        x1, y1, x2, y2 = place
        wider = (x1 - 1, y1 - 1, x2 + 1, y2 + 1)
        self._pen.rectangle(wider, outline=_CASING, width=self._line + 2)

    def solid(self, place: Rectangle, colour: Colour) -> None:
        """Draw a solid outline."""
        self._pen.rectangle(place, outline=colour, width=self._line)

    def corner(self, place: Rectangle, colour: Colour) -> None:
        """Fill the top right corner of an outline."""
        x1, y1, x2, y2 = place
        side = min(float(_CORNER * self._line), (x2 - x1) / 3, (y2 - y1) / 3)
        self._pen.polygon([(x2 - side, y1), (x2, y1), (x2, y1 + side)], fill=colour)

    def broken(
        self,
        place: Rectangle,
        colour: Colour,
        pattern: tuple[float, float],
        *,
        thin: bool = False,
    ) -> None:
        """Draw an outline of strokes and gaps; each side starts with a stroke."""
        x1, y1, x2, y2 = place
        width = max(1, self._line // 2) if thin else self._line
        stroke, gap = (length * self._line for length in pattern)
        for left, right in _strokes(x1, x2, stroke, gap):
            for y in (y1, y2 - width + 1):
                self._pen.rectangle((left, y, right, y + width - 1), fill=colour)
        for top, bottom in _strokes(y1, y2, stroke, gap):
            for x in (x1, x2 - width + 1):
                self._pen.rectangle((x, top, x + width - 1, bottom), fill=colour)


def _strokes(start: float, stop: float, stroke: float, gap: float) -> Iterator[tuple[float, float]]:
    while start <= stop:
        yield start, min(start + stroke - 1, stop)
        start += stroke + gap
