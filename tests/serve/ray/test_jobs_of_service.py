"""`snellen serve` executes queued runs, on its own Ray, and finishes them after it was killed."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import psutil
import pytest

from snellen.analysis.reader import open_results
from snellen.store.ledger import committed_units
from snellen.store.runs import get_test_run
from snellen.store.views import RunView
from tests.pipelines.making import TIMES
from tests.serve.conftest import picture
from tests.serve.local_service import fixture_job
from tests.serve.serve_process import Process
from tests.serve.site import Site
from tests.serve.waiting import wait_until

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("importable")]


def start(site: Site) -> Process:
    words = [f"database={site.db.url}", f"output_dir={site.output}"]
    process = Process(site.folder, *words, f"roots=[{site.folder / 'roots'}]")
    process.wait_ready()
    return process


def rows(site: Site, run: RunView) -> list[dict[str, Any]]:
    frame = open_results(site.db, run).frame()
    return [{k: v for k, v in row.items() if k not in TIMES} for row in frame.to_dicts()]


def submit(process: Process, site: Site, **fields: Any) -> int:
    response = process.client.post(
        f"{process.url}/inference/test-runs", json=site.request(**fields)
    )
    assert response.status_code == 202, response.text
    run_id: int = response.json()["id"]
    return run_id


def ended(site: Site, run_id: int) -> bool:
    return get_test_run(site.db, run_id).status not in {"pending", "running", "interrupted"}


def test_a_killed_service_finishes_its_runs_after_a_restart(site: Site) -> None:
    whole = site.run_here()
    slow = {"engine": "inline", "unit_rows": 1, "batch_size": 3, "threads": 1}
    detector = fixture_job(site.db, "detect")
    site.slow_down(400)
    process = start(site)
    try:
        run_id = submit(process, site, run=slow)
        wait_until(lambda: len(committed_units(site.db, "test_run", run_id)) >= 3, seconds=60)
        children = psutil.Process(process.process.pid).children(recursive=True)
        os.killpg(process.process.pid, signal.SIGKILL)
        process.process.wait()
        _, left = psutil.wait_procs(children, timeout=30)
        assert [one for one in left if one.status() != psutil.STATUS_ZOMBIE] == []
        before = len(committed_units(site.db, "test_run", run_id))
        assert 3 <= before < 12
    finally:
        process.end(signal.SIGKILL)
    process = start(site)
    try:
        # The engine of the second run is Ray: it joins that of the service.
        on_ray = submit(process, site, run={"engine": "ray", "unit_rows": 4, "batch_size": 3})
        while not (ended(site, run_id) and ended(site, on_ray)):
            answer = process.single(picture(), detector.id)  # single requests are served meanwhile
            assert answer.status_code == 200, answer.text
            time.sleep(0.5)
        for one in (run_id, on_ray):
            run = get_test_run(site.db, one)
            assert run.status == "completed", run.error_message
            assert rows(site, run) == rows(site, whole)
    finally:
        assert process.end() == 0
