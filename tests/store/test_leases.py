"""Leases: one owner per run at a time; a former owner writes nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import update

from snellen.adapters.errors import InputError
from snellen.store.leases import (
    LEASE_SECONDS,
    Beat,
    Lease,
    LeaseLost,
    acquire,
    heartbeat,
    interrupt_abandoned,
    owner_id,
    owner_is_dead,
    release,
    request_cancel,
)
from snellen.store.runs import delete_run, get_test_run, update_run
from snellen.store.sql.columns import utc_now
from snellen.store.sql.database import Database
from snellen.store.sql.models import TestRun
from tests.store.conftest import make_run

ROOT = Path(__file__).parents[2]


def set_lease(db: Database, run_id: int, **columns: Any) -> None:
    with db.session() as session:
        session.execute(update(TestRun).where(TestRun.id == run_id).values(**columns))


def test_acquiring_starts_the_run(db: Database, run_id: int) -> None:
    lease = acquire(db, "test_run", run_id)
    run = get_test_run(db, run_id)
    assert (run.status, run.lease_token, run.lease_owner) == ("running", lease.token, owner_id())
    assert run.started_at is not None


def test_of_twenty_threads_one_gets_the_run(db: Database, run_id: int) -> None:
    def attempt(_: int) -> Lease | str:
        try:
            return acquire(db, "test_run", run_id)
        except InputError as error:
            return error.code

    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(attempt, range(20)))
    assert results.count("RUN_BUSY") == 19
    winner = next(result for result in results if isinstance(result, Lease))
    assert get_test_run(db, run_id).lease_token == winner.token


@pytest.mark.slow
def test_of_several_processes_one_gets_the_run(db: Database, run_id: int) -> None:
    code = """
import sys, time
from snellen.store.sql.database import Database
from snellen.store.leases import acquire
try:
    acquire(Database.open(sys.argv[1]), "test_run", int(sys.argv[2])); print("got", flush=True)
except Exception as error:
    print(error.code, flush=True)
sys.stdin.read()
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, db.url, str(run_id)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(5)
    ]
    # all are alive until each has answered: a dead owner's lease may rightly be taken
    answers = [process.stdout.readline().strip() for process in processes if process.stdout]
    for process in processes:
        process.communicate(timeout=60)
    assert sorted(answers) == ["RUN_BUSY"] * 4 + ["got"]


def test_a_busy_run_names_its_owner(db: Database, run_id: int) -> None:
    acquire(db, "test_run", run_id)
    host, pid, *_ = owner_id().rsplit(":", 3)
    expected = (
        f"process {pid} on host {re.escape(host)} is writing test run 1 .last heartbeat 0 s ago"
    )
    with pytest.raises(InputError, match=expected):
        acquire(db, "test_run", run_id)
    with pytest.raises(InputError, match="is writing test run"):
        delete_run(db, run_id)


def test_a_silent_owner_is_replaced_after_sixty_seconds(db: Database, run_id: int) -> None:
    first = acquire(db, "test_run", run_id)
    elsewhere = {"lease_owner": "other-host:1:1.00:1"}
    set_lease(db, run_id, lease_heartbeat_at=utc_now() - timedelta(seconds=50), **elsewhere)
    with pytest.raises(InputError, match="on host other-host"):
        acquire(db, "test_run", run_id)
    silent = utc_now() - timedelta(seconds=LEASE_SECONDS + 2)
    set_lease(db, run_id, lease_heartbeat_at=silent, **elsewhere)
    second = acquire(db, "test_run", run_id)
    assert second.token != first.token
    assert heartbeat(db, first) is Beat.LOST
    assert heartbeat(db, second) is Beat.HELD


def test_a_dead_owner_on_this_host_is_replaced_at_once(db: Database, run_id: int) -> None:
    acquire(db, "test_run", run_id)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    host, _, start, namespace = owner_id().rsplit(":", 3)
    set_lease(db, run_id, lease_owner=f"{host}:{process.pid}:{start}:{namespace}")
    acquire(db, "test_run", run_id)


def test_a_process_is_dead_when_it_is_gone_or_its_pid_was_reused() -> None:
    host, pid, start, namespace = owner_id().rsplit(":", 3)
    assert not owner_is_dead(owner_id())
    assert owner_is_dead(f"{host}:{pid}:{float(start) - 1000:.2f}:{namespace}")
    assert not owner_is_dead(f"elsewhere:{pid}:1.00:{namespace}")
    assert not owner_is_dead(f"{host}:{pid}:1.00:another-container")
    assert not owner_is_dead("nonsense")
    assert psutil.pid_exists(int(pid))


def test_a_zombie_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", "print()"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read()
    host, _, _, namespace = owner_id().rsplit(":", 3)
    start = psutil.Process(process.pid).create_time()
    owner = f"{host}:{process.pid}:{start:.2f}:{namespace}"
    for _ in range(100):
        if psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    assert owner_is_dead(owner)
    process.wait()


def test_releasing_sets_the_status_and_frees_the_run(db: Database, run_id: int) -> None:
    lease = acquire(db, "test_run", run_id)
    assert release(db, lease, status="failed", error_message="no luck")
    run = get_test_run(db, run_id)
    assert (run.status, run.error_message, run.lease_token) == ("failed", "no luck", None)
    assert not release(db, lease, status="completed")
    assert get_test_run(db, run_id).status == "failed"
    acquire(db, "test_run", run_id)
    assert get_test_run(db, run_id).error_message is None


def test_a_lost_lease_changes_nothing(db: Database, run_id: int) -> None:
    first = acquire(db, "test_run", run_id)
    release(db, first, status="interrupted")
    acquire(db, "test_run", run_id)
    with pytest.raises(LeaseLost, match="another process has taken it over"):
        update_run(db, first, resolved={"batch_size": 8})
    assert get_test_run(db, run_id).resolved is None


def test_a_completed_or_unknown_run_cannot_be_acquired(db: Database, run_id: int) -> None:
    lease = acquire(db, "test_run", run_id)
    release(db, lease, status="completed")
    with pytest.raises(InputError, match=r"is completed\. .* Start a new run"):
        acquire(db, "test_run", run_id)
    with pytest.raises(InputError, match="there is no inference job 999"):
        acquire(db, "inference_job", 999)


def test_a_completed_run_can_be_reopened_on_purpose(db: Database, run_id: int) -> None:
    release(db, acquire(db, "test_run", run_id), status="completed")
    lease = acquire(db, "test_run", run_id, status="completed")
    assert (get_test_run(db, run_id).status, heartbeat(db, lease)) == ("running", Beat.HELD)


def test_abandoned_runs_become_interrupted(db: Database, job_id: int, run_id: int) -> None:
    held = make_run(db, job_id, name="held")
    acquire(db, "test_run", held)
    acquire(db, "test_run", run_id)
    set_lease(db, run_id, lease_heartbeat_at=utc_now() - timedelta(hours=1))
    assert interrupt_abandoned(db) == [("test_run", run_id)]
    assert get_test_run(db, run_id).status == "interrupted"
    assert get_test_run(db, held).status == "running"


def test_a_cancel_request_reaches_the_owner_by_its_heartbeat(db: Database, job_id: int) -> None:
    run_id = make_run(db, job_id)
    lease = acquire(db, "test_run", run_id)
    assert heartbeat(db, lease) is Beat.HELD
    assert request_cancel(db, "test_run", run_id) == "running"
    assert heartbeat(db, lease) is Beat.CANCEL
    assert release(db, lease, status="cancelled")
    again = acquire(db, "test_run", run_id)
    assert heartbeat(db, again) is Beat.HELD, "the request was for the owner before"


@pytest.mark.parametrize("status", ["pending", "interrupted", "failed"])
def test_a_run_that_nobody_holds_is_cancelled_at_once(
    db: Database, job_id: int, status: str
) -> None:
    run_id = make_run(db, job_id, status=status)
    assert request_cancel(db, "test_run", run_id) == "cancelled"
    assert get_test_run(db, run_id).status == "cancelled"
    with pytest.raises(InputError, match=r"(?s)RUN_STATUS|is cancelled. Expected a run that is"):
        acquire(db, "test_run", run_id, status="pending")


def test_a_completed_run_is_not_cancelled(db: Database, job_id: int) -> None:
    run_id = make_run(db, job_id, status="completed")
    with pytest.raises(InputError, match="is completed"):
        request_cancel(db, "test_run", run_id)
    assert get_test_run(db, run_id).status == "completed"
