"""Claims of queued jobs: of any number of workers, one executes a job."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from snellen.store.leases import is_held, owner_id, released
from snellen.store.service.job_queue import (
    ANALYSIS,
    RUN_KINDS,
    is_free,
    job_table,
    remove_from_queue,
)
from snellen.store.sql.columns import utc_now
from snellen.store.sql.database import Database, database_now
from snellen.store.sql.models import CURRENT_UNIT, RunUnit
from snellen.store.sql.service_tables import QueuedJob

MAX_ATTEMPTS = 3
"""Number of processes that may die over a job, without progress in between, before it fails."""
_HELD_S = 5.0
"""Seconds until a run that a process outside of the queue executes is looked at again."""

_QUEUE: Any = QueuedJob.__table__
_UNITS: Any = RunUnit.__table__


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job of the queue that this worker executes.

    Attributes:
        kind: ``test_run``, ``inference_job`` or ``analysis``.
        job_id: id of its row.
        retry_failed: error codes of failed images to score again; None: none.
        token: of the claim.
    """

    kind: str
    job_id: int
    retry_failed: list[str] | None
    token: str


def claim_job(db: Database, kinds: Iterable[str]) -> ClaimedJob | None:
    """Claim the oldest job that no living worker has, or return None.

    Jobs that have ended meanwhile are removed. A run whose processes died `MAX_ATTEMPTS` times
    without progress fails.
    """
    wanted = (
        select(_QUEUE)
        .where(
            _QUEUE.c.job_kind.in_(list(kinds)),
            or_(_QUEUE.c.not_before.is_(None), _QUEUE.c.not_before <= utc_now()),
        )
        .order_by(_QUEUE.c.id)
    )

    def waiting(session: Session) -> bool:
        now = database_now(session)
        return any(is_free(row, now) for row in session.execute(wanted).mappings())

    # Looking first keeps an idle worker from taking SQLite's write lock every second.
    if not db.query(waiting):
        return None

    def operation(session: Session) -> ClaimedJob | None:
        now = database_now(session)
        for row in session.execute(wanted.with_for_update(skip_locked=True)).mappings().all():
            if is_free(row, now):
                claimed = _claim(session, row, now)
                if claimed is not None:
                    return claimed
        return None

    return db.write(operation)


def _claim(session: Session, row: Mapping[Any, Any], now: datetime) -> ClaimedJob | None:
    kind, job_id = row["job_kind"], row["job_id"]
    attempts, progress = row["attempts"], row["progress"]
    if kind in RUN_KINDS:
        done = _committed(session, kind, job_id)
        attempts = 0 if done > progress else attempts
        progress = done
    state = _state(session, row, now)
    if state == "open" and attempts >= MAX_ATTEMPTS:
        _fail(session, kind, job_id, attempts)
        state = "ended"
    if state == "ended":
        remove_from_queue(session, kind, job_id)
        return None
    if state == "held":
        later = utc_now() + timedelta(seconds=_HELD_S)
        session.execute(update(_QUEUE).where(_QUEUE.c.id == row["id"]).values(not_before=later))
        return None
    token = secrets.token_hex(16)
    session.execute(
        update(_QUEUE)
        .where(_QUEUE.c.id == row["id"])
        .values(
            claim_owner=owner_id(),
            claim_token=token,
            claimed_at=now,
            attempts=attempts + 1,
            progress=progress,
            not_before=None,
        )
    )
    return ClaimedJob(kind, job_id, row["retry_failed"], token)


def _state(session: Session, entry: Mapping[Any, Any], now: datetime) -> str:
    """Return ``open``, ``held`` by a process outside of the queue, or ``ended``."""
    table = job_table(entry["job_kind"])
    query = select(table).where(table.c.id == entry["job_id"]).with_for_update()
    row = session.execute(query).mappings().one_or_none()
    if row is None:
        return "ended"
    status = row["status"]
    if entry["job_kind"] == ANALYSIS:
        return "open" if status in {"pending", "running"} else "ended"
    if is_held(row, now):
        return "held"
    if status == "completed":
        return "ended" if entry["retry_failed"] is None else "open"
    return "open" if status in {"pending", "running", "interrupted"} else "ended"


def _committed(session: Session, kind: str, run_id: int) -> int:
    query = select(func.coalesce(func.sum(_UNITS.c.rows), 0)).where(
        _UNITS.c.run_kind == kind, _UNITS.c.run_id == run_id, CURRENT_UNIT
    )
    return int(session.scalar(query) or 0)


def _fail(session: Session, kind: str, job_id: int, attempts: int) -> None:
    values: dict[str, Any] = {
        "status": "failed",
        "error_message": f"the process of this job died {attempts} times without progress. "
        "Expected it to finish. See the log of the worker, and check that there is enough memory; "
        "then resume it.",
    }
    values |= {} if kind == ANALYSIS else released()
    table = job_table(kind)
    session.execute(update(table).where(table.c.id == job_id).values(**values))


def keep_claim(db: Database, job: ClaimedJob) -> bool:
    """Record that the worker of a job is alive; False if another worker has the job now."""

    def operation(session: Session) -> bool:
        result: Any = session.execute(
            update(_QUEUE).where(*_of(job)).values(claimed_at=database_now(session))
        )
        return bool(result.rowcount)

    return db.write(operation)


def end_claim(
    db: Database, job: ClaimedJob, *, again_after_s: float | None = None, count: bool = True
) -> None:
    """Give a job up: remove it from the queue, or leave it to be taken again.

    Args:
        db: the open database.
        job: a job that this worker claimed.
        again_after_s: seconds after which any worker may take it again; None removes it.
        count: False if the attempt does not count, because the worker itself was stopped.
    """

    def operation(session: Session) -> None:
        if again_after_s is None:
            session.execute(delete(_QUEUE).where(*_of(job)))
            return
        values: dict[str, Any] = {
            "claim_owner": None,
            "claim_token": None,
            "claimed_at": None,
            "not_before": utc_now() + timedelta(seconds=again_after_s),
        }
        if not count:
            values["attempts"] = _QUEUE.c.attempts - 1
        session.execute(update(_QUEUE).where(*_of(job)).values(**values))

    db.write(operation)


def _of(job: ClaimedJob) -> tuple[Any, ...]:
    return (
        _QUEUE.c.job_kind == job.kind,
        _QUEUE.c.job_id == job.job_id,
        _QUEUE.c.claim_token == job.token,
    )
