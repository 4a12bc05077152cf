"""Draw a result, or a stored result row, on a copy of its image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from snellen.adapters.explanations import Explanation
from snellen.adapters.types import ImageStatus, InferenceResult
from snellen.pipelines.tasks.registry import TASKS
from snellen.pipelines.visualization.canvas import MAX_SIDE, Pixels, canvas_of
from snellen.pipelines.visualization.heat import draw_heat
from snellen.pipelines.visualization.top5 import draw_failure

_COLUMNS = ("top5_predictions", "predicted_boxes", "predicted_masks", "predicted_keypoints")


def draw_result(
    pixels: Pixels,
    result: InferenceResult,
    class_names: Sequence[str] | None = None,
    *,
    max_side: int = MAX_SIDE,
) -> Pixels:
    """Draw the predictions of a model: boxes, masks, skeletons, or the five most confident classes.

    Args:
        pixels: uint8, shape (H, W, 3), RGB, the upright original image; not changed.
        result: of this image; the error of a failed one is printed below the darkened image.
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
    explanation: Explanation | None = None,
) -> Pixels:
    """Draw a stored result row, of a test run or an inference job; see `draw_result`.

    Args:
        pixels: the image of the row, as `snellen.adapters.images.decode` decodes it.
        row: columns of `snellen.store.parquet.schema`; masks may be bytes, or text as in JSON.
        class_names: ``class_names`` of the run.
        max_side: longest side of the picture.
        explanation: laid over the image first.
    """
    canvas = canvas_of(pixels, max_side)
    if explanation is not None:
        draw_heat(canvas, explanation.heat, explanation.region)
    if row.get("status") == "failed":
        draw_failure(canvas, str(row.get("error_code")), str(row.get("error_message") or ""))
        return canvas.pixels()
    # A row does not name its task; the columns that it has tell how it is drawn.
    for task in TASKS.values():
        if row.get(task.drawn_column) is not None:
            task.draw(canvas, row, class_names or ())
            break
    return canvas.pixels()
