"""Tables: Parquet with the columns of a result row, and CSV with nested values as JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from snellen.adapters.types import TaskType
from snellen.analysis.export.exporter import Exported, ExportRequest
from snellen.store.parquet.results import json_safe
from snellen.store.parquet.schema import RESULT_SCHEMA

ALL_TASKS = frozenset(TaskType)
_BATCH = 64
_FORMULA = r"^([=+\-@\t\r\n])"
"""Start of a cell that a spreadsheet program takes for a formula."""


def tables(request: ExportRequest) -> Iterator[pa.Table]:
    """Yield the chosen rows of each unit: at least one table, all of one schema."""
    table: pa.Table | None = None
    for table in request.units():
        yield table
    if table is None:
        yield RESULT_SCHEMA.empty_table()


def rows_of(request: ExportRequest) -> Iterator[dict[str, Any]]:
    """Yield the chosen rows one by one; only some of a unit are Python objects at a time."""
    for table in request.units():
        for batch in table.to_batches(max_chunksize=_BATCH):
            yield from batch.to_pylist()


def write_parquet(request: ExportRequest, file: Path | IO[bytes]) -> int:
    """Write the chosen rows as Parquet, one row group per unit; return the number of rows."""
    rows = 0
    found = tables(request)
    first = next(found)
    with pq.ParquetWriter(file, first.schema, compression="zstd") as writer:
        for table in chain((first,), found):
            writer.write_table(table)
            rows += table.num_rows
    return rows


def write_csv(request: ExportRequest, file: IO[bytes]) -> int:
    """Write the chosen rows as CSV in UTF-8, with a header; return the number of rows.

    A text that starts with ``=``, ``+``, ``-``, ``@``, tab or carriage return gets a ``'`` in
    front, so that no spreadsheet program runs it as a formula. Lists and structs are JSON text.
    """
    rows = 0
    for number, table in enumerate(tables(request)):
        flat_frame(table).write_csv(file, include_header=number == 0)
        rows += table.num_rows
    return rows


def flat_frame(table: pa.Table) -> pl.DataFrame:
    """Return a table whose cells are numbers, booleans, dates or safe text."""
    columns = [_flat(table[name]).alias(name) for name in table.schema.names]
    return pl.DataFrame(columns).with_columns(pl.col(pl.String).str.replace(_FORMULA, "'${1}"))


def _flat(column: pa.ChunkedArray) -> pl.Series:
    kind = column.type
    if pa.types.is_nested(kind) or "binary" in str(kind):
        return pl.Series([_json(value) for value in column.to_pylist()], dtype=pl.String)
    series = pl.Series(column)
    if series.dtype.is_float():
        return series.fill_nan(None).replace([float("inf"), float("-inf")], None)
    if series.dtype.is_numeric() or series.dtype == pl.Boolean:
        return series
    return series.dt.to_string("iso") if series.dtype == pl.Duration else series.cast(pl.String)


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(json_safe(value), ensure_ascii=False)


class ParquetExporter:
    """One Parquet file with the columns and types of the result files."""

    name = "parquet"
    suffix = ".parquet"
    tasks = ALL_TASKS

    def write(self, request: ExportRequest, target: Path) -> Exported:
        """Write the file."""
        return Exported(write_parquet(request, target))


class CsvExporter:
    """One CSV file with the columns of the result files, nested values as JSON text."""

    name = "csv"
    suffix = ".csv"
    tasks = ALL_TASKS

    def write(self, request: ExportRequest, target: Path) -> Exported:
        """Write the file."""
        with target.open("xb") as file:
            return Exported(write_csv(request, file))
