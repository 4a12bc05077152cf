"""Leases of runs: one owner at a time may write a run, identified by a random token.

A lease is acquired in one transaction and kept alive by a heartbeat. It can be taken over when its
owner is certainly dead (same host, the process is gone) or has sent no heartbeat for 60 s. Commits
of a former owner's workers are rejected, because its token is no longer current.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from snellen.adapters.errors import InputError, RunError
from snellen.store.kinds import INFERENCE_JOB, TEST_RUN, check_columns, run_table, spoken
from snellen.store.sql.database import Database, database_now

LEASE_SECONDS = 60
"""Seconds without a heartbeat after which any process may take a run over."""

HEARTBEAT_SECONDS = 5
"""Interval in seconds at which an owner should call `heartbeat`."""

_NO_LEASE: dict[str, Any] = {
    "lease_owner": None,
    "lease_token": None,
    "lease_heartbeat_at": None,
    "cancel_requested": False,
}


class LeaseLost(RunError):  # noqa: N818 - a state, read as one
    """The run has another owner now; nothing that this process sends is stored."""


@dataclass(frozen=True)
class Lease:
    """The right to write one run.

    Attributes:
        kind: ``test_run`` or ``inference_job``.
        run_id: id of the run's row.
        token: random, new with every acquisition.
        owner: see `owner_id`.
    """

    kind: str
    run_id: int
    token: str
    owner: str


def lost(lease: Lease) -> LeaseLost:
    """Return the error for a lease whose token is not current."""
    return LeaseLost(
        "LEASE_LOST",
        f"this process ({lease.owner}) no longer holds {spoken(lease.kind)} {lease.run_id}: "
        "another process has taken it over, or it was finished or deleted. Expected the current "
        "lease. Nothing more is written here; the row of the run names its owner.",
    )


def owner_id() -> str:
    """Return ``host:pid:start:namespace`` of this process.

    The start time (seconds since the epoch) distinguishes a process from a later one with the same
    pid; the pid namespace distinguishes containers that share a host name.
    """
    return _owner_of(os.getpid())


@cache
def _owner_of(pid: int) -> str:
    start = psutil.Process(pid).create_time()
    return f"{socket.gethostname()}:{pid}:{start:.2f}:{_pid_namespace()}"


def _pid_namespace() -> str:
    try:
        return "".join(filter(str.isdigit, str(Path("/proc/self/ns/pid").readlink())))
    except OSError:
        return "0"


def owner_is_dead(owner: str) -> bool:
    """Return True if the owner's process is certainly gone: False on other hosts or in doubt."""
    parts = owner.rsplit(":", 3)
    if len(parts) != 4 or parts[0] != socket.gethostname() or parts[3] != _pid_namespace():
        return False
    try:
        pid, start = int(parts[1]), float(parts[2])
        process = psutil.Process(pid)
        # A clock correction moves the computed start time a little; pids are not reused so soon.
        reused = abs(process.create_time() - start) > 5.0
        return reused or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except (ValueError, psutil.Error):
        return False


def acquire(db: Database, kind: str, run_id: int, *, status: str | None = None) -> Lease:
    """Acquire the lease of a run and set its status to ``running``.

    Of any number of simultaneous callers exactly one succeeds.

    Args:
        db: the open database.
        kind: ``test_run`` or ``inference_job``.
        run_id: id of the run's row.
        status: the status that the run must have; None accepts every one but ``completed``.

    Raises:
        InputError: RUN_NOT_FOUND; RUN_BUSY, a living owner holds it; RUN_COMPLETED, it is
            finished; RUN_STATUS, it has another status.
    """
    table = run_table(kind)
    lease = Lease(kind, run_id, secrets.token_hex(16), owner_id())
    with db.session() as session:
        query = select(table).where(table.c.id == run_id).with_for_update()
        row = session.execute(query).mappings().one_or_none()
        now = database_now(session)
        _check_free(Wanted(kind, run_id, status), row, now)
        assert row is not None
        session.execute(
            update(table)
            .where(table.c.id == run_id)
            .values(
                status="running",
                error_message=None,
                started_at=row["started_at"] or now,
                completed_at=None,
                lease_owner=lease.owner,
                lease_token=lease.token,
                lease_heartbeat_at=now,
                cancel_requested=False,
            )
        )
    return lease


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run whose lease is requested, and the status that it must have."""

    kind: str
    run_id: int
    status: str | None


def _check_free(wanted: Wanted, row: Mapping[Any, Any] | None, now: datetime) -> None:
    kind, run_id = wanted.kind, wanted.run_id
    if row is None:
        raise InputError(
            "RUN_NOT_FOUND",
            f"there is no {spoken(kind)} {run_id}. Expected the id of a run in the database.",
        )
    if row["status"] == "completed" and wanted.status is None:
        raise InputError(
            "RUN_COMPLETED",
            f"{spoken(kind)} {run_id} is completed. Expected a run that is not finished. Start a "
            "new run, or rescore this one.",
        )
    if is_held(row, now):
        raise busy(kind, run_id, row, now)
    if wanted.status not in (None, row["status"]):
        raise InputError(
            "RUN_STATUS",
            f"{spoken(kind)} {run_id} is {row['status']}. Expected a run that is "
            f"{wanted.status}. Another process has changed it in the meantime.",
        )


def is_held(row: Mapping[Any, Any], now: datetime) -> bool:
    """Return True if a living owner holds the run of ``row`` at the time ``now`` (aware)."""
    if row["lease_token"] is None or row["lease_heartbeat_at"] is None:
        return False
    age = (now - row["lease_heartbeat_at"]).total_seconds()
    return age <= LEASE_SECONDS and not owner_is_dead(row["lease_owner"])


def busy(kind: str, run_id: int, row: Mapping[Any, Any], now: datetime) -> InputError:
    """Return the error for a run that a living owner holds, naming the owner."""
    host, pid, *_ = [*str(row["lease_owner"]).rsplit(":", 3), "?"]
    age = max(0.0, (now - row["lease_heartbeat_at"]).total_seconds())
    return InputError(
        "RUN_BUSY",
        f"process {pid} on host {host} is writing {spoken(kind)} {run_id} (last heartbeat "
        f"{age:.0f} s ago). Expected a run without an owner. Stop that process, or wait: a "
        f"run without a heartbeat for {LEASE_SECONDS} s can be taken over.",
    )


class Beat(StrEnum):
    """Result of a heartbeat: the lease is held, a cancel was requested, or the lease is lost."""

    HELD = "held"
    CANCEL = "cancel"
    LOST = "lost"


def heartbeat(db: Database, lease: Lease) -> Beat:
    """Record that the owner is alive and read its cancel flag."""
    table = run_table(lease.kind)

    def operation(session: Session) -> Beat:
        if not update_held(session, lease, {"lease_heartbeat_at": database_now(session)}):
            return Beat.LOST
        query = select(table.c.cancel_requested).where(table.c.id == lease.run_id)
        return Beat.CANCEL if session.scalar(query) else Beat.HELD

    return db.write(operation)


def request_cancel(db: Database, kind: str, run_id: int) -> str:
    """Ask the owner of a run to stop; a run without an owner is cancelled at once.

    Returns:
        ``running`` if a living owner was asked, else ``cancelled``.

    Raises:
        InputError: RUN_NOT_FOUND; RUN_COMPLETED, the run is finished.
    """
    table = run_table(kind)
    with db.session() as session:
        query = select(table).where(table.c.id == run_id).with_for_update()
        row = session.execute(query).mappings().one_or_none()
        if row is not None and is_held(row, database_now(session)):
            values: dict[str, Any] = {"cancel_requested": True}
        else:
            _check_free(Wanted(kind, run_id, None), row, database_now(session))
            values = {"status": "cancelled", **_NO_LEASE}
        session.execute(update(table).where(table.c.id == run_id).values(**values))
    return str(values.get("status", "running"))


def release(db: Database, lease: Lease, *, status: str, **columns: Any) -> bool:
    """Release the lease and set the status and other columns; False if the lease is lost."""
    check_columns(lease.kind, columns)
    values = {"status": status, **columns, **_NO_LEASE}
    return db.write(lambda session: update_held(session, lease, values))


def update_held(session: Session, lease: Lease, values: dict[str, Any]) -> bool:
    """Update the row of the run; False if the lease is not current."""
    table = run_table(lease.kind)
    result = session.execute(
        update(table)
        .where(table.c.id == lease.run_id, table.c.lease_token == lease.token)
        .values(**values)
    )
    changed: int = result.rowcount  # type: ignore[attr-defined]
    return changed == 1


def released() -> dict[str, Any]:
    """Return the column values of a run without a lease."""
    return dict(_NO_LEASE)


def interrupt_abandoned(db: Database) -> list[tuple[str, int]]:
    """Set running runs without a living owner to ``interrupted``; return their (kind, id)s."""
    done: list[tuple[str, int]] = []
    with db.session() as session:
        now = database_now(session)
        for kind in (TEST_RUN, INFERENCE_JOB):
            table = run_table(kind)
            rows = session.execute(
                select(
                    table.c.id, table.c.lease_owner, table.c.lease_token, table.c.lease_heartbeat_at
                )
                .where(table.c.status == "running")
                .with_for_update()
            ).mappings()
            dead = [row["id"] for row in rows.all() if not is_held(row, now)]
            if dead:
                session.execute(
                    update(table)
                    .where(table.c.id.in_(dead))
                    .values(status="interrupted", **_NO_LEASE)
                )
            done += [(kind, run_id) for run_id in dead]
    return done
