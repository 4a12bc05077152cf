"""Object detection, instance segmentation and pose estimation: objects with boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.types import InferenceResult
from snellen.metrics.detection.image_matches import match_columns
from snellen.metrics.matching.overlaps import Kind
from snellen.pipelines.data.class_map import ClassMap
from snellen.pipelines.tasks.record import GroundTruth, Row, TaskRecord

if TYPE_CHECKING:
    from snellen.pipelines.visualization.canvas import Canvas


def read_objects(row: Row, class_map: ClassMap, classes: Sequence[str]) -> GroundTruth:
    """Map the labelled objects of an image; objects of excluded classes are dropped.

    Raises:
        ImageError: LABEL_MISSING, no list of boxes; LABEL_RANGE, an unknown class; LABEL_INVALID,
            masks or keypoints that are not parallel to the boxes.
    """
    boxes = row.get("true_boxes")
    if boxes is None:
        raise ImageError(ErrorStage.LABEL, ErrorCode.LABEL_MISSING, "the image has no true boxes")
    ids = [class_map.box_class_id(_name(box, classes)) for box in boxes]
    kept = [position for position, found in enumerate(ids) if found is not None]
    masks, keypoints = row.get("true_masks"), row.get("true_keypoints")
    _check_parallel(boxes, masks, "masks")
    _check_parallel(boxes, keypoints, "keypoints")
    return GroundTruth(
        boxes=[{**boxes[p], "class_id": ids[p]} for p in kept],
        masks=None if masks is None else [masks[p] for p in kept],
        keypoints=None if keypoints is None else [keypoints[p] for p in kept],
    )


def _name(box: Mapping[str, Any], classes: Sequence[str]) -> str:
    class_id = box["class_id"]
    if class_id is None or not 0 <= class_id < len(classes):
        raise ImageError(
            ErrorStage.LABEL,
            ErrorCode.LABEL_RANGE,
            f"box class {class_id} is outside of 0..{len(classes) - 1}",
        )
    return classes[int(class_id)]


def _check_parallel(boxes: Sequence[Any], others: Sequence[Any] | None, name: str) -> None:
    if others is not None and len(others) != len(boxes):
        raise ImageError(
            ErrorStage.LABEL,
            ErrorCode.LABEL_INVALID,
            f"{len(others)} {name} for {len(boxes)} boxes",
        )


def predicted_objects(result: InferenceResult, _: GroundTruth) -> dict[str, Any]:
    """Return the predicted boxes, masks and keypoints; the boxes are never None."""
    return {
        "predicted_boxes": result.predicted_boxes or [],
        "predicted_masks": result.predicted_masks,
        "predicted_keypoints": result.predicted_keypoints,
    }


def draw_detections(canvas: Canvas, row: Row, names: Sequence[str]) -> None:
    """Draw boxes, masks and skeletons; in a test run by their match with the ground truth."""
    from snellen.pipelines.visualization.matches import draw_matches
    from snellen.pipelines.visualization.objects import draw_objects

    if row.get("matches") is not None:
        draw_matches(canvas, row, names)
    else:
        draw_objects(canvas, row, names)


def _record(kind: Kind, verb: str, hub_task: str, *needs: str) -> TaskRecord:
    return TaskRecord(
        read_labels=read_objects,
        predicted_columns=predicted_objects,
        match_columns=partial(match_columns, kind=kind),
        drawn_column="predicted_boxes",
        draw=draw_detections,
        verb=verb,
        hub_task=hub_task,
        filters_by_confidence=True,
        has_logits=False,
        has_masks=kind == "segm",
        needs=frozenset(needs),
    )


OBJECT_DETECTION = _record("bbox", "detect", "object-detection")
INSTANCE_SEGMENTATION = _record("segm", "segment", "image-segmentation", "masks")
POSE_ESTIMATION = _record("keypoints", "pose", "keypoint-detection", "keypoints")
