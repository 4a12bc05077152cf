"""The record of a task: its metrics and the comparison of two predictions of one image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from snellen.adapters.types import InferenceResult
from snellen.metrics.matching.overlaps import Kind
from snellen.metrics.parity.differences import ImageDifference, Tolerance


class TaskMetrics(Protocol):
    """The metrics of a task; every method is a pure function.

    Attributes:
        columns: the columns of a result row that `state` reads.
    """

    columns: Sequence[str]

    def state(self, table: pa.Table, class_names: Sequence[str]) -> Any:
        """Count the rows of one result file."""

    def merge(self, states: Iterable[Any]) -> Any:
        """Merge the states of parts; at least one."""

    def compute(
        self, state: Any, class_names: Sequence[str], *, total_images: int, failed_images: int
    ) -> Any:
        """Compute the report of a whole set."""


@dataclass(frozen=True, slots=True)
class MetricsRecord:
    """Functions and facts of one task.

    Attributes:
        metrics: builds the task's metrics from the options of a configuration; options of other
            tasks are ignored.
        compare: compares two successful results of one image, see
            `snellen.metrics.parity.compare.compare_image`.
        overlaps: the overlaps that detections are measured by, the task's own last; empty for a
            task without objects.
    """

    metrics: Callable[..., TaskMetrics]
    compare: Callable[[InferenceResult, InferenceResult, Tolerance], ImageDifference]
    overlaps: tuple[Kind, ...] = ()
