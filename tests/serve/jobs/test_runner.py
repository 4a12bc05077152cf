"""The runner: every job in a process of its own; what dies is taken up again, with exact rows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from snellen.pipelines.config.loader import build_as
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.runs.cancel import cancel_run
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.runner import InferenceRunner, TestRunner
from snellen.serve.jobs.runner import JobRunner, RunnerSettings
from snellen.store.leases import request_cancel
from snellen.store.ledger import committed_units
from snellen.store.runs import get_inference_job, get_test_run
from snellen.store.service.job_queue import queued_jobs, requeue
from tests.pipelines.making import TIMES, write_image
from tests.pipelines.pixel_adapter import KILL, NAME
from tests.pipelines.place import Place
from tests.serve.waiting import wait_until

pytestmark = pytest.mark.usefixtures("importable")
ROOT = Path(__file__).parents[3]


def settings(place: Place, **changes: Any) -> RunnerSettings:
    values: dict[str, Any] = {
        "max_running": 1,
        "nice": 5,
        "output_dir": place.output.parent / "service",
    }
    return RunnerSettings(**{**values, **changes})


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def run_jobs(place: Place, lines: list[str]) -> Callable[..., None]:
    def work(**changes: Any) -> None:
        JobRunner(place.db, settings(place, **changes), lines.append).run(until_empty=True)

    return work


def submitted(place: Place, **sections: Any) -> int:
    return TestRunner(place.config(**sections), database=place.url).submit()


def stable(place: Place, run: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in TIMES} for row in place.rows(run)]


@pytest.mark.slow
def test_queued_jobs_end_like_runs_of_the_command_line(
    place: Place, run_jobs: Callable[..., None], lines: list[str]
) -> None:
    whole = place.run(name="whole")
    run_id = submitted(place, name="queued")
    wrong = submitted(place, model={"adapter": NAME, "class_names": ["a", "b", "c"]})
    broken = submitted(place, model={"adapter": NAME, "options": {"raise_always": True}})
    run_jobs()
    run = get_test_run(place.db, run_id)
    assert (run.status, run.metrics) == ("completed", whole.metrics)
    assert stable(place, run) == stable(place, whole)
    failed = get_test_run(place.db, wrong)
    assert failed.status == "failed"
    assert failed.error_message is not None
    assert "class" in failed.error_message
    assert get_test_run(place.db, broken).status == "failed"
    assert queued_jobs(place.db, "test_run") == set()
    assert [line for line in lines if f"test run {run_id}:" in line] == [
        f"test run {run_id}: started", f"test run {run_id}: completed"]  # fmt: skip


@pytest.mark.slow
def test_a_job_that_dies_hurts_nothing_else_and_fails_in_the_end(
    place: Place, run_jobs: Callable[..., None]
) -> None:
    write_image(place.data / "0" / "99.png", marker=KILL)  # kills its process, in this engine
    dying = submitted(place, run={"engine": "inline", "unit_rows": 4})
    predict = build_as(
        PredictConfig,
        {
            "model": {"adapter": NAME},
            "dataset": {"path": str(place.data / "1")},
            "run": {"engine": "inline"},
            "output": {"dir": str(place.output)},
        },
    )
    after = InferenceRunner(predict, database=place.url).submit()
    run_jobs()
    assert get_inference_job(place.db, after).status == "completed"
    run = get_test_run(place.db, dying)
    assert run.status == "failed"
    assert run.error_message is not None
    assert "died 3 times without progress" in run.error_message


@pytest.fixture
def slow_run(place: Place) -> Iterator[int]:
    """A run of 12 images in 12 units that takes about four seconds."""
    model = {"adapter": NAME, "options": {"sleep_ms": 300}}
    yield submitted(place, model=model, run={"unit_rows": 1, "threads": 1}, name="slow")


def done(place: Place, run_id: int) -> int:
    return len(committed_units(place.db, "test_run", run_id))


@pytest.mark.slow
def test_a_stopped_runner_leaves_its_job_to_the_next_one(
    place: Place, slow_run: int, run_jobs: Callable[..., None]
) -> None:
    with JobRunner(place.db, settings(place)) as runner:
        wait_until(lambda: done(place, slow_run) >= 2)
        (child,) = (one.process.pid for one in runner._running)
        assert psutil.Process(child).nice() == psutil.Process().nice() + 5
    assert not psutil.pid_exists(child)
    stopped = get_test_run(place.db, slow_run)
    assert stopped.status == "interrupted"
    assert queued_jobs(place.db, "test_run") == {slow_run}
    before = done(place, slow_run)
    assert 2 <= before < 12
    run_jobs()
    run = get_test_run(place.db, slow_run)
    assert run.status == "completed"
    assert stable(place, run) == stable(place, place.run(name="whole"))


@pytest.mark.slow
def test_cancelling_ends_the_process_and_resuming_finishes(
    place: Place, slow_run: int, run_jobs: Callable[..., None]
) -> None:
    with JobRunner(place.db, settings(place)) as runner:
        wait_until(lambda: done(place, slow_run) >= 1)
        (child,) = (one.process.pid for one in runner._running)
        begin = time.monotonic()
        found = cancel_run(place.db, EVALUATION, slow_run, timeout=20)
        assert found.status == "cancelled"
        wait_until(lambda: not psutil.pid_exists(child))
        assert time.monotonic() - begin < 12
        assert done(place, slow_run) < 12
        wait_until(lambda: queued_jobs(place.db, "test_run") == set())
    waiting = submitted(place)
    request_cancel(place.db, "test_run", waiting)
    run_jobs()
    assert get_test_run(place.db, waiting).status == "cancelled"
    assert requeue(place.db, "test_run", slow_run, None)
    run_jobs()
    assert get_test_run(place.db, slow_run).status == "completed"


def worker(place: Place, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "snellen", "worker", "--database", place.url,
         "--output-dir", str(place.output.parent / "service"), *words],
        cwd=place.output.parent,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


@pytest.mark.slow
def test_the_job_of_a_killed_worker_is_finished_with_exact_rows(
    place: Place, slow_run: int
) -> None:
    first = worker(place)
    wait_until(lambda: done(place, slow_run) >= 3, seconds=60)
    (child,) = psutil.Process(first.pid).children()
    first.kill()
    first.wait()
    child.wait(20)  # no job outlives its worker
    before = done(place, slow_run)
    assert 3 <= before < 12
    second = worker(place, "--exit-when-empty")
    assert second.wait(90) == 0
    run = get_test_run(place.db, slow_run)
    assert run.status == "completed"
    assert stable(place, run) == stable(place, place.run(name="whole"))


@pytest.mark.slow
def test_a_terminated_worker_stops_in_order(place: Place, slow_run: int) -> None:
    process = worker(place)
    wait_until(lambda: done(place, slow_run) >= 1, seconds=60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert get_test_run(place.db, slow_run).status == "interrupted"
    assert queued_jobs(place.db, "test_run") == {slow_run}
