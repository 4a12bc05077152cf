"""Ground truth against predictions: true positives, false positives and missed objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snellen.pipelines.visualization.canvas import Canvas
from snellen.pipelines.visualization.labels import Labeller, Rectangle
from snellen.pipelines.visualization.lines import DASHED, DOTTED, LinePen
from snellen.pipelines.visualization.masks import MaskPainter
from snellen.pipelines.visualization.objects import name_of, rectangle_of
from snellen.pipelines.visualization.palette import Colour
from snellen.pipelines.visualization.skeletons import draw_skeleton

TRUE_POSITIVE: Colour = (92, 240, 212)
FALSE_POSITIVE: Colour = (255, 122, 20)
MISSED: Colour = (192, 125, 255)
IGNORED: Colour = (211, 215, 220)
"""Colours that colour-blind readers can tell apart; each kind has its own line, too."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """An object to draw: a prediction, or ground truth; named if it has a label."""

    box: Mapping[str, Any]
    number: int
    is_true: bool
    kind: str
    name: str = ""
    confidence: str = ""

    @property
    def colour(self) -> Colour:
        return _COLOURS.get(self.kind, IGNORED)

    @property
    def area(self) -> float:
        box = self.box
        return float((box["x2"] - box["x1"]) * (box["y2"] - box["y1"]))


_COLOURS: dict[str, Colour] = {"TP": TRUE_POSITIVE, "FP": FALSE_POSITIVE, "FN": MISSED}


def draw_matches(canvas: Canvas, row: Mapping[str, Any], names: Sequence[str]) -> None:
    """Draw the objects of a test run's row, each kind of match with its own line and colour.

    True positives are solid, with their ground truth thin and dashed; false positives are solid
    with a filled corner; missed objects are dashed, ignored ones dotted. Predictions below the
    operating point have no match and are not drawn.

    Args:
        canvas: a copy of the image.
        row: ``matches``, ``true_boxes`` and ``predicted_boxes``, and their masks and keypoints
            where there are any.
        names: class names in the order of the class ids.
    """
    # Ignored objects lie below the others, and large ones below small ones.
    objects = sorted(_objects(row, names), key=lambda one: (one.kind in _COLOURS, -one.area))
    _draw_masks(canvas, row, objects)
    pen = LinePen(canvas)
    for one in objects:
        pen.casing(rectangle_of(canvas, one.box))
    for one in sorted(objects, key=lambda one: not one.is_true):
        _draw_box(pen, rectangle_of(canvas, one.box), one)
    _draw_skeletons(canvas, row, objects)
    labeller = Labeller(canvas)
    for one in objects:
        if one.name:
            place = rectangle_of(canvas, one.box)
            labeller.put(one.name, one.confidence, place, one.colour)


def _draw_box(pen: LinePen, place: Rectangle, one: _Drawn) -> None:
    if one.kind not in _COLOURS:
        pen.broken(place, one.colour, DOTTED)
    elif one.is_true:
        pen.broken(place, one.colour, DASHED, thin=one.kind == "TP")
    else:
        pen.solid(place, one.colour)
        if one.kind == "FP":
            pen.corner(place, one.colour)


def _objects(row: Mapping[str, Any], names: Sequence[str]) -> Iterator[_Drawn]:
    true, predicted = row.get("true_boxes") or [], row.get("predicted_boxes") or []
    for match in row.get("matches") or []:
        kind, of_truth, of_model = match["kind"], match["true_index"], match["predicted_index"]
        if of_truth is not None:
            box = true[of_truth]
            name = f"missed {name_of(box, names)}" if kind == "FN" else ""
            yield _Drawn(box, of_truth, True, kind, name)
        if of_model is not None:
            box = predicted[of_model]
            confidence = f"{box['confidence']:.2f}"
            yield _Drawn(box, of_model, False, kind, name_of(box, names), confidence)


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
