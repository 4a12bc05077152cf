"""The metrics of each of two models that are compared on labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from snellen.adapters.errors import InputError
from snellen.metrics.accumulator import Accumulator
from snellen.metrics.tasks import load
from snellen.pipelines.config.metrics import MetricsConfig
from snellen.pipelines.data.class_map import ClassMap, align_classes
from snellen.pipelines.data.sources.base import DatasetInfo
from snellen.pipelines.execution.worker.preprocess import UnitImage
from snellen.pipelines.execution.worker.result_rows import result_table
from snellen.pipelines.models.load import ResolvedModel
from snellen.pipelines.progress import Reporter


class Measured:
    """Counts one model's results batch by batch."""

    def __init__(self, model: ResolvedModel, class_map: ClassMap) -> None:
        """Measure ``model`` in the class ids of ``class_map``."""
        self.class_map = class_map
        self._task = model.info.task_type
        # Intervals by resampling take longer than the comparison and are not shown.
        options = MetricsConfig(bootstrap=0).model_dump()
        self._metrics = load(self._task, **options)
        self._states: Accumulator[Any] = Accumulator(self._metrics.merge)
        self._failed = 0

    def add(self, manifest: pa.Table, images: Sequence[UnitImage]) -> None:
        """Count a batch: its rows of the manifest and the images after inference."""
        table = result_table(manifest, images, self._task, self.class_map.names)
        self._failed += sum(status == "failed" for status in table["status"].to_pylist())
        self._states.add(self._metrics.state(table, self.class_map.names))

    def metrics(self, total: int) -> dict[str, Any]:
        """Compute the metrics of all batches, by key."""
        report = self._metrics.compute(
            self._states.merged(),
            self.class_map.names,
            total_images=total,
            failed_images=self._failed,
        )
        found: dict[str, Any] = report.metrics
        return {key: value for key, value in found.items() if not isinstance(value, list | dict)}


def labelled(
    a: ResolvedModel, b: ResolvedModel, info: DatasetInfo, told: Reporter
) -> tuple[Measured, Measured] | None:
    """Return the metrics of both models where the dataset's labels are among their classes.

    Labels decide about the metrics only: predictions are compared without them.
    """
    names = a.info.class_names or b.info.class_names
    if info.classes is None:
        return None
    if names is None:
        told.note("the labels are not used: the models have no class names")
        return None
    try:
        class_map = align_classes(info.classes, names, "subset")
    except InputError as error:
        told.note(f"the labels are not used: {error.message}")
        return None
    return Measured(a, class_map), Measured(b, class_map)
