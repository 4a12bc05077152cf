"""Ctrl-C in a terminal: exit code 130, nothing left running, and a resume to the same result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from snellen.store.ledger import committed_units
from snellen.store.runs import get_test_run, list_test_runs
from snellen.store.sql.database import Database
from tests.pipelines.making import grey_folder
from tests.pipelines.pixel_adapter import NAME


def command(place: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "snellen", *words, "--database", url(place)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=place,
        start_new_session=True, env={**os.environ, "SNELLEN_TEST_MARK": str(place)},
    )  # fmt: skip


def url(place: Path) -> str:
    return f"sqlite:///{place / 'runs.db'}"


def finished(place: Path, *words: str) -> dict[str, Any]:
    process = command(place, *words, "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    document: dict[str, Any] = json.loads(out)
    return document


def left_running(place: Path) -> list[str]:
    """Find processes that inherited the environment marker of this test."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SNELLEN_TEST_MARK") == str(place):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def wait_for_commits(place: Path, count: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        assert process.poll() is None, process.communicate()
        if (place / "runs.db").exists():
            db = Database.open(url(place))
            runs = [run for run in list_test_runs(db) if run.name == "cut"]
            done = committed_units(db, "test_run", runs[0].id) if runs else []
            db.close()
            if len(done) >= count:
                return
        time.sleep(0.05)
    raise AssertionError("nothing was committed in time")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_resume(
    tmp_path: Path, importable: None, engine: str, stop: signal.Signals
) -> None:
    grey_folder(tmp_path / "data", each=20)
    config = {
        "model": {"adapter": NAME, "options": {"sleep_ms": 100}},
        "dataset": {"path": "data"},
        "run": {"engine": engine, "unit_rows": 4, "batch_size": 2, "threads": 2},
        "ray": {"num_cpus": 2},
        "output": {"dir": "out"},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    process = command(tmp_path, "eval", "run.yaml", "name=cut", "--json")
    wait_for_commits(tmp_path, 2, process)
    if stop is signal.SIGINT:
        os.killpg(process.pid, stop)  # a terminal sends it to the whole group
    else:
        process.send_signal(stop)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    error = json.loads(out)["error"]
    assert error["code"] == "INTERRUPTED"
    assert "of 60 images are committed. Resume with: snellen resume 1" in error["message"]
    assert "Traceback" not in err
    until = time.monotonic() + 10
    while left_running(tmp_path) and time.monotonic() < until:
        time.sleep(0.1)
    assert left_running(tmp_path) == []

    db = Database.open(url(tmp_path))
    run = get_test_run(db, "cut")
    before = committed_units(db, "test_run", run.id)
    assert (run.status, run.lease_token) == ("interrupted", None)
    assert 2 <= len(before) < 15
    resumed = finished(tmp_path, "resume", "1")
    assert resumed["status"] == "completed"
    # Units that were committed before the interrupt were not scored again.
    after = {record.attempt for record in committed_units(db, "test_run", run.id)}
    assert {record.attempt for record in before} <= after
    db.close()
    whole = finished(tmp_path, "eval", "run.yaml", "name=whole", "run.engine=inline")
    for key in ("metrics", "intervals", "per_class_metrics", "confusion_matrix"):
        assert resumed[key] == whole[key]
