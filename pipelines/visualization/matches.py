"""Ground truth against predictions: true positives, false positives and missed objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snellen.pipelines.visualization.canvas import Canvas
from snellen.pipelines.visualization.labels import Labeller, Rectangle
from snellen.pipelines.visualization.masks import MaskPainter
from snellen.pipelines.visualization.objects import name_of, rectangle_of
from snellen.pipelines.visualization.palette import Colour
from snellen.pipelines.visualization.skeletons import draw_skeleton

TRUE_POSITIVE: Colour = (30, 170, 90)
FALSE_POSITIVE: Colour = (220, 50, 60)
MISSED: Colour = (255, 170, 20)
IGNORED: Colour = (150, 154, 162)
_DASH = 4
"""Length of a dash and of a gap, in line widths."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """An object to draw: a prediction, or ground truth with a dashed line; named if labelled."""

    box: Mapping[str, Any]
    number: int
    is_true: bool
    colour: Colour
    name: str = ""
    confidence: str = ""


def draw_matches(canvas: Canvas, row: Mapping[str, Any], names: Sequence[str]) -> None:
    """Draw the objects of a test run's row, coloured by their match.

    True positives are green, with their ground truth dashed; false positives are red; missed
    objects are orange and dashed; ignored ones grey. Predictions below the operating point have no
    match and are not drawn.

    Args:
        canvas: a copy of the image.
        row: ``matches``, ``true_boxes`` and ``predicted_boxes``, and their masks and keypoints
            where there are any.
        names: class names in the order of the class ids.
    """
    # True positives lie on top.
    objects = sorted(_objects(row, names), key=lambda one: one.colour == TRUE_POSITIVE)
    _draw_masks(canvas, row, objects)
    for one in objects:
        place = rectangle_of(canvas, one.box)
        if one.is_true:
            _dashed(canvas, place, one.colour)
        else:
            canvas.draw.rectangle(place, outline=one.colour, width=canvas.line)
    _draw_skeletons(canvas, row, objects)
    labeller = Labeller(canvas)
    for one in objects:
        if one.name:
            place = rectangle_of(canvas, one.box)
            labeller.put(one.name, one.confidence, place, one.colour)


def _objects(row: Mapping[str, Any], names: Sequence[str]) -> Iterator[_Drawn]:
    true, predicted = row.get("true_boxes") or [], row.get("predicted_boxes") or []
    for match in row.get("matches") or []:
        kind, of_truth, of_model = match["kind"], match["true_index"], match["predicted_index"]
        colour = {"TP": TRUE_POSITIVE, "FP": FALSE_POSITIVE, "FN": MISSED}.get(kind, IGNORED)
        if of_truth is not None:
            box = true[of_truth]
            name = f"missed {name_of(box, names)}" if kind == "FN" else ""
            yield _Drawn(box, of_truth, True, colour, name)
        if of_model is not None:
            box = predicted[of_model]
            confidence = f"{box['confidence']:.2f}"
            yield _Drawn(box, of_model, False, colour, name_of(box, names), confidence)


def _draw_masks(canvas: Canvas, row: Mapping[str, Any], objects: Sequence[_Drawn]) -> None:
    masks = {True: row.get("true_masks"), False: row.get("predicted_masks")}
    if not any(masks.values()):
        return
    painter = MaskPainter(canvas)
    for one in objects:
        found = masks[one.is_true]
        # The ground truth of a true positive would hide the prediction on it.
        if found and not (one.is_true and not one.name):
            painter.add(found[one.number], one.colour)
    painter.finish()


def _draw_skeletons(canvas: Canvas, row: Mapping[str, Any], objects: Sequence[_Drawn]) -> None:
    found = row.get("predicted_keypoints")
    for one in objects:
        if found and not one.is_true:
            draw_skeleton(canvas, found[one.number])


def _dashed(canvas: Canvas, place: Rectangle, colour: Colour) -> None:
    x1, y1, x2, y2 = place
    pen, dash = canvas.draw, float(_DASH * canvas.line)
    for start, stop, line in (
        (x1, x2, lambda a, b: ((a, y1), (b, y1))),
        (x1, x2, lambda a, b: ((a, y2), (b, y2))),
        (y1, y2, lambda a, b: ((x1, a), (x1, b))),
        (y1, y2, lambda a, b: ((x2, a), (x2, b))),
    ):
        at = start
        while at <= stop:
            pen.line(line(at, min(at + dash, stop)), fill=colour, width=canvas.line)
            at += 2 * dash
