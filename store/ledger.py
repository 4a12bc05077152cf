"""The ledger of a run: the committed units and their files.

A unit counts from the moment its record is inserted. The insert is one statement, conditional on
the current lease of the run, and the first record of a unit wins: workers that outlive a former
owner by seconds, or a task that ran twice, cannot change anything. Only a retry of failed images
replaces a record: the former one is kept as superseded, and no reader sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import delete, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from snellen.store.kinds import run_table
from snellen.store.leases import Lease, lost
from snellen.store.parquet.unit_record import UnitRecord
from snellen.store.sql.columns import utc_now
from snellen.store.sql.database import Database
from snellen.store.sql.models import CURRENT_UNIT, RunUnit

_UNITS: Any = RunUnit.__table__
_CHUNK = 500
_KEY = ("run_kind", "run_id", "unit_id")
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
    values = _values(lease, record)
    current = (runs.c.id == lease.run_id, runs.c.lease_token == lease.token)
    # FOR SHARE: on Postgres a takeover waits until this transaction has ended.
    held = (
        select(*(literal(value, _UNITS.c[name].type) for name, value in values.items()))
        .where(*current)
        .with_for_update(read=True)
    )
    dialect = session.get_bind().dialect.name
    upsert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = (
        upsert(_UNITS)
        .from_select(list(values), held)
        .on_conflict_do_nothing(index_elements=list(_KEY), index_where=CURRENT_UNIT)
        .returning(_UNITS.c.id)
    )
    if session.execute(statement).first() is not None:
        return True
    if session.execute(select(runs.c.id).where(*current)).first() is None:
        raise lost(lease)
    return False


def _values(lease: Lease, record: UnitRecord) -> dict[str, Any]:
    return {
        "run_kind": lease.kind,
        "run_id": lease.run_id,
        "committed_at": utc_now(),
        **asdict(record),
    }


def supersede_unit(
    db: Database, lease: Lease, record: UnitRecord, *, replaces: str, revision: int
) -> bool:
    """Replace the current record of a unit and set the revision of the run, in one transaction.

    Args:
        db: the open database.
        lease: of the run.
        record: the new record.
        replaces: attempt of the record that it was made from.
        revision: of the run from now on.

    Returns:
        False if another record is current, such as this very one, if the connection was lost
        after the commit.

    Raises:
        LeaseLost: the lease is not current.
        RunError: DATABASE_LOCKED, DISK_FULL, DATABASE_CONNECTION.
    """

    def operation(session: Session) -> bool:
        _check_held(session, lease)
        query = select(_UNITS.c.id).where(
            *_of_run(lease), _UNITS.c.unit_id == record.unit_id, _UNITS.c.attempt == replaces
        )
        former = session.scalar(query)
        if former is None:
            return False
        # Out of the way of the unique index first; then its successor is known.
        row = update(_UNITS).where(_UNITS.c.id == former)
        session.execute(row.values(superseded_by=former))
        made: Any = session.execute(insert(_UNITS).values(**_values(lease, record)))
        session.execute(row.values(superseded_by=made.inserted_primary_key[0]))
        runs = run_table(lease.kind)
        session.execute(update(runs).where(runs.c.id == lease.run_id).values(revision=revision))
        return True

    return db.write(operation)


def _check_held(session: Session, lease: Lease) -> None:
    runs = run_table(lease.kind)
    query = select(runs.c.id).where(runs.c.id == lease.run_id, runs.c.lease_token == lease.token)
    if session.execute(query.with_for_update()).first() is None:
        raise lost(lease)


def _of_run(lease: Lease) -> tuple[Any, ...]:
    return (_UNITS.c.run_kind == lease.kind, _UNITS.c.run_id == lease.run_id, CURRENT_UNIT)


def committed_units(db: Database, kind: str, run_id: int) -> list[UnitRecord]:
    """Return the current records of a run in unit order."""
    query = (
        select(*(_UNITS.c[name] for name in _FIELDS))
        .where(_UNITS.c.run_kind == kind, _UNITS.c.run_id == run_id, CURRENT_UNIT)
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
        _check_held(session, lease)
        removed = 0
        for begin in range(0, len(wanted), _CHUNK):
            result = session.execute(
                delete(_UNITS).where(
                    *_of_run(lease), _UNITS.c.unit_id.in_(wanted[begin : begin + _CHUNK])
                )
            )
            removed += result.rowcount  # type: ignore[attr-defined]
        return removed

    return db.write(operation)
