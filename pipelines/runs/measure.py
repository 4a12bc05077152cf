"""Compute the metrics of a run from its result files, in unit order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from snellen.adapters.types import TaskType
from snellen.metrics.accumulator import Accumulator
from snellen.metrics.tasks import load
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.data.report import unread_images
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.slices import MetricsSpec, measure_slices
from snellen.store.parquet.results import ReadUnit, Results
from snellen.store.views import RunView

_STATUS_AND_TIME = ("status", "inference_time_ms")
SPREAD_FROM = 50_000
"""Images from which the metrics of a Ray run are counted by Ray tasks, which start in seconds."""
_MERGE_EVERY = 256
"""States held before they are merged, so that memory does not grow with the number of units."""
_ROWS_PER_PART = 16_384
"""Images that are counted together: a second or two of work."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One part of a run: the state of its task's metrics, and the counts that every task has.

    Attributes:
        state: of the metrics.
        failed: number of failed images.
        milliseconds: sum of the inference times.
        timed: number of images with an inference time.
    """

    state: Any
    failed: int
    milliseconds: float
    timed: int = 0


Spread = Callable[
    [Callable[[Sequence[Path]], Counted], Iterable[Sequence[Path]]], Iterator[Counted]
]
"""``map`` over the parts of a run, in their order; see `snellen.pipelines.execution.ray.map`."""


def measure_run(
    run: RunView, results: Results, config: EvaluateConfig, reporter: Reporter
) -> dict[str, Any]:
    """Compute the metrics of a test run and of its slices, as columns of its row.

    Args:
        run: the run whose images they are.
        results: its rows at the operating point of ``config``, in unit order.
        config: the sections ``metrics`` and ``run`` count.
        reporter: told about progress.
    """
    reporter.status("Computing metrics from the result files")
    total = run.total_images or 0
    names = tuple(run.class_names or ())
    spec = MetricsSpec(run.task_type, names, config.metrics, config.run.seed)
    unread = unread_images(run.dataset_report)
    columns = measure(results, spec, total, unread=unread, spread=_spread(run, total))
    details = columns["details"] or {}
    if columns["scored_images"] and details.get("counted_objects") == 0:
        reporter.note(
            "no ground truth objects count: there are none besides crowds and ignored ones, so the "
            "metrics of objects are null"
        )
    chosen = details.get("classes", {})
    for kind, excluded in chosen.items():
        if kind.startswith("excluded_") and excluded:
            things = kind.removeprefix("excluded_")
            reporter.note(f"metrics.classes: {excluded:,} {things} of other classes are excluded")
    if not columns["scored_images"] or not config.metrics.slices:
        return columns
    reporter.status("Computing metrics of each slice")
    found = measure_slices(results, spec, reporter)
    return {**columns, "details": {**(columns["details"] or {}), "slices": found}}


def _spread(run: RunView, total: int) -> Spread:
    """Count large runs on the Ray that they ran on; a small run is counted sooner here."""
    if (run.resolved or {}).get("layout", "inline") == "inline" or total < SPREAD_FROM:
        return map
    from snellen.pipelines.execution.ray.map import ray_map

    return ray_map


def measure(
    results: Results, spec: MetricsSpec, total: int, *, unread: int = 0, spread: Spread = map
) -> dict[str, Any]:
    """Read every result file once and compute the metrics of the task, as columns of a run.

    Args:
        results: the run's files, in unit order; at least one.
        spec: the metrics.
        total: number of images in the run.
        unread: number of image files beside them that could not be read: they lower the coverage.
        spread: maps over the parts; by default in this process, one after another.

    Raises:
        ConfigError: UNKNOWN_TASK.
        ValueError: a run without units.
    """
    options = spec.options
    metrics = load(spec.task, **options)
    count = partial(count_files, spec.task, options, spec.class_names, results.read)
    states = Accumulator(metrics.merge, every=_MERGE_EVERY)
    failed, milliseconds, timed = 0, 0.0, 0
    for counted in spread(count, _parts(results, total)):
        states.add(counted.state)
        failed += counted.failed
        milliseconds += counted.milliseconds
        timed += counted.timed
    report = metrics.compute(
        states.merged(), spec.class_names, total_images=total + unread, failed_images=failed
    )
    scored = total - failed
    return {
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
        "inference_time_ms": milliseconds / scored if scored and timed else None,
    }


def count_files(
    task: TaskType | str,
    options: dict[str, Any],
    class_names: tuple[str, ...],
    read: ReadUnit,
    paths: Sequence[Path],
) -> Counted:
    """Count the rows of some result files; runs in a worker, too.

    Args:
        task: decides which metrics there are.
        options: see `MetricsSpec.options`.
        class_names: the checkpoint's names.
        read: reads a file.
        paths: files of the run, in unit order; at least one.
    """
    metrics = load(task, **options)
    columns = list(dict.fromkeys((*metrics.columns, *_STATUS_AND_TIME)))
    states: list[Any] = []
    failed, milliseconds, timed = 0, 0.0, 0
    for path in paths:
        table = read(path, columns)
        states.append(metrics.state(table, class_names))
        failed += pc.sum(pc.equal(table["status"], "failed")).as_py() or 0
        milliseconds += pc.sum(table["inference_time_ms"].cast("float64")).as_py() or 0.0
        timed += len(table) - table["inference_time_ms"].null_count
    return Counted(metrics.merge(states), failed, milliseconds, timed)


def _parts(results: Results, total: int) -> Iterator[Sequence[Path]]:
    paths = results.paths
    rows_per_file = max(1, total // max(1, len(paths)))
    files = max(1, _ROWS_PER_PART // rows_per_file)
    for start in range(0, len(paths), files):
        yield paths[start : start + files]
