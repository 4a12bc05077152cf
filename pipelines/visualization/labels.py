"""Labels with a class and a confidence, placed where they overlap least."""

from __future__ import annotations

from snellen.pipelines.visualization.canvas import Canvas
from snellen.pipelines.visualization.palette import Colour, text_colour
from snellen.pipelines.visualization.text import shortened

Rectangle = tuple[float, float, float, float]
"""x1, y1, x2, y2 in the picture."""


class Labeller:
    """Draws labels of boxes on one picture and avoids overlaps between them."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._draw = canvas.draw
        self._taken: list[Rectangle] = []
        ascent, descent = canvas.font.getmetrics()
        self._pad = max(3, round((ascent + descent) * 0.22))
        self._height = ascent + descent + self._pad

    def put(self, name: str, number: str, box: Rectangle, colour: Colour) -> Rectangle:
        """Draw a label beside a box, completely inside of the picture, and return its rectangle.

        Args:
            name: shortened where it is wider than the box and half of the picture.
            number: follows the name, never shortened.
            box: the labelled box.
            colour: background of the label.
        """
        canvas = self._canvas
        most = max(canvas.image.width * 0.5, box[2] - box[0])
        most = min(most, canvas.image.width - 1.0) - 2 * self._pad
        room = most - canvas.font.getlength(f" {number}")
        text = f"{shortened(name, canvas.font, room)} {number}".strip()
        width = canvas.font.getlength(text) + 2 * self._pad
        place = self._place(box, width)
        self._taken.append(place)
        radius = max(2, self._pad - 1)
        self._draw.rounded_rectangle(place, radius=radius, fill=colour)
        middle = (place[1] + place[3]) / 2
        self._draw.text(
            (place[0] + self._pad, middle),
            text,
            font=canvas.font,
            fill=text_colour(colour),
            anchor="lm",
        )
        return place

    def _place(self, box: Rectangle, width: float) -> Rectangle:
        """Choose above the box, inside its top, below it, or at its right, by the least overlap."""
        x1, y1, x2, y2 = box
        half = self._canvas.line / 2
        corners = (
            (x1 - half, y1 - self._height + half),
            (x1 - half, y1 - half),
            (x1 - half, y2 - half),
            (x2 - width + half, y1 - self._height + half),
            (x1 - half, y2 - self._height + half),
        )
        places = [self._inside(x, y, width) for x, y in corners]
        return min(places, key=self._overlap)

    def _inside(self, x: float, y: float, width: float) -> Rectangle:
        image = self._canvas.image
        x = min(max(x, 0.0), max(0.0, image.width - 1 - width))
        y = min(max(y, 0.0), max(0.0, image.height - 1 - self._height))
        return x, y, x + width, y + self._height

    def _overlap(self, place: Rectangle) -> float:
        return sum(_common(place, other) for other in self._taken)


def _common(one: Rectangle, other: Rectangle) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, across) * max(0.0, down)
