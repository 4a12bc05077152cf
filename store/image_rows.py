"""Per-image rows in SQL: bulk insert for finished runs, single rows for recorded requests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from snellen.store.kinds import INFERENCE_JOB, check_columns, image_table, run_table
from snellen.store.sql.database import Database

_CHUNK = 5000
_MAX_PARAMETERS = 500
_GENERATED = ("id", "created_at")


def insert_image_rows(
    session: Session, kind: str, run_id: int, rows: Iterable[dict[str, Any]]
) -> int:
    """Insert the result rows of a run and return their number.

    Columns that the SQL table does not have are skipped. ``extra_data`` may be JSON text (as in the
    result files) or an object.
    """
    table, parent = image_table(kind)
    names = [column.name for column in table.columns if column.name not in (*_GENERATED, parent)]
    statement = insert(table)
    total = 0
    for chunk in _chunks(rows):
        values = [_values(row, names, parent, run_id) for row in chunk]
        session.execute(statement, values)
        total += len(values)
    return total


def _chunks(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _values(row: dict[str, Any], names: Sequence[str], parent: str, run_id: int) -> dict[str, Any]:
    values = {name: row.get(name) for name in names}
    if isinstance(values["extra_data"], str):
        values["extra_data"] = json.loads(values["extra_data"])
    values[parent] = run_id
    return values


def image_row_ids(
    db: Database, kind: str, run_id: int, indices: Sequence[int]
) -> dict[int, tuple[int, datetime]]:
    """Return id and time of the rows in SQL by image index; runs above the limit have none."""
    table, parent = image_table(kind)
    query = select(table.c.image_index, table.c.id, table.c.created_at).where(
        table.c[parent] == run_id, table.c.image_index.in_(list(indices))
    )
    rows = db.query(lambda session: session.execute(query).all())
    return {index: (row_id, moment) for index, row_id, moment in rows}


def recorded_rows(db: Database, job_id: int) -> list[dict[str, Any]]:
    """Return the rows in SQL of an inference job, in image order."""
    table, parent = image_table(INFERENCE_JOB)
    query = select(table).where(table.c[parent] == job_id).order_by(table.c.image_index)
    rows = db.query(lambda session: session.execute(query).mappings().all())
    return [dict(row) for row in rows]


def forget_pictures(db: Database, paths: Sequence[str]) -> None:
    """Clear ``visualization_path`` in the rows of inference jobs that have one of ``paths``."""
    table, _ = image_table(INFERENCE_JOB)
    iterator = iter(paths)
    while chunk := list(islice(iterator, _MAX_PARAMETERS)):
        chosen = table.c.visualization_path.in_(chunk)
        with db.session() as session:
            session.execute(update(table).where(chosen).values(visualization_path=None))


def record_request(db: Database, job: dict[str, Any], row: dict[str, Any]) -> tuple[int, int]:
    """Insert a finished inference job and its only result row in one transaction.

    Args:
        db: the open database.
        job: columns of ``inference_jobs``.
        row: a result row.

    Returns:
        The ids of the job and of the result.

    Raises:
        ValueError: a column that ``inference_jobs`` does not have.
    """
    check_columns(INFERENCE_JOB, job)
    table, parent = image_table(INFERENCE_JOB)
    names = [column.name for column in table.columns if column.name not in (*_GENERATED, parent)]
    with db.session() as session:
        made: Any = session.execute(insert(run_table(INFERENCE_JOB)).values(**job))
        job_id = int(made.inserted_primary_key[0])
        added: Any = session.execute(insert(table).values(**_values(row, names, parent, job_id)))
        return job_id, int(added.inserted_primary_key[0])
