"""Which metrics a task has. A new task is a class like `ClassificationMetrics` and a line here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, Protocol

import pyarrow as pa

from snellen.adapters.errors import ConfigError

METRICS = {
    "image_classification": "snellen.metrics.classification.metrics:ClassificationMetrics",
    "object_detection": "snellen.metrics.detection.metrics:DetectionMetrics",
    "instance_segmentation": "snellen.metrics.detection.metrics:DetectionMetrics",
    "pose_estimation": "snellen.metrics.detection.metrics:DetectionMetrics",
}


class TaskMetrics(Protocol):
    """What a task's metrics offer; every method is a pure function."""

    columns: Sequence[str]
    """Columns of a result row that `state` reads."""

    def state(self, table: pa.Table, class_names: Sequence[str]) -> Any:
        """Count one part: rows of a result file."""

    def merge(self, states: Iterable[Any]) -> Any:
        """The state of all parts together."""

    def compute(
        self, state: Any, class_names: Sequence[str], *, total_images: int, failed_images: int
    ) -> Any:
        """The report of a set."""


def load(task: str, **options: Any) -> TaskMetrics:
    """Return the metrics of a task; it takes ``task`` and what it knows of the options.

    Raises:
        ConfigError: UNKNOWN_TASK, with the tasks that have metrics.
    """
    target = METRICS.get(str(task))
    if target is None:
        raise ConfigError(
            "UNKNOWN_TASK",
            f"expected a task with metrics of {', '.join(sorted(METRICS))}, got {task!r}",
        )
    module, _, name = target.partition(":")
    metrics: TaskMetrics = getattr(import_module(module), name)(task=str(task), **options)
    return metrics
