"""The operating point of a run, and its result rows with the matches at that point.

Result files hold the matches at the operating point that the run began with. A rescored run, or
one that was resumed with another ``metrics.operating_confidence``, has its own: its rows are
matched again while they are read, one result file at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.metrics.matching.instances import instance_columns
from snellen.metrics.tasks import task_of as metrics_of
from snellen.pipelines.config.loader import build_config
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
    """Return a reader of result rows with the matches at the operating point of a run.

    Args:
        folder: the folder of the files.
        records: the ledger's records.
        runs: the run, and the run whose files it reads.
    """
    run, owner = runs
    operating = operating_point(run)
    if operating is None:
        return Results(folder, records)
    same = operating == stored_operating_point(owner)
    return Results(
        folder,
        records,
        box_confidence=operating.confidence,
        class_confidences=dict(operating.class_confidences),
        read=read_unit if same else MatchedRows(run.task_type, operating),
    )


@dataclass(frozen=True, slots=True)
class MatchedRows:
    """Reader of result files with the matches at another operating point than the stored one.

    Attributes:
        task_type: the task.
        operating: the operating point.
    """

    task_type: str
    operating: OperatingPoint

    def __call__(self, path: Path, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the rows of a file; see `snellen.store.parquet.results.read_unit`."""
        if columns is not None and not set(columns) & set(MATCH_COLUMNS):
            return read_unit(path, columns)
        needed = instance_columns(metrics_of(self.task_type).overlaps)
        asked = None if columns is None else list(dict.fromkeys((*columns, *needed)))
        table = self.matched(read_unit(path, asked))
        return table if columns is None else table.select(list(columns))

    def matched(self, table: pa.Table) -> pa.Table:
        """Return the rows with the columns of `MATCH_COLUMNS` at the operating point."""
        match = task_of(self.task_type).match_columns
        assert match is not None, "a task with an operating point has matches"
        found: dict[str, Any] = match(table, self.operating)
        for name in MATCH_COLUMNS:
            position = table.schema.get_field_index(name)
            if position >= 0:
                field = RESULT_SCHEMA.field(name)
                values = found.get(name)
                column = pa.nulls(table.num_rows) if values is None else values
                table = table.set_column(position, field, column.cast(field.type))
        return table
