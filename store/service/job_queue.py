"""The queue of jobs: test runs, inference jobs and analyses that wait for a worker.

A worker claims a job in one transaction and keeps the claim alive with a heartbeat. Another worker
may claim it when its owner is certainly dead or has been silent for 60 s, by the rules of
`snellen.store.leases`. The entry is removed when the job has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from snellen.store.kinds import INFERENCE_JOB, TEST_RUN, run_table
from snellen.store.leases import LEASE_SECONDS, is_held, owner_is_dead, released
from snellen.store.sql.database import Database, database_now
from snellen.store.sql.service_tables import Analysis, QueuedJob

ANALYSIS = "analysis"
"""Kind of job of comparisons and exports."""
RUN_KINDS = (TEST_RUN, INFERENCE_JOB)
_QUEUE: Any = QueuedJob.__table__


def enqueue(
    db: Database, kind: str, job_id: int, *, retry_failed: Sequence[str] | None = None
) -> None:
    """Put a job in the queue; one that is there keeps its place."""
    codes = None if retry_failed is None else list(retry_failed)

    def operation(session: Session) -> None:
        dialect = session.get_bind().dialect.name
        upsert = postgresql.insert if dialect == "postgresql" else sqlite.insert
        # In one statement: of several writers on Postgres, none may find the job in the queue.
        session.execute(
            upsert(_QUEUE)
            .values(job_kind=kind, job_id=job_id, retry_failed=codes)
            .on_conflict_do_update(
                index_elements=["job_kind", "job_id"],
                set_={"retry_failed": codes, "attempts": 0},
            )
        )

    db.write(operation)


def requeue(db: Database, kind: str, run_id: int, retry_failed: Sequence[str] | None) -> bool:
    """Put a run that has ended in the queue again, to be resumed.

    Its status becomes ``pending``; a completed run keeps its status until failed images are
    scored again.

    Returns:
        False if a living process is working on it.
    """
    table = run_table(kind)

    def operation(session: Session) -> bool:
        query = select(table).where(table.c.id == run_id).with_for_update()
        row = session.execute(query).mappings().one_or_none()
        if row is None or is_held(row, database_now(session)):
            return False
        if row["status"] != "completed":
            values = {"status": "pending", "error_message": None, **released()}
            session.execute(update(table).where(table.c.id == run_id).values(**values))
        return True

    free = db.write(operation)
    if free:
        enqueue(db, kind, run_id, retry_failed=retry_failed)
    return free


def dequeue(db: Database, kind: str, job_id: int) -> None:
    """Remove a job from the queue, if it is there and no worker has it."""
    ours = (_QUEUE.c.job_kind == kind) & (_QUEUE.c.job_id == job_id)
    with db.session() as session:
        session.execute(delete(_QUEUE).where(ours, _QUEUE.c.claim_token.is_(None)))


def remove_from_queue(session: Session, kind: str, job_id: int) -> None:
    """Remove a job from the queue inside a transaction."""
    session.execute(delete(_QUEUE).where(_QUEUE.c.job_kind == kind, _QUEUE.c.job_id == job_id))


def queued_jobs(db: Database, kind: str) -> set[int]:
    """Return the ids of the jobs of a kind that wait or are executed by a worker."""
    query = select(_QUEUE.c.job_id).where(_QUEUE.c.job_kind == kind)
    return set(db.query(lambda session: session.scalars(query).all()))


def is_free(entry: Mapping[Any, Any], now: datetime) -> bool:
    """Return True if no living worker has the job of an entry, at the time ``now`` (aware)."""
    if entry["claim_owner"] is None or entry["claimed_at"] is None:
        return True
    silent = (now - entry["claimed_at"]).total_seconds()
    return bool(silent > LEASE_SECONDS or owner_is_dead(entry["claim_owner"]))


def jobs_left(db: Database) -> bool:
    """Return True if a job is in the queue that no living worker has."""

    def operation(session: Session) -> bool:
        now = database_now(session)
        return any(is_free(row, now) for row in session.execute(select(_QUEUE)).mappings())

    return db.query(operation)


def job_table(kind: str) -> Any:
    """Return the table of a kind of job."""
    return Analysis.__table__ if kind == ANALYSIS else run_table(kind)


def run_status(db: Database, kind: str, job_id: int) -> str | None:
    """Return the status of a job's row, or None without one."""
    table = job_table(kind)
    query = select(table.c.status).where(table.c.id == job_id)
    found: str | None = db.query(lambda session: session.scalar(query))
    return found


def fail_unstarted(db: Database, kind: str, run_id: int, message: str) -> bool:
    """Set a pending run to ``failed`` with a message; False if it is not pending any more."""
    table = run_table(kind)

    def operation(session: Session) -> bool:
        result: Any = session.execute(
            update(table)
            .where(table.c.id == run_id, table.c.status == "pending")
            .values(status="failed", error_message=message)
        )
        return bool(result.rowcount)

    return db.write(operation)
