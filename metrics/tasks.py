"""The registry of tasks: the only place in the metrics that tells tasks apart.

A new task is one module with a `snellen.metrics.record.MetricsRecord` and one line in `TASKS`.
"""

from __future__ import annotations

from typing import Any

from snellen.adapters.errors import ConfigError
from snellen.adapters.types import TaskType
from snellen.metrics.classification.metrics import CLASSIFICATION
from snellen.metrics.detection.metrics import (
    INSTANCE_SEGMENTATION,
    OBJECT_DETECTION,
    POSE_ESTIMATION,
)
from snellen.metrics.extra import WithExtraMetrics
from snellen.metrics.record import MetricsRecord, TaskMetrics

TASKS: dict[TaskType, MetricsRecord] = {
    TaskType.IMAGE_CLASSIFICATION: CLASSIFICATION,
    TaskType.OBJECT_DETECTION: OBJECT_DETECTION,
    TaskType.INSTANCE_SEGMENTATION: INSTANCE_SEGMENTATION,
    TaskType.POSE_ESTIMATION: POSE_ESTIMATION,
}


def task_of(task: TaskType | str) -> MetricsRecord:
    """Return the record of a task.

    Raises:
        ConfigError: UNKNOWN_TASK, with the tasks that have metrics.
    """
    try:
        return TASKS[TaskType(task)]
    except (ValueError, KeyError):
        raise ConfigError(
            "UNKNOWN_TASK",
            f"task {str(task)!r} has no metrics. Expected one of {', '.join(sorted(TASKS))}.",
        ) from None


def load(task: TaskType | str, **options: Any) -> TaskMetrics:
    """Build the metrics of a task.

    Args:
        task: name of a task.
        options: the ``metrics`` section of a configuration; options of other tasks are ignored.
            ``extra`` names metrics of plugins; ``classes`` the classes that are scored.

    Raises:
        ConfigError: UNKNOWN_TASK; METRIC_UNKNOWN and others of `WithExtraMetrics`;
            METRIC_CLASSES, metrics of plugins for some classes only.
        ValueError: an option out of range.
    """
    extra = options.pop("extra", ())
    if extra and options.get("classes") is not None:
        raise ConfigError(
            "METRIC_CLASSES",
            f"metrics.classes is set, and metrics.extra names {', '.join(extra)}. Expected one of "
            "the two: metrics of plugins are computed for all classes. Remove one of them",
        )
    metrics = task_of(task).metrics(**options)
    return WithExtraMetrics(metrics, TaskType(task), extra) if extra else metrics
