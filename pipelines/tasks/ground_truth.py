"""What is true of an image, in the checkpoint's class ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.types import TaskType
from snellen.pipelines.data.class_map import ClassMap

COLUMNS = ("label", "true_boxes", "true_masks", "true_keypoints", "label_error")
"""The columns of a manifest that ``truth_of`` reads."""


@dataclass(slots=True)
class Truth:
    """The columns of a result row that start with ``true_``, in the shapes of SCHEMA.

    ``boxes`` and its parallels have lost the objects of classes that are left out.
    """

    class_id: int | None = None
    boxes: list[dict[str, Any]] | None = None
    masks: list[bytes] | None = None
    keypoints: list[list[dict[str, float]]] | None = None


def truth_of(
    row: Mapping[str, Any], class_map: ClassMap, classes: Sequence[str], task: TaskType
) -> Truth:
    """Map the labels of a manifest row.

    Args:
        row: at least ``COLUMNS``.
        class_map: data set class -> checkpoint class.
        classes: the data set's classes, by its own ids.
        task: classification has a label, every other task boxes.

    Raises:
        ImageError: stage ``label``; LABEL_MISSING, LABEL_RANGE or LABEL_INVALID.
    """
    problem = row.get("label_error")
    if problem:
        code, _, message = problem.partition(": ")
        raise ImageError(ErrorStage.LABEL, ErrorCode(code), message)
    if task is TaskType.IMAGE_CLASSIFICATION:
        return Truth(class_id=class_map.class_id(row["label"]))
    boxes = row.get("true_boxes")
    if boxes is None:
        raise ImageError(ErrorStage.LABEL, ErrorCode.LABEL_MISSING, "the image has no true boxes")
    ids = [class_map.box_class_id(_name(box, classes)) for box in boxes]
    kept = [position for position, found in enumerate(ids) if found is not None]
    masks, keypoints = row.get("true_masks"), row.get("true_keypoints")
    _check_parallel(boxes, masks, "masks")
    _check_parallel(boxes, keypoints, "keypoints")
    return Truth(
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
