"""Registry of tasks: the outputs that a model of each task has."""

from __future__ import annotations

from snellen.adapters.types import TaskType
from snellen.serve.api.open_inference.outputs import (
    BYTES,
    FP32,
    INT64,
    Output,
    boxes,
    class_name,
    image_index,
    image_sizes,
    keypoints,
    masks,
    per_box,
    per_class,
)

_SIZES = Output("image_sizes", INT64, (-1, 2), image_sizes)
_CLASSIFICATION = (
    Output("class_ids", INT64, (-1, -1), per_class(INT64, lambda score: score["label_id"])),
    Output("class_names", BYTES, (-1, -1), per_class(BYTES, lambda score: score["label"])),
    Output("probabilities", FP32, (-1, -1), per_class(FP32, lambda score: score["confidence"])),
    _SIZES,
)
_DETECTION = (
    Output("boxes", FP32, (-1, 4), boxes),
    Output("scores", FP32, (-1,), per_box(FP32, lambda _, box: box["confidence"])),
    Output("class_ids", INT64, (-1,), per_box(INT64, lambda _, box: box["class_id"])),
    Output("class_names", BYTES, (-1,), per_box(BYTES, class_name)),
    Output("image_index", INT64, (-1,), image_index),
    _SIZES,
)
TASKS: dict[str, tuple[Output, ...]] = {
    TaskType.IMAGE_CLASSIFICATION: _CLASSIFICATION,
    TaskType.OBJECT_DETECTION: _DETECTION,
    TaskType.INSTANCE_SEGMENTATION: (*_DETECTION, Output("masks", BYTES, (-1,), masks)),
    TaskType.POSE_ESTIMATION: (
        *_DETECTION,
        Output("keypoints", FP32, (-1, -1, 3), keypoints),
    ),
}
"""Outputs by task. Boxes are xyxy in pixels of the upright image, image_sizes (width, height)."""
