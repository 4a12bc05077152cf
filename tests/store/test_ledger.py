"""The ledger: the first record of a unit wins, and only the current owner can write one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from snellen.store.leases import LeaseLost, acquire, release
from snellen.store.ledger import (
    commit_unit,
    commit_units,
    committed_units,
    drop_units,
    supersede_unit,
)
from snellen.store.parquet.unit_record import UnitRecord
from snellen.store.runs import delete_run, get_test_run
from snellen.store.sql.columns import utc_now
from snellen.store.sql.database import Database
from snellen.store.sql.models import RunUnit, TestRun

Unit = Callable[..., UnitRecord]


def test_records_come_back_in_unit_order(db: Database, run_id: int, unit: Unit) -> None:
    lease = acquire(db, "test_run", run_id)
    assert commit_unit(db, lease, unit(2))
    assert commit_units(db, lease, [unit(1), unit(0)]) == [True, True]
    assert committed_units(db, "test_run", run_id) == [unit(0), unit(1), unit(2)]
    assert committed_units(db, "inference_job", run_id) == []


def test_the_first_record_of_a_unit_wins(db: Database, run_id: int, unit: Unit) -> None:
    lease = acquire(db, "test_run", run_id)
    assert commit_unit(db, lease, unit(0, "a1"))
    assert not commit_unit(db, lease, unit(0, "a2"))
    assert commit_units(db, lease, [unit(0, "a3"), unit(1, "a3")]) == [False, True]
    assert [record.attempt for record in committed_units(db, "test_run", run_id)] == ["a1", "a3"]


def test_a_former_owner_cannot_commit(db: Database, run_id: int, unit: Unit) -> None:
    former = acquire(db, "test_run", run_id)
    silent = utc_now() - timedelta(minutes=2)
    with db.session() as session:
        session.execute(update(TestRun).values(lease_heartbeat_at=silent))
    current = acquire(db, "test_run", run_id)
    with pytest.raises(LeaseLost):
        commit_unit(db, former, unit(0))
    assert commit_unit(db, current, unit(0))
    with pytest.raises(LeaseLost):  # and not "already committed"
        commit_unit(db, former, unit(0))
    with pytest.raises(LeaseLost):
        drop_units(db, former, [0])
    assert len(committed_units(db, "test_run", run_id)) == 1


def test_a_batch_with_a_lost_lease_stores_nothing(db: Database, run_id: int, unit: Unit) -> None:
    lease = acquire(db, "test_run", run_id)
    release(db, lease, status="interrupted")
    with pytest.raises(LeaseLost):
        commit_units(db, lease, [unit(0), unit(1)])
    assert committed_units(db, "test_run", run_id) == []


def test_concurrent_commits_lose_nothing_and_store_nothing_twice(
    db: Database, run_id: int, unit: Unit
) -> None:
    lease = acquire(db, "test_run", run_id)

    def commit(worker: int) -> int:
        return sum(commit_unit(db, lease, unit(i, f"w{worker}")) for i in range(15))

    with ThreadPoolExecutor(10) as pool:
        inserted = sum(pool.map(commit, range(10)))
    assert inserted == 15
    assert [r.unit_id for r in committed_units(db, "test_run", run_id)] == list(range(15))


def test_no_commit_of_a_former_owner_is_seen_after_a_takeover(
    db: Database, run_id: int, unit: Unit
) -> None:
    former = acquire(db, "test_run", run_id)
    counts: list[int] = []
    started = threading.Event()

    def commit() -> None:
        try:
            for i in range(10_000):
                commit_unit(db, former, unit(i))
                started.set()
        except LeaseLost:
            counts.append(i)

    thread = threading.Thread(target=commit)
    thread.start()
    started.wait(10)
    assert release(db, former, status="interrupted")
    acquire(db, "test_run", run_id)
    seen = len(committed_units(db, "test_run", run_id))
    thread.join()
    assert counts == [seen]
    assert len(committed_units(db, "test_run", run_id)) == seen


def test_dropped_units_can_be_committed_again(db: Database, run_id: int, unit: Unit) -> None:
    lease = acquire(db, "test_run", run_id)
    commit_units(db, lease, [unit(i) for i in range(4)])
    assert drop_units(db, lease, [1, 2, 77]) == 2
    assert drop_units(db, lease, []) == 0
    assert [r.unit_id for r in committed_units(db, "test_run", run_id)] == [0, 3]
    assert commit_unit(db, lease, unit(1, "a2"))


def test_deleting_a_run_deletes_its_ledger(db: Database, run_id: int, unit: Unit) -> None:
    lease = acquire(db, "test_run", run_id)
    commit_unit(db, lease, unit(0))
    release(db, lease, status="cancelled")
    delete_run(db, run_id)
    assert committed_units(db, "test_run", run_id) == []


def test_a_retried_unit_supersedes_its_record(db: Database, run_id: int, unit: Unit) -> None:
    lease = acquire(db, "test_run", run_id)
    commit_units(db, lease, [unit(0), unit(1)])
    assert supersede_unit(db, lease, unit(0, "r1"), replaces="a1", revision=1)
    assert committed_units(db, "test_run", run_id) == [unit(0, "r1"), unit(1)]
    assert get_test_run(db, run_id).revision == 1
    with db.read() as session:
        ids = {row.id: row.superseded_by for row in session.scalars(select(RunUnit))}
    former = [row for row in ids.items() if row[1] is not None]
    assert len(ids) == 3
    assert len(former) == 1
    assert former[0][1] in ids
    assert former[0][1] != former[0][0]
    # repeated after a lost connection, or made from a record that is not current
    assert not supersede_unit(db, lease, unit(0, "r1"), replaces="a1", revision=1)
    assert not supersede_unit(db, lease, unit(7, "r1"), replaces="a1", revision=9)
    assert not commit_unit(db, lease, unit(0, "a3"))
    assert get_test_run(db, run_id).revision == 1
    assert supersede_unit(db, lease, unit(0, "r2"), replaces="r1", revision=2)
    assert committed_units(db, "test_run", run_id) == [unit(0, "r2"), unit(1)]
    assert drop_units(db, lease, [0]) == 1
    assert commit_unit(db, lease, unit(0, "a4"))


def test_a_former_owner_cannot_supersede(db: Database, run_id: int, unit: Unit) -> None:
    former = acquire(db, "test_run", run_id)
    commit_unit(db, former, unit(0))
    release(db, former, status="interrupted")
    acquire(db, "test_run", run_id)
    with pytest.raises(LeaseLost):
        supersede_unit(db, former, unit(0, "r1"), replaces="a1", revision=1)
    assert committed_units(db, "test_run", run_id) == [unit(0)]


def test_two_records_of_a_unit_are_never_current(db: Database, run_id: int, unit: Unit) -> None:
    lease = acquire(db, "test_run", run_id)
    commit_unit(db, lease, unit(0))
    with pytest.raises(IntegrityError), db.session() as session:
        session.add(RunUnit(run_kind="test_run", run_id=run_id, **asdict(unit(0, "a2"))))
        session.flush()
