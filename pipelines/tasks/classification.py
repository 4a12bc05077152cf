"""Image classification: one label per image, a predicted class and the five most confident ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from snellen.adapters.types import InferenceResult
from snellen.pipelines.data.class_map import ClassMap
from snellen.pipelines.tasks.record import GroundTruth, Row, TaskRecord

if TYPE_CHECKING:
    from snellen.pipelines.visualization.canvas import Canvas


def read_label(row: Row, class_map: ClassMap, _: Sequence[str]) -> GroundTruth:
    """Map the label of an image. Raises ImageError where it has none, or one out of range."""
    return GroundTruth(class_id=class_map.class_id(row["label"]))


def predicted_class(result: InferenceResult, truth: GroundTruth) -> dict[str, Any]:
    """Return the predicted class, its probabilities, and ``is_correct`` of a labelled image.

    An image of a class that the outputs are not restricted to is neither correct nor wrong.
    """
    row: dict[str, Any] = {
        "predicted_label": result.predicted_label,
        "predicted_label_id": result.predicted_label_id,
        "confidence": result.confidence,
        "top5_predictions": result.top5_predictions,
        "true_confidence": result.true_confidence,
        "loss": result.loss,
    }
    classes = result.classes
    if truth.class_id is not None and (classes is None or classes.groups[truth.class_id]):
        row["is_correct"] = result.predicted_label_id == truth.class_id
    return row


def draw_classes(canvas: Canvas, row: Row, _: Sequence[str]) -> None:
    """Draw the ground truth and the five most confident classes below the image."""
    from snellen.pipelines.visualization.top5 import draw_bars, draw_truth

    if row.get("true_label") is not None:
        draw_truth(canvas, row["true_label"], correct=bool(row.get("is_correct")))
    if row["top5_predictions"]:
        draw_bars(canvas, row["top5_predictions"])


CLASSIFICATION = TaskRecord(
    read_labels=read_label,
    predicted_columns=predicted_class,
    match_columns=None,
    drawn_column="top5_predictions",
    draw=draw_classes,
    verb="classify",
    hub_task="image-classification",
    filters_by_confidence=False,
    has_logits=True,
    has_masks=False,
)
