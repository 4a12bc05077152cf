"""`snellen serve` executes queued runs, on its own Ray, and finishes them after it was killed."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from snellen.analysis.reader import open_results
from snellen.store.ledger import committed_units
from snellen.store.runs import get_inference_job, get_test_run
from snellen.store.views import AnyRun
from tests.pipelines.making import TIMES
from tests.serve.conftest import picture
from tests.serve.local_service import fixture_job
from tests.serve.serve_process import Process
from tests.serve.site import Site
from tests.serve.waiting import wait_until

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("importable")]


def start(site: Site, *more: str) -> Process:
    words = [f"database={site.db.url}", f"output_dir={site.output}", *more]
    process = Process(site.folder, *words, f"roots=[{site.folder / 'roots'}]")
    process.wait_ready()
    return process


def rows(site: Site, run: AnyRun) -> list[dict[str, Any]]:
    frame = open_results(site.db, run).frame()
    return [{k: v for k, v in row.items() if k not in TIMES} for row in frame.to_dicts()]


def of_batch(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return what does not depend on the place of the images, in the order of their contents."""
    names = ("content_hash", "status", "predicted_label", "confidence", "top5_predictions")
    return sorted(tuple(str(row[name]) for name in names) for row in rows)


def upload(process: Process, site: Site, paths: list[Path]) -> int:
    parts = [("images", (path.name, path.read_bytes())) for path in paths]
    data = {"training_job_id": str(site.job.id), "batch_size": "3"}
    response = process.client.post(f"{process.url}/inference/batch", files=parts, data=data)
    assert response.status_code == 202, response.text
    job_id: int = response.json()["id"]
    return job_id


def submit(process: Process, site: Site, **fields: Any) -> int:
    response = process.client.post(
        f"{process.url}/inference/test-runs", json=site.request(**fields)
    )
    assert response.status_code == 202, response.text
    run_id: int = response.json()["id"]
    return run_id


def command(process: psutil.Process) -> str:
    """Return the command line of a process; empty once it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def running_jobs(process: Process) -> int:
    """Return the number of processes in which the service executes jobs."""
    children = psutil.Process(process.process.pid).children()
    return sum("snellen.serve.jobs.job_process" in command(one) for one in children)


def busy_workers(process: Process) -> set[tuple[int, str]]:
    """Return ids and titles of Ray's processes that execute a task or are an actor."""
    children = psutil.Process(process.process.pid).children(recursive=True)
    found = {(one.pid, command(one).strip()) for one in children}
    return {(pid, title) for pid, title in found if re.match(r"ray::(?!IDLE)", title)}


def cancel_frees_the_actors(process: Process, site: Site) -> None:
    """Cancel a run on Ray in the middle: its process and its actors end within seconds."""
    before = busy_workers(process)
    run_id = submit(process, site, run={"engine": "ray", "unit_rows": 1, "batch_size": 1})
    wait_until(lambda: len(committed_units(site.db, "test_run", run_id)) >= 1, seconds=60)
    added = busy_workers(process) - before
    assert added
    begin = time.monotonic()
    url = f"{process.url}/inference/test-runs/{run_id}/cancel"
    assert process.client.post(url).status_code == 202
    wait_until(lambda: not (running_jobs(process) or added & busy_workers(process)), seconds=60)
    assert time.monotonic() - begin < 20
    assert get_test_run(site.db, run_id).status == "cancelled"
    assert len(committed_units(site.db, "test_run", run_id)) < 12


def statuses(site: Site, runs: list[int], batch: int) -> list[str]:
    found = [get_test_run(site.db, run_id).status for run_id in runs]
    return [*found, get_inference_job(site.db, batch).status]


def test_a_killed_service_finishes_its_runs_and_batches_after_a_restart(site: Site) -> None:
    whole = site.run_here()
    images = sorted(site.data.rglob("*.png"))
    slow = {"engine": "inline", "unit_rows": 1, "batch_size": 3, "threads": 1}
    detector = fixture_job(site.db, "detect")
    site.slow_down(400)
    process = start(site, "jobs.max_running=2")
    try:
        run_id = submit(process, site, run=slow)
        batch = upload(process, site, images)
        wait_until(lambda: statuses(site, [run_id], batch) == ["running", "running"], seconds=60)
        wait_until(lambda: len(committed_units(site.db, "test_run", run_id)) >= 3, seconds=60)
        children = psutil.Process(process.process.pid).children(recursive=True)
        os.killpg(process.process.pid, signal.SIGKILL)
        process.process.wait()
        _, left = psutil.wait_procs(children, timeout=30)
        assert [one for one in left if one.status() != psutil.STATUS_ZOMBIE] == []
        before = len(committed_units(site.db, "test_run", run_id))
        assert 3 <= before < 12
        assert set(statuses(site, [run_id], batch)) <= {"running", "interrupted"}
    finally:
        process.end(signal.SIGKILL)
    process = start(site)
    try:
        # The engine of the second run is Ray: it joins that of the service.
        on_ray = submit(process, site, run={"engine": "ray", "unit_rows": 4, "batch_size": 3})
        found: list[str] = []
        while set(found) != {"completed"}:
            found = statuses(site, [run_id, on_ray], batch)
            assert "failed" not in found
            assert running_jobs(process) <= 1  # three are queued; one runs at a time
            answer = process.single(picture(), detector.id)  # single requests are served meanwhile
            assert answer.status_code == 200, answer.text
            time.sleep(0.5)
        for one in (run_id, on_ray):
            run = get_test_run(site.db, one)
            assert run.status == "completed", run.error_message
            assert rows(site, run) == rows(site, whole)
        predicted = rows(site, get_inference_job(site.db, batch))
        assert of_batch(predicted) == of_batch(rows(site, whole))
        cancel_frees_the_actors(process, site)
    finally:
        assert process.end() == 0
