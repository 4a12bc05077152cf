"""Runner of queued jobs: claims them, starts a process for each, and settles how it ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from snellen.adapters.errors import SnellenError
from snellen.serve.jobs.job_process import BUSY, Order
from snellen.store.leases import HEARTBEAT_SECONDS, interrupt_abandoned
from snellen.store.service.job_claims import ClaimedJob, claim_job, end_claim, keep_claim
from snellen.store.service.job_queue import ANALYSIS, RUN_KINDS, jobs_left, run_status
from snellen.store.sql.database import Database

_POLL_S = 0.5
_STOP_S = 20.0
_AGAIN_S = 1.0
_BUSY_AGAIN_S = 5.0
_ENDED = ("completed", "failed", "cancelled")
_MODULE = "snellen.serve.jobs.job_process"


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """Settings of a runner.

    Attributes:
        max_running: maximum number of test runs and inference jobs at a time.
        nice: added to the niceness of the processes of jobs.
        output_dir: folder of the runs, for exported files and the log of the processes.
        ray_address: Ray to join where a run uses Ray and names no cluster.
    """

    max_running: int
    nice: int
    output_dir: Path
    ray_address: str | None = None

    @property
    def log(self) -> Path:
        """Output of the processes of jobs."""
        return self.output_dir / "jobs.log"


@dataclass(slots=True)
class _Running:
    job: ClaimedJob
    process: subprocess.Popen[bytes]
    lost: bool = False


@dataclass(slots=True)
class JobRunner:
    """Executes the jobs of a queue. Any number of runners can share one database.

    Comparisons and exports have a place of their own, so that they do not wait for long runs.

    Attributes:
        db: the run tables.
        settings: settings of the runner.
        report: told about the start and the end of jobs.
    """

    db: Database
    settings: RunnerSettings
    report: Callable[[str], None] = lambda text: None
    _running: list[_Running] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _kept: float = 0.0

    def start(self) -> JobRunner:
        """Run in a thread until `stop`."""
        self._thread = threading.Thread(target=self.run, name="snellen-jobs", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Interrupt the running jobs, which stay in the queue, and wait until they have ended."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def __enter__(self) -> JobRunner:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, *, until_empty: bool = False) -> None:
        """Execute jobs until `stop` is called.

        Args:
            until_empty: return when no job is left that another worker does not have.
        """
        try:
            while not self._stop.is_set():
                taken = self._step()
                if until_empty and not (taken or self._running or jobs_left(self.db)):
                    return
                if not taken:
                    self._stop.wait(_POLL_S)
        finally:
            self._end()

    def _step(self) -> bool:
        """Settle ended jobs, keep the claims of others, take new ones; True if one was taken."""
        try:
            self._reap()
            self._keep()
            runs = sum(one.job.kind != ANALYSIS for one in self._running)
            analyses = len(self._running) - runs
            taken = runs < self.settings.max_running and self._take(RUN_KINDS)
            return (analyses < 1 and self._take((ANALYSIS,))) or taken
        except (SnellenError, OSError) as error:
            # The database is locked or unreachable: the next step tries again.
            self.report(f"The queue of jobs cannot be used now: {error}")
            return False

    def _take(self, kinds: Sequence[str]) -> bool:
        job = claim_job(self.db, kinds)
        if job is None:
            return False
        try:
            process = self._spawn(job)
        except OSError:
            end_claim(self.db, job, again_after_s=_BUSY_AGAIN_S)
            raise
        self._running.append(_Running(job, process))
        self.report(f"{_spoken(job)}: started")
        return True

    def _spawn(self, job: ClaimedJob) -> subprocess.Popen[bytes]:
        settings = self.settings
        order = Order(
            job.kind,
            job.job_id,
            self.db.url,
            str(settings.output_dir),
            job.retry_failed,
            settings.ray_address,
            settings.nice,
        )
        settings.log.parent.mkdir(parents=True, exist_ok=True)
        path = os.pathsep.join(entry for entry in sys.path if entry)
        with settings.log.open("ab") as log:
            process = subprocess.Popen(
                # -P: the working folder may hold files that are called like modules of a library.
                [sys.executable, "-P", "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": path},
                # Ctrl-C in a terminal reaches the worker alone, which then stops its jobs.
                start_new_session=True,
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(order.line())
            process.stdin.flush()
        return process

    def _reap(self) -> None:
        for one in list(self._running):
            if one.process.poll() is not None:
                self._settle(one)
                self._running.remove(one)
                assert one.process.stdin is not None
                one.process.stdin.close()

    def _settle(self, one: _Running, *, stopped: bool = False) -> None:
        """Remove an ended job from the queue, or leave it to be taken again."""
        job, code = one.job, one.process.returncode
        if code == BUSY:
            end_claim(self.db, job, again_after_s=_BUSY_AGAIN_S, count=False)
            return
        if code not in {0, 1, 2, 130}:
            interrupt_abandoned(self.db)
        status = run_status(self.db, job.kind, job.job_id)
        if status is None or status in _ENDED:
            end_claim(self.db, job)
        elif stopped:
            end_claim(self.db, job, again_after_s=0.0, count=False)
        else:
            end_claim(self.db, job, again_after_s=_AGAIN_S)
        self.report(f"{_spoken(job)}: {status or 'deleted'}" + (f" ({code})" if code else ""))

    def _keep(self) -> None:
        if time.monotonic() - self._kept < HEARTBEAT_SECONDS:
            return
        for one in self._running:
            if not one.lost and not keep_claim(self.db, one.job):
                # Another worker has the job; the lease of the run decides which process writes.
                one.lost = True
                one.process.terminate()
        self._kept = time.monotonic()

    def _end(self) -> None:
        for one in self._running:
            with suppress(ProcessLookupError):
                one.process.terminate()
        deadline = time.monotonic() + _STOP_S
        for one in self._running:
            try:
                one.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()
            # An unreachable database: the claim of a dead worker is free anyway.
            with suppress(SnellenError, OSError):
                self._settle(one, stopped=True)
        self._running.clear()


def _spoken(job: ClaimedJob) -> str:
    return f"{job.kind.replace('_', ' ')} {job.job_id}"
