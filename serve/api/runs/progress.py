"""Progress of runs, from the ledger; any number of listeners share one look at it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

from cachetools import TTLCache

from snellen.pipelines.runs.commit_loop import Tally
from snellen.pipelines.runs.kinds import RunKind
from snellen.pipelines.runs.reading.operating import counts_as_stored
from snellen.serve.api.bodies.run_bodies import ProgressResponse
from snellen.serve.api.redaction import without_paths
from snellen.store.ledger import committed_units
from snellen.store.sql.database import Database

_TTL_S = 0.5
_WINDOW_S = 30.0
_FORGET_S = 600.0
_MAX_RUNS = 1000
ENDED = ("completed", "failed", "cancelled", "interrupted")
"""Statuses after which nothing changes until the run is resumed."""


@dataclass(slots=True)
class _Samples:
    """Committed images at the last moments, for the rate."""

    seen: deque[tuple[float, int]] = field(default_factory=deque)

    def rate(self, now: float, done: int) -> float | None:
        """Add a sample and return images per second over the last 30 s; None if there are none."""
        while self.seen and (now - self.seen[0][0] > _WINDOW_S or self.seen[0][1] > done):
            self.seen.popleft()
        self.seen.append((now, done))
        begun, first = self.seen[0]
        return (done - first) / (now - begun) if done > first else None


class Progress:
    """Reads the progress of runs. Safe to share between threads."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._known: TTLCache[tuple[str, int], ProgressResponse] = TTLCache(_MAX_RUNS, _TTL_S)
        self._samples: TTLCache[tuple[str, int], _Samples] = TTLCache(_MAX_RUNS, _FORGET_S)

    def of(self, kind: RunKind, run_id: int) -> ProgressResponse:
        """Return the progress of a run, at most half a second old.

        Raises:
            InputError: RUN_NOT_FOUND.
        """
        key = (kind.name, run_id)
        with self._lock:
            found = self._known.get(key)
        if found is None:
            found = self._read(kind, run_id)
            with self._lock:
                self._known[key] = found
        return found

    def _read(self, kind: RunKind, run_id: int) -> ProgressResponse:
        run = kind.get(self._db, run_id)
        tally = Tally(measured=counts_as_stored(run))
        for record in committed_units(self._db, kind.name, run_id):
            tally.add(record)
        rate = None
        if run.status == "running":
            with self._lock:
                samples = self._samples.setdefault((kind.name, run_id), _Samples())
                rate = samples.rate(time.monotonic(), tally.rows)
        total, metric = run.total_images or 0, tally.metric
        message = run.error_message
        return ProgressResponse(
            status=run.status,
            total_images=total,
            done_images=tally.rows,
            failed_images=tally.failed,
            images_per_second=rate,
            seconds_left=(total - tally.rows) / rate if rate else None,
            metric_name=metric[0] if metric else None,
            metric_value=metric[1] if metric else None,
            error_message=None if message is None else without_paths(message),
        )
