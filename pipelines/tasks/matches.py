"""The matches of an image at the operating point: which object was found by which prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snellen.adapters.types import TaskType
from snellen.metrics.detection.overlaps import Kind
from snellen.metrics.parity.image_matching import match_image
from snellen.pipelines.execution.worker.spec import OperatingPoint

_KINDS: dict[TaskType, Kind] = {
    TaskType.OBJECT_DETECTION: "bbox",
    TaskType.INSTANCE_SEGMENTATION: "segm",
    TaskType.POSE_ESTIMATION: "keypoints",
}


def match_columns(
    row: Mapping[str, Any], task: TaskType, operating: OperatingPoint
) -> dict[str, Any]:
    """The columns ``matches``, ``tp``, ``fp``, ``fn``, ``is_correct`` and ``iou`` or ``oks``.

    Args:
        row: a result row with its true and predicted boxes, masks or keypoints.
        task: decides what overlaps: boxes, masks or keypoints.
        operating: confidence and overlap.
    """
    kind = _KINDS[task]
    if kind == "segm" and row.get("true_masks") is None:
        kind = "bbox"  # the data set has boxes alone
    if kind == "keypoints" and row.get("true_keypoints") is None:
        kind = "bbox"
    found = match_image(
        row["true_boxes"],
        row["predicted_boxes"],
        kind=kind,
        true_masks=row.get("true_masks"),
        predicted_masks=row.get("predicted_masks"),
        true_keypoints=row.get("true_keypoints"),
        predicted_keypoints=row.get("predicted_keypoints"),
        height=row["height"],
        width=row["width"],
        confidence=operating.confidence,
        overlap=operating.overlap,
        sigmas=operating.sigmas,
    )
    return {
        "matches": found.matches,
        "tp": found.tp,
        "fp": found.fp,
        "fn": found.fn,
        "is_correct": found.is_correct,
        "oks" if kind == "keypoints" else "iou": found.mean_overlap,
    }
