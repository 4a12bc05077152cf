"""The ledger of a run: the committed units and their files.

A unit counts from the moment its record is inserted. The insert is one statement, conditional on
the current lease of the run, and the first record of a unit wins: workers that outlive a former
owner by seconds, or a task that ran twice, cannot change anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import delete, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from snellen.store.kinds import run_table
from snellen.store.leases import Lease, lost
from snellen.store.parquet.unit_record import UnitRecord
from snellen.store.sql.columns import utc_now
from snellen.store.sql.database import Database
from snellen.store.sql.models import RunUnit

_UNITS: Any = RunUnit.__table__
_CHUNK = 500


_FIELDS = tuple(field.name for field in fields(UnitRecord))


def commit_unit(db: Database, lease: Lease, record: UnitRecord) -> bool:
    """Insert one record; see `commit_units`."""
    return commit_units(db, lease, [record])[0]


def commit_units(db: Database, lease: Lease, records: Sequence[UnitRecord]) -> list[bool]:
    """Insert records in one transaction: all are stored, or none on an exception.

    Returns:
        One value per record: True if it was inserted, False if the ledger already has its unit
        (possibly this very record, if the connection was lost after the commit).

    Raises:
        LeaseLost: the lease is not current.
        RunError: DATABASE_LOCKED, DISK_FULL, DATABASE_CONNECTION.
    """
    return db.write(lambda session: [_insert(session, lease, record) for record in records])


def _insert(session: Session, lease: Lease, record: UnitRecord) -> bool:
    runs = run_table(lease.kind)
    values = {
        "run_kind": lease.kind,
        "run_id": lease.run_id,
        "committed_at": utc_now(),
        **asdict(record),
    }
    current = (runs.c.id == lease.run_id, runs.c.lease_token == lease.token)
    # FOR SHARE: on Postgres a takeover waits until this transaction has ended.
    held = (
        select(*(literal(value, _UNITS.c[name].type) for name, value in values.items()))
        .where(*current)
        .with_for_update(read=True)
    )
    dialect = session.get_bind().dialect.name
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = (
        insert(_UNITS)
        .from_select(list(values), held)
        .on_conflict_do_nothing(index_elements=["run_kind", "run_id", "unit_id"])
        .returning(_UNITS.c.id)
    )
    if session.execute(statement).first() is not None:
        return True
    if session.execute(select(runs.c.id).where(*current)).first() is None:
        raise lost(lease)
    return False


def committed_units(db: Database, kind: str, run_id: int) -> list[UnitRecord]:
    """Return the records of a run in unit order."""
    query = (
        select(*(_UNITS.c[name] for name in _FIELDS))
        .where(_UNITS.c.run_kind == kind, _UNITS.c.run_id == run_id)
        .order_by(_UNITS.c.unit_id)
    )
    rows = db.query(lambda session: session.execute(query).mappings().all())
    return [
        UnitRecord(**{**row, "timings": row["timings"] or {}, "counts": row["counts"] or {}})
        for row in rows
    ]


def drop_units(db: Database, lease: Lease, unit_ids: Iterable[int]) -> int:
    """Delete records, so that their units are run again; return the number of deleted ones.

    Raises:
        LeaseLost: the lease is not current.
    """
    wanted = sorted(set(unit_ids))

    def operation(session: Session) -> int:
        runs = run_table(lease.kind)
        current = (
            select(runs.c.id)
            .where(runs.c.id == lease.run_id, runs.c.lease_token == lease.token)
            .with_for_update(read=True)
        )
        if session.execute(current).first() is None:
            raise lost(lease)
        removed = 0
        for begin in range(0, len(wanted), _CHUNK):
            result = session.execute(
                delete(_UNITS).where(
                    _UNITS.c.run_kind == lease.kind,
                    _UNITS.c.run_id == lease.run_id,
                    _UNITS.c.unit_id.in_(wanted[begin : begin + _CHUNK]),
                )
            )
            removed += result.rowcount  # type: ignore[attr-defined]
        return removed

    return db.write(operation)
