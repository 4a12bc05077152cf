"""Run a command and sample its memory: driver, workers and object store."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

_MB = 2**20


@dataclass
class Watched:
    """Measurements of one run; memory in MB, times in seconds since the start of the command."""

    seconds: float = 0.0
    driver_mb: float = 0.0
    workers_mb: float = 0.0
    object_store_mb: float = 0.0
    commits: list[tuple[float, int]] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def first_commit(self) -> float:
        """Time of the first unit in the ledger."""
        return self.commits[0][0] if self.commits else float("nan")

    @property
    def steady_rate(self) -> float:
        """Images per second between the first and the last commit."""
        if len(self.commits) < 2:
            return float("nan")
        (begin, first), (end, last) = self.commits[0], self.commits[-1]
        return (last - first) / (end - begin)


def watch(
    command: Sequence[str], *, cwd: Path, database: Path, env: Mapping[str, str] | None = None
) -> Watched:
    """Run a command that prints one JSON document, and sample it every 50 to 100 ms.

    The driver is the process itself; workers are its ``ray::`` descendants; the object store is
    the shared memory that the raylet has touched.
    """
    found = Watched()
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(env or {}), "SNELLEN_DATABASE": f"sqlite:///{database}"},
    )
    done = threading.Event()
    threads = [
        threading.Thread(target=_sample_memory, args=(process.pid, found, done)),
        threading.Thread(target=_sample_ledger, args=(database, found, started, done)),
    ]
    for thread in threads:
        thread.start()
    out, _ = process.communicate()
    found.seconds = time.monotonic() - started
    done.set()
    for thread in threads:
        thread.join()
    found.document = json.loads(out)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: {found.document}")
    return found


def _sample_memory(pid: int, found: Watched, done: threading.Event) -> None:
    driver = psutil.Process(pid)
    while not done.wait(0.1):
        try:
            found.driver_mb = max(found.driver_mb, driver.memory_info().rss / _MB)
            children = driver.children(recursive=True)
        except psutil.NoSuchProcess:
            return
        workers = store = 0.0
        for child in children:
            try:
                name = (child.cmdline() or [""])[0]
                memory = child.memory_info()
            except psutil.Error:
                continue
            if name.startswith("ray::") and "Agent" not in name:
                workers += (memory.rss - memory.shared) / _MB
            if "raylet" in name:
                store = max(store, memory.shared / _MB)
        found.workers_mb = max(found.workers_mb, workers)
        found.object_store_mb = max(found.object_store_mb, store)


def _sample_ledger(database: Path, found: Watched, started: float, done: threading.Event) -> None:
    last = 0
    while not done.wait(0.05):
        if not database.exists():
            continue
        try:
            with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=0.2) as db:
                rows = int(db.execute("SELECT coalesce(sum(rows), 0) FROM run_units").fetchone()[0])
        except sqlite3.OperationalError:
            continue
        if rows > last:
            found.commits.append((time.monotonic() - started, rows))
            last = rows
