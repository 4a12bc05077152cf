"""Ray predicts what this process predicts, row by row, and its workers write the same pictures."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from snellen.store.runs import get_inference_job
from tests.pipelines.making import write_image
from tests.pipelines.pixel_adapter import NAME, RAISE, RAISE_IN_PREPROCESS
from tests.pipelines.place import tree
from tests.pipelines.predicting import Jobs


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    found = Jobs(tmp_path)
    (found.data / "0" / "00.png").write_bytes(b"")
    write_image(found.data / "1" / "00.png", marker=RAISE_IN_PREPROCESS)
    write_image(found.data / "2" / "03.png", marker=RAISE)
    return found


@pytest.mark.ray
def test_ray_equals_inline(jobs: Jobs, shared_ray: None) -> None:
    pictures = {"visualize": 8}
    inline = jobs.run(output=pictures)
    ray = jobs.run(run={"engine": "ray", "actors": 1, "threads": 2}, output=pictures)
    assert jobs.rows(ray) == jobs.rows(inline)
    assert (ray.scored_images, ray.failed_images) == (9, 3)
    drawn = [tree(Path(job.results_dir or "") / "visualizations") for job in (ray, inline)]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) >= 6


def wait_for_a_commit(database: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None
        if database.exists():
            try:
                with sqlite3.connect(database) as db:
                    count = db.execute(
                        "select count(*) from run_units where run_kind = 'inference_job'"
                    ).fetchone()[0]
            except sqlite3.OperationalError:
                count = 0
            if count:
                return
        time.sleep(0.02)
    raise AssertionError("nothing was committed in time")


@pytest.mark.slow
def test_a_killed_job_is_resumed_to_the_same_rows(
    jobs: Jobs, tmp_path: Path, importable: None
) -> None:
    whole = jobs.run(name="whole", output={"visualize": "all"})
    database = tmp_path / "killed.db"
    config = {
        "model": {"adapter": NAME, "options": {"sleep_ms": 150}},
        "dataset": {"path": str(jobs.data)},
        "run": {"engine": "inline", "unit_rows": 4, "batch_size": 3, "threads": 1},
        "output": {"dir": str(tmp_path / "killed"), "visualize": "all"},
        "database": f"sqlite:///{database}",
    }
    (tmp_path / "predict.yaml").write_text(yaml.safe_dump(config))
    process = subprocess.Popen(
        [sys.executable, "-m", "snellen", "predict", str(tmp_path / "predict.yaml")],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for_a_commit(database, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    jobs.url = f"sqlite:///{database}"
    assert get_inference_job(jobs.db, 1).status == "running"
    job = jobs.resume()
    assert job.status == "completed"
    found = jobs.rows(job)
    jobs.url = f"sqlite:///{tmp_path / 'runs.db'}"
    assert found == jobs.rows(whole)
    pictures = [tree(Path(one.results_dir or "") / "visualizations") for one in (job, whole)]
    assert pictures[0] == pictures[1]
