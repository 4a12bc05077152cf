"""The metrics of each of two models that are compared, where the images have labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from snellen.adapters.errors import InputError
from snellen.adapters.types import InferenceResult
from snellen.metrics.tasks import load
from snellen.pipelines.config.metrics import MetricsConfig
from snellen.pipelines.data.class_map import ClassMap, align_classes
from snellen.pipelines.data.sources.base import DatasetInfo
from snellen.pipelines.execution.worker.preprocess import Prepared
from snellen.pipelines.execution.worker.result_rows import result_table
from snellen.pipelines.models.load import ResolvedModel
from snellen.pipelines.progress import Reporter

_MERGE_EVERY = 64
"""Batches whose states are held before they are merged."""


class Measured:
    """Counts one model's results batch by batch."""

    def __init__(self, model: ResolvedModel, class_map: ClassMap) -> None:
        """Measure ``model`` in the class ids of ``class_map``."""
        self.class_map = class_map
        self._task = model.info.task_type
        # Intervals by resampling take longer than the comparison, and are not asked for.
        options = MetricsConfig(bootstrap=0).model_dump()
        self._metrics = load(self._task, **options)
        self._states: list[Any] = []
        self._failed = 0

    def add(
        self,
        manifest: pa.Table,
        prepared: Sequence[Prepared],
        results: Sequence[InferenceResult | None],
    ) -> None:
        """Count a batch: its rows of the manifest and what came of them."""
        table = result_table(manifest, prepared, results, self.class_map, self._task)
        self._failed += sum(status == "failed" for status in table["status"].to_pylist())
        self._states.append(self._metrics.state(table, self.class_map.names))
        if len(self._states) >= _MERGE_EVERY:
            self._states = [self._metrics.merge(self._states)]

    def metrics(self, total: int) -> dict[str, Any]:
        """Metric key -> value of all batches."""
        report = self._metrics.compute(
            self._metrics.merge(self._states),
            self.class_map.names,
            total_images=total,
            failed_images=self._failed,
        )
        found: dict[str, Any] = report.metrics
        return {key: value for key, value in found.items() if not isinstance(value, list | dict)}


def labelled(
    a: ResolvedModel, b: ResolvedModel, info: DatasetInfo, told: Reporter
) -> tuple[Measured, Measured] | None:
    """Measure both models, where the data set has labels that are among their classes.

    Whether labels fit decides about the metrics alone: answers are compared without them.
    """
    names = a.info.class_names or b.info.class_names
    if info.classes is None:
        return None
    if names is None:
        told.note("the models have no class names, so the labels are not used")
        return None
    try:
        class_map = align_classes(info.classes, names, "subset")
    except InputError as error:
        told.note(f"the labels are not used: {error.message}")
        return None
    return Measured(a, class_map), Measured(b, class_map)
