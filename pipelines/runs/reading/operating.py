"""The operating point of a run, and its result rows with the matches at that point.

Result files hold the matches at the operating point that the run began with. A rescored run, or
one that was resumed with another ``metrics.operating_confidence``, has its own: its rows are
matched again while they are read, one result file at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.io.plugins import register_io_source

from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.metrics.matching.instances import instance_columns
from snellen.metrics.tasks import task_of as metrics_of
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.tasks.registry import task_of
from snellen.store.parquet.results import Results
from snellen.store.parquet.schema import RESULT_SCHEMA
from snellen.store.parquet.unit_record import UnitRecord
from snellen.store.views import AnyRun, RunView

MATCH_COLUMNS = ("matches", "tp", "fp", "fn", "is_correct", "iou", "oks")
"""Columns of a result row that depend on the operating point."""

Match = Callable[[pa.Table], dict[str, pa.Array]]
"""From rows to the columns of `MATCH_COLUMNS` that their task has."""


def operating_point(run: AnyRun) -> OperatingPoint | None:
    """Return the operating point of a run's metrics; None for a run without matches."""
    if not isinstance(run, RunView) or not task_of(run.task_type).has_operating_point:
        return None
    metrics = build_config(run.config).metrics
    return OperatingPoint(metrics.operating_confidence, metrics.operating_iou, metrics.kpt_sigmas)


def stored_operating_point(owner: AnyRun) -> OperatingPoint | None:
    """Return the operating point of the matches in the files of a run."""
    stored = (owner.resolved or {}).get("operating")
    if not stored:
        return operating_point(owner)
    sigmas = tuple(stored["sigmas"]) if stored["sigmas"] else None
    return OperatingPoint(stored["confidence"], stored["overlap"], sigmas)


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
    if operating == stored_operating_point(owner):
        return Results(folder, records, box_confidence=operating.confidence)
    return MatchedResults(folder, records, run.task_type, operating)


class MatchedResults(Results):
    """Result rows that are matched at another operating point than the stored one."""

    def __init__(
        self,
        results_dir: Path,
        records: Iterable[UnitRecord],
        task_type: str,
        operating: OperatingPoint,
    ) -> None:
        """Read the committed records of a run whose task has matches."""
        super().__init__(results_dir, records, box_confidence=operating.confidence)
        match = task_of(task_type).match_columns
        assert match is not None
        self._match: Match = lambda table: match(table, operating)
        self._needed = instance_columns(metrics_of(task_type).overlaps)

    def lazy(self, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """Return all rows in image order; see `Results.lazy`."""
        paths = self.paths
        if not paths:
            return super().lazy(columns)
        frame = register_io_source(self._frames, schema=pl.read_parquet_schema(paths[0]))
        return frame if columns is None else frame.select(list(columns))

    def iter_units(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of each unit; see `Results.iter_units`."""
        for path in self.paths:
            yield self._read(path, columns)

    def _frames(
        self,
        columns: list[str] | None,
        predicate: pl.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        """Read one file after another, as polars asks of a source."""
        left = n_rows
        for table in self.iter_units(columns):
            frame = pl.DataFrame(table)
            if left is not None:
                frame = frame.head(left)
                left -= frame.height
            yield frame if predicate is None else frame.filter(predicate)
            if left == 0:
                return

    def _read(self, path: Path, columns: Sequence[str] | None) -> pa.Table:
        with pq.ParquetFile(path) as file:
            if columns is not None and not set(columns) & set(MATCH_COLUMNS):
                return file.read(columns=list(columns))
            asked = None if columns is None else list(dict.fromkeys((*columns, *self._needed)))
            table = file.read(columns=asked)
        found = self._match(table)
        for name in MATCH_COLUMNS:
            position = table.schema.get_field_index(name)
            if position >= 0:
                field = RESULT_SCHEMA.field(name)
                values = found.get(name)
                column = pa.nulls(table.num_rows) if values is None else values
                table = table.set_column(position, field, column.cast(field.type))
        return table if columns is None else table.select(list(columns))
