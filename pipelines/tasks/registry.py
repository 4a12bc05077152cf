"""The registry of tasks: the only place in the pipelines that tells tasks apart."""

from __future__ import annotations

from snellen.adapters.types import TaskType
from snellen.pipelines.tasks.classification import CLASSIFICATION
from snellen.pipelines.tasks.detection import (
    INSTANCE_SEGMENTATION,
    OBJECT_DETECTION,
    POSE_ESTIMATION,
)
from snellen.pipelines.tasks.record import TaskRecord

TASKS: dict[TaskType, TaskRecord] = {
    TaskType.IMAGE_CLASSIFICATION: CLASSIFICATION,
    TaskType.OBJECT_DETECTION: OBJECT_DETECTION,
    TaskType.INSTANCE_SEGMENTATION: INSTANCE_SEGMENTATION,
    TaskType.POSE_ESTIMATION: POSE_ESTIMATION,
}


def task_of(task: TaskType | str) -> TaskRecord:
    """Return the record of a task.

    Raises:
        ValueError: ``task`` is not the name of a task.
    """
    return TASKS[TaskType(task)]
