"""Boxes, masks and skeletons with their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from snellen.pipelines.visualization.canvas import Canvas
from snellen.pipelines.visualization.labels import Labeller, Rectangle
from snellen.pipelines.visualization.masks import MaskPainter
from snellen.pipelines.visualization.palette import class_colour
from snellen.pipelines.visualization.skeletons import draw_skeleton
from snellen.pipelines.visualization.text import printable


def draw_objects(canvas: Canvas, row: Mapping[str, Any], names: Sequence[str]) -> None:
    """Draw the predicted objects, the most confident one last, so that it lies on top.

    Args:
        canvas: a copy of the image.
        row: ``predicted_boxes`` by falling confidence, and ``predicted_masks`` and
            ``predicted_keypoints`` where there are any.
        names: class names in the order of the outputs; a class without one is ``#id``.
    """
    boxes = row["predicted_boxes"]
    masks, keypoints = row.get("predicted_masks"), row.get("predicted_keypoints")
    order = range(len(boxes) - 1, -1, -1)
    if masks:
        painter = MaskPainter(canvas)
        for number in order:
            painter.add(masks[number], class_colour(boxes[number]["class_id"]))
        painter.finish()
    corners = [rectangle_of(canvas, box) for box in boxes]
    for number in order:
        colour = class_colour(boxes[number]["class_id"])
        canvas.draw.rectangle(corners[number], outline=colour, width=canvas.line)
    if keypoints:
        for number in order:
            draw_skeleton(canvas, keypoints[number])
    labeller = Labeller(canvas)
    # The label of the most confident object chooses its place first.
    for box, place in zip(boxes, corners, strict=True):
        confidence = f"{box['confidence']:.2f}"
        labeller.put(name_of(box, names), confidence, place, class_colour(box["class_id"]))


def rectangle_of(canvas: Canvas, box: Mapping[str, Any]) -> Rectangle:
    """Return a box in the coordinates of the picture, inside of it."""
    x1, y1 = canvas.point(box["x1"], box["y1"])
    x2, y2 = canvas.point(box["x2"], box["y2"])
    # The far edge of a box at the image's edge is the last pixel, and no box is inside out.
    x2, y2 = min(x2, canvas.width - 1.0), min(y2, canvas.height - 1.0)
    return min(x1, x2), min(y1, y2), x2, y2


def name_of(box: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return the name of a box's class, or ``#id`` for a class without one."""
    class_id = int(box["class_id"])
    number = f"#{class_id}"
    return printable(names[class_id] if 0 <= class_id < len(names) else number, number)
