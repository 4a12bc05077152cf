"""The tasks of Ultralytics: everything about a YOLO model that depends on its task.

A new task is one record in `YOLO_TASKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from snellen.adapters.result_builders import classification_results
from snellen.adapters.types import InferenceResult, Preprocessed, TaskType
from snellen.adapters.ultralytics.detections import YoloHead, object_results

if TYPE_CHECKING:
    from torch import Tensor

Items = Sequence[Preprocessed]
Targets = Sequence[int | None] | None


class YoloOutputs(NamedTuple):
    """Outputs of a YOLO model for N images.

    Attributes:
        predictions: logits (N, K) of a classifier; else (N, 4 + K + extra, anchors), or
            (N, detections, 6 + extra) of an end-to-end head.
        protos: mask prototypes (N, c, h, w) of a segmentation model.
    """

    predictions: Tensor
    protos: Tensor | None = None


@dataclass(frozen=True, slots=True)
class YoloTask:
    """A task of Ultralytics.

    Attributes:
        name: Ultralytics' name.
        task_type: Snellen's name.
        default_imgsz: side of the input in pixels where a checkpoint does not say it.
        finds_objects: images are letterboxed and predictions are boxes, to be suppressed; False
            for classifiers, whose input is a square crop.
        outputs: number of tensors that an exported model returns.
        has_keypoints: predictions carry keypoints; the model has a ``kpt_shape``.
        split: find predictions and prototypes in the outputs of the model's evaluation mode, of
            its export mode, or of an exported file.
        results: turn N outputs into N results.
    """

    name: str
    task_type: TaskType
    split: Callable[[Any], YoloOutputs]
    results: Callable[[YoloOutputs, Items, Targets, YoloHead], list[InferenceResult]]
    default_imgsz: int = 640
    finds_objects: bool = True
    outputs: int = 1
    has_keypoints: bool = False


def _split_logits(outputs: Any) -> YoloOutputs:
    # In evaluation mode: probabilities and logits.
    return YoloOutputs(outputs[-1] if isinstance(outputs, tuple | list) else outputs)


def _split_predictions(outputs: Any) -> YoloOutputs:
    return YoloOutputs(outputs[0] if isinstance(outputs, tuple | list) else outputs)


def _split_masks(outputs: Any) -> YoloOutputs:
    # In evaluation mode some versions return ((predictions, prototypes), features).
    first = outputs[0]
    if isinstance(first, tuple | list):
        return YoloOutputs(first[0], first[1])
    return YoloOutputs(first, outputs[1])


def _classes(
    outputs: YoloOutputs, items: Items, targets: Targets, head: YoloHead
) -> list[InferenceResult]:
    return classification_results(outputs.predictions, items, targets, head.labels)


def _objects(
    outputs: YoloOutputs, items: Items, targets: Targets, head: YoloHead
) -> list[InferenceResult]:
    return object_results(outputs.predictions, outputs.protos, items, head)


YOLO_TASKS: dict[str, YoloTask] = {
    task.name: task
    for task in (
        YoloTask(
            name="classify",
            task_type=TaskType.IMAGE_CLASSIFICATION,
            split=_split_logits,
            results=_classes,
            default_imgsz=224,
            finds_objects=False,
        ),
        YoloTask(
            name="detect",
            task_type=TaskType.OBJECT_DETECTION,
            split=_split_predictions,
            results=_objects,
        ),
        YoloTask(
            name="segment",
            task_type=TaskType.INSTANCE_SEGMENTATION,
            split=_split_masks,
            results=_objects,
            outputs=2,
        ),
        YoloTask(
            name="pose",
            task_type=TaskType.POSE_ESTIMATION,
            split=_split_predictions,
            results=_objects,
            has_keypoints=True,
        ),
    )
}
"""Ultralytics' name -> its task."""


def yolo_task(task_type: TaskType) -> YoloTask:
    """Return the task of Ultralytics for a task type."""
    return next(task for task in YOLO_TASKS.values() if task.task_type == task_type)
