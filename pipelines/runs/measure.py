"""Compute the metrics of a run from its result files, in unit order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from snellen.adapters.types import TaskType
from snellen.metrics.tasks import load
from snellen.pipelines.config.metrics import MetricsConfig
from snellen.store.parquet.results import Results

_STATUS_AND_TIME = ("status", "inference_time_ms")
_MERGE_EVERY = 256
"""States held before they are merged, so that memory does not follow the number of units."""
_ROWS_A_PART = 16_384
"""Images that are counted together: a second or two of work."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Columns of the run row, computed from the files."""

    columns: dict[str, Any]
    scored: int


@dataclass(frozen=True, slots=True)
class Counted:
    """One part of a run: the state of its task's metrics, and the counts that every task has."""

    state: Any
    failed: int
    milliseconds: float


Spread = Callable[
    [Callable[[Sequence[Path]], Counted], Iterable[Sequence[Path]]], Iterator[Counted]
]
"""``map`` over the parts of a run, in their order; see `snellen.pipelines.execution.ray.map`."""


def measure(
    results: Results,
    task: TaskType,
    class_names: tuple[str, ...],
    *,
    total: int,
    config: MetricsConfig,
    spread: Spread = map,
) -> Measured:
    """Read every result file once and compute the metrics of the task.

    Args:
        results: the run's files, in unit order.
        task: decides which metrics there are.
        class_names: the checkpoint's names, length K.
        total: images in the run.
        config: the ``metrics`` section.
        spread: counts the parts; by default in this process, one after another.

    Raises:
        ConfigError: UNKNOWN_TASK.
        ValueError: a run without units.
    """
    metrics = load(task, **config.model_dump())
    count = partial(count_files, task, config.model_dump(), class_names)
    states: list[Any] = []
    failed, milliseconds = 0, 0.0
    for counted in spread(count, _parts(results, total)):
        states.append(counted.state)
        if len(states) >= _MERGE_EVERY:
            states = [metrics.merge(states)]
        failed += counted.failed
        milliseconds += counted.milliseconds
    report = metrics.compute(
        metrics.merge(states), class_names, total_images=total, failed_images=failed
    )
    scored = total - failed
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
            "failed_images": failed,
            "total_images": total,
            "inference_time_ms": milliseconds / scored if scored else None,
        },
        scored,
    )


def count_files(
    task: TaskType, options: dict[str, Any], class_names: tuple[str, ...], paths: Sequence[Path]
) -> Counted:
    """Count the rows of some result files; runs in a worker, too.

    Args:
        task: decides which metrics there are.
        options: the ``metrics`` section.
        class_names: the checkpoint's names.
        paths: files of the run, in unit order; at least one.
    """
    metrics = load(task, **options)
    columns = list(dict.fromkeys((*metrics.columns, *_STATUS_AND_TIME)))
    states: list[Any] = []
    failed, milliseconds = 0, 0.0
    for path in paths:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=columns)
        states.append(metrics.state(table, class_names))
        failed += pc.sum(pc.equal(table["status"], "failed")).as_py() or 0
        milliseconds += pc.sum(table["inference_time_ms"].cast("float64")).as_py() or 0.0
    return Counted(metrics.merge(states), failed, milliseconds)


def _parts(results: Results, total: int) -> Iterator[Sequence[Path]]:
    paths = results.paths
    rows_a_file = max(1, total // max(1, len(paths)))
    files = max(1, _ROWS_A_PART // rows_a_file)
    for start in range(0, len(paths), files):
        yield paths[start : start + files]
