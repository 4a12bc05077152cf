"""The operating point of a run, and its result rows with the matches at that point.

Result files hold the matches at the operating point that the run began with. A rescored run, or
one that was resumed with another ``metrics.operating_confidence``, has its own: its rows are
matched again while they are read, one result file at a time. One that was rescored with corrected
labels has their ground truth, see `snellen.pipelines.runs.reading.ground_truth`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.metrics.matching.instances import instance_columns
from snellen.metrics.tasks import task_of as metrics_of
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.runs.reading.ground_truth import (
    LABELLED_COLUMNS,
    CorrectedLabels,
    corrected_labels,
)
from snellen.pipelines.tasks.metric_settings import operating_point_of
from snellen.pipelines.tasks.registry import task_of
from snellen.store.parquet.results import Results, read_unit
from snellen.store.parquet.schema import RESULT_SCHEMA
from snellen.store.parquet.unit_record import UnitRecord
from snellen.store.views import AnyRun, RunView

MATCH_COLUMNS = ("matches", "tp", "fp", "fn", "is_correct", "iou", "oks")
"""Columns of a result row that depend on the operating point."""


def operating_point(run: AnyRun) -> OperatingPoint | None:
    """Return the operating point of a run's metrics; None for a run without matches."""
    if not isinstance(run, RunView) or not task_of(run.task_type).has_operating_point:
        return None
    return operating_point_of(build_config(run.config).metrics, run.class_names or ())


def with_threshold(run: RunView, confidence: float) -> RunView:
    """Return a run as if it were rescored at one confidence threshold for all classes.

    Its own metrics and counts stay those of its threshold; what is read from the result files for
    it is that of the new one.
    """
    config = dict(run.config or {})
    config["metrics"] = {**config.get("metrics", {}), "operating_confidence": confidence}
    return replace(run, config=config)


def stored_operating_point(owner: AnyRun) -> OperatingPoint | None:
    """Return the operating point of the matches in the files of a run."""
    stored = (owner.resolved or {}).get("operating")
    return OperatingPoint.of_stored(stored) if stored else operating_point(owner)


def operating_text(operating: OperatingPoint, class_names: Sequence[str]) -> str:
    """Return the confidence thresholds in words: ``0.25, person 0.4``."""
    named = operating.thresholds.named(class_names)
    return ", ".join([f"{operating.confidence:g}", *(f"{k} {v:g}" for k, v in named.items())])


def counts_as_stored(run: AnyRun) -> bool:
    """Return True if the metrics of a run count images and objects as its result files do.

    They do not with ``metrics.classes``, or after a resume with another operating point.
    """
    if not isinstance(run, RunView) or run.config is None:
        return True
    if build_config(run.config).metrics.classes is not None:
        return False
    return operating_point(run) == stored_operating_point(run)


def operating_results(
    folder: Path, records: Iterable[UnitRecord], runs: Sequence[AnyRun]
) -> Results:
    """Return a reader of result rows with the labels and the operating point of a run.

    Args:
        folder: the folder of the files.
        records: the ledger's records.
        runs: the run, and the run whose files it reads.
    """
    run, owner = runs
    operating, labels = operating_point(run), corrected_labels(run)
    if operating is None:
        read = read_unit if labels is None else RunRows(run.task_type, None, labels)
        return Results(folder, records, read=read)
    same = labels is None and operating == stored_operating_point(owner)
    return Results(
        folder,
        records,
        box_confidence=operating.confidence,
        class_confidences=dict(operating.class_confidences),
        read=read_unit if same else RunRows(run.task_type, operating, labels),
    )


@dataclass(frozen=True, slots=True)
class RunRows:
    """Reader of result files whose rows are not those of the run as they are stored.

    Attributes:
        task_type: the task.
        operating: the operating point of the run; None for a task without matches.
        labels: corrected labels; None for those of the files.
    """

    task_type: str
    operating: OperatingPoint | None
    labels: CorrectedLabels | None = None

    def __call__(self, path: Path, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the rows of a file; see `snellen.store.parquet.results.read_unit`."""
        changed = {*MATCH_COLUMNS, *(LABELLED_COLUMNS[1:] if self.labels is not None else ())}
        if columns is not None and not set(columns) & changed:
            return read_unit(path, columns)
        needed: tuple[str, ...] = LABELLED_COLUMNS if self.labels is not None else ()
        if self.operating is not None:
            needed = (*needed, *instance_columns(metrics_of(self.task_type).overlaps))
        asked = None if columns is None else list(dict.fromkeys((*columns, *needed)))
        table = read_unit(path, asked)
        if self.labels is not None:
            table = self.labels.apply(table, classified=self.operating is None)
        if self.operating is not None:
            table = self._matched(table, self.operating)
        return table if columns is None else table.select(list(columns))

    def _matched(self, table: pa.Table, operating: OperatingPoint) -> pa.Table:
        """Return the rows with the columns of `MATCH_COLUMNS` at the operating point."""
        match = task_of(self.task_type).match_columns
        assert match is not None, "a task with an operating point has matches"
        found: dict[str, Any] = match(table, operating)
        for name in MATCH_COLUMNS:
            position = table.schema.get_field_index(name)
            if position >= 0:
                field = RESULT_SCHEMA.field(name)
                values = found.get(name)
                column = pa.nulls(table.num_rows) if values is None else values
                table = table.set_column(position, field, column.cast(field.type))
        return table
