"""The engine without Ray: a thread pool in this process, the reference that Ray must equal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from snellen.pipelines.execution.engine import Engine
from snellen.pipelines.execution.worker.spec import ScoringSpec, UnitOutcome
from snellen.pipelines.execution.worker.unit_worker import UnitWorker, limit_threads
from snellen.pipelines.planning.plan import Plan
from snellen.pipelines.planning.units import Unit


class InlineEngine(Engine):
    """Small sets and tests. An image that kills its worker kills this process: use Ray then."""

    def __init__(self, spec: ScoringSpec, plan: Plan, worker: UnitWorker | None = None) -> None:
        super().__init__(spec, plan)
        self._worker = worker or UnitWorker(spec)
        self._pool: ThreadPoolExecutor | None = None

    def score(self, units: Sequence[Unit]) -> Iterator[UnitOutcome]:
        """Score with ``plan.threads`` threads, at most that many units ahead of the caller."""
        limit_threads(self.spec)
        waiting = iter(units)
        running: set[Future[UnitOutcome]] = set()
        self._pool = ThreadPoolExecutor(self.plan.threads, thread_name_prefix="snellen-unit")
        try:
            while True:
                while len(running) < self.plan.threads and (unit := next(waiting, None)):
                    running.add(self._pool.submit(self._worker.score, unit))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            self.stop()

    def score_alone(self, unit: Unit) -> UnitOutcome:
        """The same as ``score``: no worker can die here without this process."""
        return self._worker.score(unit)

    def stop(self) -> None:
        """Let the units in work end; their files are not committed and are swept later."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
