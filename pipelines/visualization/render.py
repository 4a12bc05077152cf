"""Draw a result, or a stored result row, on a copy of its image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from snellen.adapters.types import ImageStatus, InferenceResult
from snellen.pipelines.visualization.canvas import MAX_SIDE, Canvas, Pixels, canvas_of
from snellen.pipelines.visualization.labels import Labeller, Rectangle
from snellen.pipelines.visualization.masks import MaskPainter
from snellen.pipelines.visualization.palette import class_colour
from snellen.pipelines.visualization.skeletons import draw_skeleton
from snellen.pipelines.visualization.text import printable
from snellen.pipelines.visualization.top5 import draw_bars, draw_failure

_COLUMNS = ("top5_predictions", "predicted_boxes", "predicted_masks", "predicted_keypoints")


def draw_result(
    pixels: Pixels,
    result: InferenceResult,
    class_names: Sequence[str] | None = None,
    *,
    max_side: int = MAX_SIDE,
) -> Pixels:
    """Draw what a model found: boxes, masks, skeletons, or the five surest classes.

    Args:
        pixels: uint8, shape (H, W, 3), RGB, the upright original image; not changed.
        result: of this image; a failed one gives its reason on a darkened image.
        class_names: in the order of the outputs; a box of a class without one is ``#id``.
        max_side: larger images are drawn on a smaller copy, pixels.

    Returns:
        uint8, shape (h, w, 3). That is (H, W, 3) for images of 320 pixels to ``max_side`` with
        boxes; smaller ones are enlarged, and bars stand in a band below the image.

    Raises:
        ValueError: pixels of another shape or type.
    """
    row = {name: getattr(result, name) for name in _COLUMNS}
    failed = result.status is ImageStatus.FAILED
    row |= {
        "status": "failed" if failed else "ok",
        "error_code": result.error_code,
        "error_message": result.error_message,
    }
    return draw_row(pixels, row, class_names, max_side=max_side)


def draw_row(
    pixels: Pixels,
    row: Mapping[str, Any],
    class_names: Sequence[str] | None = None,
    *,
    max_side: int = MAX_SIDE,
) -> Pixels:
    """Draw a stored result row, of a test run or an inference job; see ``draw_result``.

    Args:
        pixels: the image of the row, as ``snellen.adapters.images.decode`` decodes it.
        row: columns of ``snellen.store.parquet.schema``; masks may be bytes, or text as in JSON.
        class_names: ``class_names`` of the run.
        max_side: longest side of the picture.
    """
    canvas = canvas_of(pixels, max_side)
    if row.get("status") == "failed":
        draw_failure(canvas, str(row.get("error_code")), str(row.get("error_message") or ""))
    elif row.get("predicted_boxes") is not None:
        _draw_objects(canvas, row, class_names or (), pixels.shape[0], pixels.shape[1])
    elif row.get("top5_predictions"):
        draw_bars(canvas, row["top5_predictions"])
    return canvas.pixels()


def _draw_objects(
    canvas: Canvas, row: Mapping[str, Any], names: Sequence[str], height: int, width: int
) -> None:
    """The surest object last, so that it lies on top."""
    boxes = row["predicted_boxes"]
    masks, keypoints = row.get("predicted_masks"), row.get("predicted_keypoints")
    order = range(len(boxes) - 1, -1, -1)
    if masks:
        painter = MaskPainter(canvas, height, width)
        for number in order:
            painter.add(masks[number], class_colour(boxes[number]["class_id"]))
        painter.finish()
    corners = [_rectangle(canvas, box) for box in boxes]
    for number in order:
        colour = class_colour(boxes[number]["class_id"])
        canvas.draw.rectangle(corners[number], outline=colour, width=canvas.line)
    if keypoints:
        for number in order:
            draw_skeleton(canvas, keypoints[number])
    labeller = Labeller(canvas)
    # The surest label chooses its place first.
    for box, place in zip(boxes, corners, strict=True):
        sure = f"{box['confidence']:.2f}"
        labeller.put(_name(box, names), sure, place, class_colour(box["class_id"]))


def _rectangle(canvas: Canvas, box: Mapping[str, Any]) -> Rectangle:
    x1, y1 = canvas.point(box["x1"], box["y1"])
    x2, y2 = canvas.point(box["x2"], box["y2"])
    # The far edge of a box at the image's edge is the last pixel, and no box is inside out.
    x2, y2 = min(x2, canvas.width - 1.0), min(y2, canvas.height - 1.0)
    return min(x1, x2), min(y1, y2), x2, y2


def _name(box: Mapping[str, Any], names: Sequence[str]) -> str:
    class_id = int(box["class_id"])
    number = f"#{class_id}"
    return printable(names[class_id] if 0 <= class_id < len(names) else number, number)
