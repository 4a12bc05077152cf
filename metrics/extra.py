"""Metrics of plugins, computed beside those of the task (``metrics.extra``).

To add one, install a package with an entry point:

[project.entry-points."snellen.metrics"]
mine = "my_package.my_module:MyMetric"
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from snellen.adapters.errors import ConfigError
from snellen.adapters.plugins import PluginCodes, Registry
from snellen.adapters.types import TaskType
from snellen.metrics.record import TaskMetrics


@runtime_checkable
class ExtraMetric(Protocol):
    """A metric of a plugin: a class without arguments whose methods are pure functions.

    Attributes:
        tasks: the tasks that it is for.
        columns: the columns of a result row that `state` reads.
    """

    tasks: frozenset[TaskType]
    columns: Sequence[str]

    def state(self, table: pa.Table, class_names: Sequence[str]) -> Any:
        """Count the rows of one result file, failed images included."""

    def merge(self, states: Iterable[Any]) -> Any:
        """Merge the states of parts; at least one. Any partition gives the same state."""

    def compute(self, state: Any) -> dict[str, float | None]:
        """Compute metric key -> value of the merged state; None where it does not exist."""


def _checked(loaded: object) -> ExtraMetric:
    if not isinstance(loaded, type):
        raise TypeError("it is not a class")
    metric = loaded()
    if not isinstance(metric, ExtraMetric):
        raise TypeError("it lacks one of tasks, columns, state, merge, compute")
    return metric


EXTRA_METRICS: Registry[ExtraMetric] = Registry(
    kind="metrics",
    what="metrics.extra",
    builtin={},
    codes=PluginCodes(
        unknown="METRIC_UNKNOWN", invalid="METRIC_INVALID", missing_library="METRIC_MISSING_LIBRARY"
    ),
    check=_checked,
)


class WithExtraMetrics:
    """The metrics of a task, and those of plugins in the same report.

    Attributes:
        columns: the columns of a result row that `state` reads.
    """

    def __init__(self, base: TaskMetrics, task: TaskType, names: Sequence[str]) -> None:
        """Load the plugins.

        Args:
            base: the metrics of the task.
            task: the task.
            names: names of plugins, or ``module:attribute``.

        Raises:
            ConfigError: METRIC_UNKNOWN, METRIC_INVALID, METRIC_MISSING_LIBRARY, METRIC_TASK.
        """
        self._base = base
        self._extra = {name: EXTRA_METRICS.load(name) for name in names}
        for name, metric in self._extra.items():
            if task not in metric.tasks:
                raise ConfigError(
                    "METRIC_TASK",
                    f"metrics.extra: '{name}' is not for {task}. Expected a model for "
                    f"{' or '.join(sorted(metric.tasks))}. Fix: remove it from metrics.extra",
                )
        columns = [*base.columns, *(c for metric in self._extra.values() for c in metric.columns)]
        self.columns: Sequence[str] = tuple(dict.fromkeys(columns))

    def state(self, table: pa.Table, class_names: Sequence[str]) -> Any:
        """Count the rows of one result file."""
        extra = [metric.state(table, class_names) for metric in self._extra.values()]
        return self._base.state(table, class_names), extra

    def merge(self, states: Iterable[Any]) -> Any:
        """Merge the states of parts; at least one."""
        bases, extras = zip(*states, strict=True)
        merged = [
            metric.merge(parts)
            for metric, parts in zip(self._extra.values(), zip(*extras, strict=True), strict=True)
        ]
        return self._base.merge(bases), merged

    def compute(
        self, state: Any, class_names: Sequence[str], *, total_images: int, failed_images: int
    ) -> Any:
        """Compute the report of the task with the keys of the plugins added.

        Raises:
            ConfigError: METRIC_INVALID, a plugin returns a key that exists already.
        """
        base, extras = state
        report = self._base.compute(
            base, class_names, total_images=total_images, failed_images=failed_images
        )
        metrics = dict(report.metrics)
        for (name, metric), extra in zip(self._extra.items(), extras, strict=True):
            for key, value in metric.compute(extra).items():
                if key in metrics:
                    raise ConfigError(
                        "METRIC_INVALID",
                        f"metrics.extra: '{name}' returns the metric '{key}', which exists "
                        "already. Expected a key of its own.",
                    )
                metrics[key] = value
        return replace(report, metrics=metrics)
