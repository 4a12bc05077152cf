"""Compute the metrics of a run from its result files, in unit order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from adapters.types import TaskType
from metrics.registry import TaskMetrics, load
from pipelines.config import MetricsConfig
from store.results import Results

_STATUS_AND_TIME = ("status", "inference_time_ms")
_MERGE_EVERY = 256
"""States held before they are merged, so that memory does not follow the number of units."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Columns of the run row, computed from the files."""

    columns: dict[str, Any]
    scored: int


def measure(
    results: Results,
    task: TaskType,
    class_names: tuple[str, ...],
    *,
    total: int,
    config: MetricsConfig,
) -> Measured:
    """Read every result file once and compute the metrics of the task.

    Args:
        results: the run's files, in unit order.
        task: decides which metrics there are.
        class_names: the checkpoint's names, length K.
        total: images in the run.
        config: the ``metrics`` section.

    Raises:
        ConfigError: UNKNOWN_TASK.
        ValueError: a run without units.
    """
    metrics = load(task, **config.model_dump())
    counted = _Counted(metrics, class_names)
    columns = list(dict.fromkeys((*metrics.columns, *_STATUS_AND_TIME)))
    for table in results.iter_units(columns):
        counted.add(table)
    report = metrics.compute(
        counted.state(), class_names, total_images=total, failed_images=counted.failed
    )
    scored = total - counted.failed
    return Measured(
        {
            "metrics": report.metrics,
            "intervals": report.intervals,
            "per_class_metrics": report.per_class,
            "confusion_matrix": report.confusion_matrix,
            "details": report.details,
            "primary_metric_name": report.primary_metric_name,
            "primary_metric_value": report.primary_metric_value,
            "overall_loss": report.loss,
            "scored_images": scored,
            "failed_images": counted.failed,
            "total_images": total,
            "inference_time_ms": counted.milliseconds / scored if scored else None,
        },
        scored,
    )


class _Counted:
    """The merged state so far, and the counts that every task has."""

    def __init__(self, metrics: TaskMetrics, class_names: tuple[str, ...]) -> None:
        self._metrics = metrics
        self._class_names = class_names
        self._states: list[Any] = []
        self.failed = 0
        self.milliseconds = 0.0

    def add(self, table: pa.Table) -> None:
        self._states.append(self._metrics.state(table, self._class_names))
        if len(self._states) >= _MERGE_EVERY:
            self._states = [self._metrics.merge(self._states)]
        self.failed += pc.sum(pc.equal(table["status"], "failed")).as_py() or 0
        self.milliseconds += pc.sum(table["inference_time_ms"].cast(pa.float64())).as_py() or 0.0

    def state(self) -> Any:
        return self._metrics.merge(self._states)
