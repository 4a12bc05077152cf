"""The watchdog ends what a killed owner leaves behind, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from snellen.pipelines.execution.ray.watchdog import start_watchdog

SESSION = "session_2026-01-01_00-00-00_1"
# A daemon of the session with a child of its own, and a process that has nothing to do with Ray.
OWNER = f"""
import subprocess, sys, time
sleep = "import time; time.sleep(120)"
child = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; " \
        "time.sleep(120)']); time.sleep(120)"
daemon = subprocess.Popen([sys.executable, "-c", child, "{SESSION}"], start_new_session=True)
other = subprocess.Popen([sys.executable, "-c", sleep], start_new_session=True)
time.sleep(1)
print(daemon.pid, other.pid, flush=True)
time.sleep(120)
"""


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as one:
        yield one
        one.kill()


def ended(process: psutil.Process, seconds: float = 15.0) -> bool:
    gone, _ = psutil.wait_procs([process], timeout=seconds)
    return bool(gone) or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_processes_of_a_killed_owner_are_ended(owner: subprocess.Popen[str]) -> None:
    assert owner.stdout is not None
    daemon, other = (psutil.Process(int(pid)) for pid in owner.stdout.readline().split())
    watchdog = start_watchdog(owner.pid, SESSION)
    try:
        (child,) = daemon.children()
        time.sleep(2.5)  # the watchdog looks every second
        assert daemon.is_running()
        owner.kill()
        assert ended(daemon)
        assert ended(child)
        assert watchdog.wait(15) == 0
        assert other.is_running()
        assert other.status() != psutil.STATUS_ZOMBIE
    finally:
        watchdog.kill()
        watchdog.wait()
        for process in (daemon, other):
            if process.is_running():
                process.kill()


def test_the_watchdog_of_a_process_that_is_gone_ends_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert start_watchdog(gone.pid, SESSION).wait(15) == 0
    assert psutil.Process(os.getpid()).is_running()
