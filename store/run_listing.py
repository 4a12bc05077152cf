"""Test runs and inference jobs in one list: filtered, sorted and counted in the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Select, Subquery, func, literal, null, or_, select, union_all
from sqlalchemy.orm import Session

from snellen.store import results_path
from snellen.store.kinds import INFERENCE_JOB, TEST_RUN, run_table
from snellen.store.sql.database import Database
from snellen.store.sql.models import TrainingJob
from snellen.store.views import AnyRun, InferenceJobView, RunView

SortKey = Literal["started", "id", "name", "status", "images", "failed", "result"]
KINDS = (TEST_RUN, INFERENCE_JOB)
_JOBS: Any = TrainingJob.__table__
_HEAVY = ("per_class_metrics", "confusion_matrix", "details")
_SORTED = {
    "started": "created_at",
    "id": "id",
    "name": "name",
    "status": "status",
    "images": "total_images",
    "failed": "failed_images",
    "result": "primary_metric_value",
}


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Conditions and order of the list; None is no condition.

    Attributes:
        kind: ``test_run`` or ``inference_job``.
        status: status of the runs.
        task_type: task of the model.
        training_job_id: training job of the checkpoint.
        text: part of the run's name, the training job's, the checkpoint's or the dataset's path;
            case is ignored.
        since: earliest time of submission.
        sort: column to sort by.
        descending: from the highest value.
    """

    kind: str | None = None
    status: str | None = None
    task_type: str | None = None
    training_job_id: int | None = None
    text: str | None = None
    since: datetime | None = None
    sort: SortKey = "started"
    descending: bool = True


@dataclass(frozen=True, slots=True)
class ListedRun:
    """One entry of the list; test runs are without their heavy columns."""

    kind: str
    run: AnyRun
    job_name: str


def list_runs(db: Database, query: ListQuery, *, limit: int, offset: int = 0) -> list[ListedRun]:
    """Return one page of the list."""
    found = _found(query)
    key = found.c[_SORTED[query.sort]]
    order = key.desc() if query.descending else key.asc()
    # Values that are missing come last, whatever the order; then the newest first.
    page = (
        select(found.c.kind, found.c.id, found.c.job_name)
        .order_by(key.is_(None), order, found.c.created_at.desc(), found.c.id.desc())
        .limit(limit)
        .offset(offset)
    )

    def operation(session: Session) -> list[ListedRun]:
        entries = session.execute(page).all()
        rows = {
            kind: _rows(db, session, kind, [entry.id for entry in entries if entry.kind == kind])
            for kind in KINDS
        }
        # A run that was deleted in between is left out.
        return [
            ListedRun(entry.kind, rows[entry.kind][entry.id], entry.job_name)
            for entry in entries
            if entry.id in rows[entry.kind]
        ]

    return db.query(operation)


def count_runs(db: Database, query: ListQuery) -> dict[str, int]:
    """Return the number of entries on all pages, by kind."""
    found = _found(query)
    counts = select(found.c.kind, func.count()).group_by(found.c.kind)
    rows = db.query(lambda session: session.execute(counts).all())
    return dict.fromkeys(KINDS, 0) | {str(kind): int(count) for kind, count in rows}


def count_statuses(db: Database) -> dict[str, int]:
    """Return the number of runs and jobs by status; a status that none has is missing."""
    found = _found(ListQuery())
    counts = select(found.c.status, func.count()).group_by(found.c.status)
    rows = db.query(lambda session: session.execute(counts).all())
    return {str(status): int(count) for status, count in rows}


def _rows(db: Database, session: Session, kind: str, ids: list[int]) -> dict[int, AnyRun]:
    table = run_table(kind)
    view: type[RunView] | type[InferenceJobView] = RunView if kind == TEST_RUN else InferenceJobView
    columns = (column for column in table.columns if column.name not in _HEAVY)
    query = select(*columns).where(table.c.id.in_(ids))
    rows = session.execute(query).mappings() if ids else ()
    return {row["id"]: view.of(results_path.opened(db, row)) for row in rows}


def _found(query: ListQuery) -> Subquery:
    kinds = KINDS if query.kind is None else (query.kind,)
    return union_all(*(_of_kind(kind, query) for kind in kinds)).subquery()


def _of_kind(kind: str, query: ListQuery) -> Select[Any]:
    table = run_table(kind)
    labelled = kind == TEST_RUN
    chosen = select(
        literal(kind).label("kind"),
        table.c.id,
        table.c.name,
        table.c.status,
        table.c.total_images,
        table.c.failed_images,
        table.c.created_at,
        (table.c.primary_metric_value if labelled else null()).label("primary_metric_value"),
        _JOBS.c.name.label("job_name"),
    ).join_from(table, _JOBS, table.c.training_job_id == _JOBS.c.id)
    for column in ("status", "task_type", "training_job_id"):
        wanted = getattr(query, column)
        if wanted is not None:
            chosen = chosen.where(table.c[column] == wanted)
    if query.since is not None:
        chosen = chosen.where(table.c.created_at >= query.since)
    if query.text:
        texts = [table.c.name, table.c.checkpoint_path, _JOBS.c.name]
        texts += [table.c.dataset_path] if labelled else []
        chosen = chosen.where(or_(*(text.icontains(query.text, autoescape=True) for text in texts)))
    return chosen
