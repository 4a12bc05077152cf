"""Comparisons and exports that were requested over HTTP: their requests and their results."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update

from snellen.adapters.errors import InputError
from snellen.store import results_path
from snellen.store.service.job_queue import ANALYSIS, remove_from_queue
from snellen.store.sql.columns import utc_now
from snellen.store.sql.database import Database
from snellen.store.sql.service_tables import Analysis, QueuedJob

_ANALYSES: Any = Analysis.__table__
COMPARISON, EXPORT = "comparison", "export"
_FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class AnalysisView:
    """A row of ``analyses``; see `snellen.store.sql.service_tables.Analysis`."""

    id: int
    kind: str
    run_kind: str
    run_ids: list[int]
    request: dict[str, Any]
    status: str
    result: dict[str, Any] | None
    file: str | None
    folder: str | None
    error_code: str | None
    error_message: str | None
    created_at: datetime
    completed_at: datetime | None


def create_analysis(
    db: Database, kind: str, run_kind: str, run_ids: Sequence[int], request: Mapping[str, Any]
) -> AnalysisView:
    """Store the request of a comparison or an export, and put it in the queue."""
    with db.session() as session:
        made: Any = session.execute(
            insert(_ANALYSES).values(
                kind=kind, run_kind=run_kind, run_ids=list(run_ids), request=dict(request)
            )
        )
        found = int(made.inserted_primary_key[0])
        queue: Any = QueuedJob.__table__
        session.execute(insert(queue).values(job_kind=ANALYSIS, job_id=found))
    return get_analysis(db, kind, found)


def get_analysis(db: Database, kind: str | None, analysis_id: int) -> AnalysisView:
    """Return a comparison or an export; ``kind`` None accepts both.

    Raises:
        InputError: ANALYSIS_NOT_FOUND.
    """
    query = select(_ANALYSES).where(_ANALYSES.c.id == analysis_id)
    if kind is not None:
        query = query.where(_ANALYSES.c.kind == kind)
    row = db.query(lambda session: session.execute(query).mappings().first())
    if row is None:
        raise InputError(
            "ANALYSIS_NOT_FOUND",
            f"there is no {kind or 'analysis'} {analysis_id}. Expected the id of one.",
        )
    return _view(db, row)


def update_analysis(db: Database, analysis_id: int, **columns: Any) -> bool:
    """Set columns of a comparison or an export; an end status sets ``completed_at``.

    Returns:
        False if it has been deleted.
    """
    if columns.get("status") in {"completed", "failed"}:
        columns["completed_at"] = utc_now()
    values = results_path.stored(db, columns, _FOLDER)
    statement = update(_ANALYSES).where(_ANALYSES.c.id == analysis_id).values(**values)
    changed: Any = db.write(lambda session: session.execute(statement))
    return bool(changed.rowcount)


def delete_analysis(db: Database, found: AnalysisView) -> None:
    """Delete the row of a comparison or an export, then its folder."""
    with db.session() as session:
        remove_from_queue(session, ANALYSIS, found.id)
        session.execute(delete(_ANALYSES).where(_ANALYSES.c.id == found.id))
    if found.folder is not None:
        shutil.rmtree(found.folder, ignore_errors=True)


def exports_of(db: Database, run_kind: str, *run_ids: int) -> list[AnalysisView]:
    """Return the exports of some runs, newest first."""
    chosen = set(run_ids)
    query = (
        select(_ANALYSES)
        .where(_ANALYSES.c.kind == EXPORT, _ANALYSES.c.run_kind == run_kind)
        .order_by(_ANALYSES.c.id.desc())
    )
    rows = db.query(lambda session: session.execute(query).mappings().all())
    return [_view(db, row) for row in rows if row["run_ids"][0] in chosen]


def _view(db: Database, row: Mapping[Any, Any]) -> AnalysisView:
    return AnalysisView(**results_path.opened(db, row, _FOLDER))
