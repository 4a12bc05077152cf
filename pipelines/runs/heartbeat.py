"""Keep a run's lease and its output lock alive while it works."""

from __future__ import annotations

import threading

from snellen.adapters.errors import SnellenError
from snellen.pipelines.runs.run_folder import OutputLock
from snellen.store.leases import HEARTBEAT_SECONDS, Lease, heartbeat, lost
from snellen.store.sql.database import Database


class Heartbeat:
    """A thread that beats every five seconds; ``check`` says when the lease was lost."""

    def __init__(self, db: Database, lease: Lease, lock: OutputLock | None) -> None:
        self._db = db
        self._lease = lease
        self._lock = lock
        self._done = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="snellen-heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def check(self) -> None:
        """Raise LeaseLost if another process owns the run now."""
        if self._lost.is_set():
            raise lost(self._lease)

    def _beat(self) -> None:
        while not self._done.wait(HEARTBEAT_SECONDS):
            try:
                if not heartbeat(self._db, self._lease):
                    self._lost.set()
                    return
                if self._lock is not None:
                    self._lock.touch()
            except (SnellenError, OSError):
                # A locked or unreachable database for a moment: the next beat tries again, and
                # the ledger refuses a commit if the lease was lost meanwhile.
                continue
