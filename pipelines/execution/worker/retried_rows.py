"""Score the failed rows of a unit again, and keep its other rows as they are.

The rows of the current file that are not retried are copied into the new file unchanged, so that
nothing that was compared or reported before moves. A retried image is read as it is now: the size
and the time in the manifest are those of a file that was never scored. A content hash in the
manifest, and the size and time of a tar shard, still hold.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from snellen.pipelines.execution.worker.spec import Retry, ScoringSpec
from snellen.pipelines.planning.units import Unit

_PLACE = ("size", "mtime_ns")


def rows_to_score(spec: ScoringSpec, unit: Unit, manifest: pa.Table) -> pa.Table:
    """Return the rows of a unit's manifest that are scored: all, or those that are retried."""
    former = _former(spec, unit)
    if spec.retry is None or former is None:
        return manifest
    chosen = manifest.filter(retried(former, spec.retry))
    whole_file = pc.is_null(chosen["offset"])
    for name in _PLACE:
        position = chosen.schema.get_field_index(name)
        values = pc.if_else(whole_file, None, chosen[name])
        field = chosen.schema.field(position)
        chosen = chosen.set_column(position, field, values.cast(field.type))
    return chosen


def with_former_rows(spec: ScoringSpec, unit: Unit, table: pa.Table) -> pa.Table:
    """Return the rows of a unit's new file: those that were scored, and the others as before.

    Args:
        spec: of the run.
        unit: the unit.
        table: the result rows of `rows_to_score`.
    """
    former = _former(spec, unit)
    if spec.retry is None or former is None:
        return table
    kept = _aligned(former.filter(pc.invert(retried(former, spec.retry))), table.schema)
    return pa.concat_tables([kept, table]).sort_by("image_index").combine_chunks()


def retried(rows: pa.Table, retry: Retry) -> Any:
    """Return which rows are retried, from their columns ``status`` and ``error_code``."""
    codes = pa.array(sorted(retry.codes), pa.string())
    return pc.and_(pc.equal(rows["status"], "failed"), pc.is_in(rows["error_code"], codes))


def _former(spec: ScoringSpec, unit: Unit) -> pa.Table | None:
    file = None if spec.retry is None else spec.retry.files.get(unit.unit_id)
    if file is None:
        return None
    with pq.ParquetFile(spec.results_dir / file) as opened:
        return opened.read()


def _aligned(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with the columns of a schema; those that it lacks are null."""
    columns = [
        table[field.name].cast(field.type)
        if field.name in table.schema.names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
