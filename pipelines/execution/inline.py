"""The engine without Ray: a thread pool in this process. Its rows are the reference for Ray's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Future,
    ThreadPoolExecutor,
    wait,
)
from threading import Event

from snellen.pipelines.execution.engine import Engine
from snellen.pipelines.execution.worker.spec import ScoringSpec, UnitOutcome
from snellen.pipelines.execution.worker.unit_worker import UnitWorker, limit_threads
from snellen.pipelines.planning.plan import Plan
from snellen.pipelines.planning.units import Unit


class InlineEngine(Engine):
    """Scores units in threads, for small datasets and tests.

    An image that kills its worker kills this process: use Ray where that can happen.
    """

    def __init__(self, spec: ScoringSpec, plan: Plan, worker: UnitWorker | None = None) -> None:
        super().__init__(spec, plan)
        self._worker = worker or UnitWorker(spec)
        self._pool: ThreadPoolExecutor | None = None
        self._stopping = Event()

    def score(self, units: Sequence[Unit]) -> Iterator[UnitOutcome]:
        """Score with ``plan.threads`` threads, at most that many units ahead of the caller."""
        limit_threads(self.spec)
        self._stopping.clear()
        waiting = iter(units)
        running: set[Future[UnitOutcome]] = set()
        self._pool = ThreadPoolExecutor(self.plan.threads, thread_name_prefix="snellen-unit")
        try:
            while True:
                while len(running) < self.plan.threads and (unit := next(waiting, None)):
                    running.add(self._pool.submit(self._score, unit))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            self.stop()

    def score_alone(self, unit: Unit) -> UnitOutcome:
        """Score one unit here: no worker can die without this process."""
        return self._worker.score(unit)

    def _score(self, unit: Unit) -> UnitOutcome:
        return self._worker.score(unit, notice=self._check)

    def _check(self, _: str) -> None:
        """Abandon the unit before its next image or batch once the engine is stopped."""
        if self._stopping.is_set():
            raise CancelledError

    def stop(self) -> None:
        """Abandon the units in work; what they wrote is not committed and is swept later."""
        self._stopping.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
