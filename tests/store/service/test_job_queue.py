"""The queue: a job is taken by one worker, by another after its death, and ends once."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from snellen.store.leases import acquire, release
from snellen.store.ledger import commit_unit
from snellen.store.parquet.unit_record import UnitRecord
from snellen.store.runs import delete_run, get_test_run
from snellen.store.service.job_claims import MAX_ATTEMPTS, claim_job, end_claim, keep_claim
from snellen.store.service.job_queue import dequeue, enqueue, queued_jobs, requeue
from snellen.store.sql.columns import utc_now
from snellen.store.sql.database import Database
from snellen.store.sql.service_tables import QueuedJob
from tests.store.conftest import make_job, make_run

ROOT = Path(__file__).parents[3]
KINDS = ("test_run", "inference_job")
DEAD = "other-host:1:1.00:1"
TABLE: Any = QueuedJob.__table__


def silence(db: Database, seconds: float, owner: str = DEAD) -> None:
    """Make the claims those of a worker that has been silent."""
    moment = utc_now() - timedelta(seconds=seconds)
    with db.session() as session:
        session.execute(update(TABLE).values(claim_owner=owner, claimed_at=moment))


def entry(db: Database, run_id: int) -> Any:
    query = select(TABLE).where(TABLE.c.job_id == run_id)
    return db.query(lambda session: session.execute(query).mappings().first())


def test_the_oldest_job_is_taken_first_and_once(db: Database) -> None:
    job = make_job(db)
    runs = [make_run(db, job) for _ in range(3)]
    for run_id in reversed(runs):
        enqueue(db, "test_run", run_id)
    enqueue(db, "test_run", runs[2])  # again: it keeps its place
    taken = [claim_job(db, KINDS) for _ in range(4)]
    assert [one and one.job_id for one in taken] == [*reversed(runs), None]
    assert queued_jobs(db, "test_run") == set(runs)
    assert claim_job(db, ("inference_job",)) is None


def test_writers_that_enqueue_one_job_at_once_leave_one_entry(db: Database, url: str) -> None:
    job = make_job(db)
    runs = [make_run(db, job) for _ in range(10)]
    writers = [db, *(Database.open(url) for _ in range(3))]

    def enqueue_all(writer: Database) -> None:
        for run_id in runs:
            enqueue(writer, "test_run", run_id, retry_failed=["IO"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enqueue_all, writers))
    for one in writers[1:]:
        one.close()
    query = select(TABLE.c.job_id, TABLE.c.retry_failed, TABLE.c.attempts).order_by(TABLE.c.id)
    entries = db.query(lambda session: session.execute(query).all())
    assert [tuple(row) for row in entries] == [(run_id, ["IO"], 0) for run_id in runs]


def test_enqueuing_again_replaces_the_order_and_forgets_the_attempts(
    db: Database, run_id: int
) -> None:
    enqueue(db, "test_run", run_id)
    claimed = claim_job(db, KINDS)
    assert claimed is not None
    end_claim(db, claimed, again_after_s=0.0)
    assert entry(db, run_id)["attempts"] == 1
    enqueue(db, "test_run", run_id, retry_failed=["IO"])
    found = entry(db, run_id)
    assert (found["attempts"], found["retry_failed"]) == (0, ["IO"])
    again = claim_job(db, KINDS)
    assert again is not None
    assert again.retry_failed == ["IO"]


def test_a_job_that_ended_is_removed(db: Database, job_id: int) -> None:
    for status in ("completed", "failed", "cancelled"):
        enqueue(db, "test_run", make_run(db, job_id, status=status))
    enqueue(db, "test_run", 9999)
    deleted = make_run(db, job_id)
    enqueue(db, "test_run", deleted)
    delete_run(db, deleted)
    assert claim_job(db, KINDS) is None
    assert queued_jobs(db, "test_run") == set()


def test_the_job_of_a_silent_or_dead_worker_is_taken_over(db: Database, run_id: int) -> None:
    enqueue(db, "test_run", run_id)
    first = claim_job(db, KINDS)
    assert first is not None
    silence(db, 50)
    assert claim_job(db, KINDS) is None
    silence(db, 70)
    second = claim_job(db, KINDS)
    assert second is not None
    assert second.token != first.token
    assert not keep_claim(db, first)
    assert keep_claim(db, second)
    end_claim(db, first)  # a former owner removes nothing
    assert queued_jobs(db, "test_run") == {run_id}
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    owner = entry(db, run_id)["claim_owner"]
    host, _, start, namespace = owner.rsplit(":", 3)
    silence(db, 0, f"{host}:{process.pid}:{start}:{namespace}")
    assert claim_job(db, KINDS) is not None


def test_a_run_of_a_process_outside_of_the_queue_is_left_to_it(db: Database, run_id: int) -> None:
    enqueue(db, "test_run", run_id)
    lease = acquire(db, "test_run", run_id)
    assert claim_job(db, KINDS) is None
    assert queued_jobs(db, "test_run") == {run_id}
    release(db, lease, status="completed")
    with db.session() as session:
        session.execute(update(TABLE).values(not_before=None))
    assert claim_job(db, KINDS) is None
    assert queued_jobs(db, "test_run") == set()


def test_a_job_that_kills_its_process_fails_after_three_attempts(
    db: Database, run_id: int, unit: Callable[..., UnitRecord]
) -> None:
    enqueue(db, "test_run", run_id)

    def die() -> None:
        claimed = claim_job(db, KINDS)
        assert claimed is not None
        end_claim(db, claimed, again_after_s=0.0)

    for _ in range(MAX_ATTEMPTS - 1):
        die()
    stopped = claim_job(db, KINDS)  # its worker is stopped: that is no fault of the job
    assert stopped is not None
    end_claim(db, stopped, again_after_s=0.0, count=False)
    lease = acquire(db, "test_run", run_id)
    assert commit_unit(db, lease, unit(0))
    release(db, lease, status="interrupted")
    for _ in range(MAX_ATTEMPTS):  # progress: the attempts are counted anew
        die()
    assert claim_job(db, KINDS) is None
    run = get_test_run(db, run_id)
    assert run.status == "failed"
    assert run.error_message is not None
    assert "died 3 times without progress" in run.error_message
    assert queued_jobs(db, "test_run") == set()


def test_a_stopped_run_is_queued_again_as_pending(db: Database, job_id: int) -> None:
    run_id = make_run(db, job_id, status="cancelled", error_message="cancelled")
    assert requeue(db, "test_run", run_id, None)
    run = get_test_run(db, run_id)
    assert (run.status, run.error_message) == ("pending", None)
    acquire(db, "test_run", run_id)
    assert not requeue(db, "test_run", run_id, None)


def test_a_completed_run_is_queued_for_its_failed_images_alone(db: Database, job_id: int) -> None:
    run_id = make_run(db, job_id, status="completed")
    assert requeue(db, "test_run", run_id, ["IO"])
    assert get_test_run(db, run_id).status == "completed"
    claimed = claim_job(db, KINDS)
    assert claimed is not None
    assert claimed.retry_failed == ["IO"]


def test_a_claimed_job_stays_in_the_queue_when_it_is_executed_elsewhere(
    db: Database, run_id: int
) -> None:
    enqueue(db, "test_run", run_id)
    dequeue(db, "test_run", run_id)
    assert queued_jobs(db, "test_run") == set()
    enqueue(db, "test_run", run_id)
    claim_job(db, KINDS)
    dequeue(db, "test_run", run_id)
    assert queued_jobs(db, "test_run") == {run_id}


@pytest.mark.slow
def test_of_two_workers_one_takes_each_job_200_times(db: Database, url: str) -> None:
    """Two workers with connections of their own, 200 seeded tries: no job is taken twice."""
    job = make_job(db)
    dice = random.Random(20240611)
    other = Database.open(url)
    taken: Counter[int] = Counter()
    for _ in range(200):
        runs = [make_run(db, job) for _ in range(dice.randint(1, 3))]
        for run_id in runs:
            enqueue(db, "test_run", run_id)
        first, second = dice.sample([db, other], 2)

        def drain(worker: Database) -> list[int]:
            found = []
            misses = 0
            while misses < 3:
                claimed = claim_job(worker, KINDS)
                if claimed is None:
                    misses += 1
                else:
                    found.append(claimed.job_id)
            return found

        with ThreadPoolExecutor(2) as pool:
            for found in pool.map(drain, (first, second)):
                taken.update(found)
        left = [one for one in runs if not taken[one]]  # locked rows are skipped: look again
        taken.update(found for found in drain(db) if found in left)
        with db.session() as session:
            session.execute(TABLE.delete())
    other.close()
    assert len(taken) > 200
    assert set(taken.values()) == {1}
