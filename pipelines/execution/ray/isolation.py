"""Score a unit in a process of its own, and find the image that kills it.

Before the worker touches an image it writes the image's index into a small file beside the
results. When the process dies, the file tells which image it was at. After a death inside a batch
the next attempt goes image by image. An image on which the process died twice becomes a failed
row, WORKER_DIED.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from snellen.adapters.errors import ImageError, RunError
from snellen.pipelines.execution.worker.spec import ScoringSpec, UnitOutcome
from snellen.pipelines.execution.worker.unit_worker import UnitWorker, worker_died
from snellen.pipelines.planning.plan import Plan
from snellen.pipelines.planning.units import Unit

TRIES = 2
_LOAD_TRIES = 3


class _NoticeFile:
    """A file with the last notice of a worker, which outlives the worker."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def write(self, text: str) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def close(self) -> None:
        os.close(self._descriptor)


class _IsolatedWorker:
    """The Ray actor: it scores one unit at a time in one thread, and is never restarted."""

    def __init__(self, spec: ScoringSpec) -> None:
        self._worker = UnitWorker(spec)

    def score(
        self,
        unit: Unit,
        poisoned: dict[int, ImageError],
        batch_size: int | None,
        notice_path: str,
    ) -> UnitOutcome:
        """Score the unit, and announce each image first."""
        notice = _NoticeFile(Path(notice_path))
        try:
            return self._worker.score(
                unit, poisoned=poisoned, batch_size=batch_size, notice=notice.write
            )
        finally:
            notice.close()


class IsolatedScorer:
    """Owns the isolated worker, and counts how often it died on each image."""

    def __init__(self, spec: ScoringSpec, plan: Plan) -> None:
        self._spec = spec
        self._plan = plan
        self._actor: Any = None

    def score(self, unit: Unit) -> UnitOutcome:
        """Score ``unit``, in a new process after each death.

        Raises:
            RunError: WORKER_DIED when the process dies before it touches an image.
        """
        poisoned: dict[int, ImageError] = {}
        strikes: Counter[int] = Counter()
        batch_size: int | None = None
        deaths_without_image = 0
        notice_path = self._spec.results_dir / f".notice-{unit.unit_id}"
        try:
            while True:
                notice_path.write_text("")
                outcome = self._attempt(unit, poisoned, batch_size, notice_path)
                if outcome is not None:
                    return outcome
                blamed = _blamed(notice_path)
                if len(blamed) > 1:
                    batch_size = 1
                elif len(blamed) == 1:
                    index = blamed[0]
                    strikes[index] += 1
                    if strikes[index] >= TRIES:
                        poisoned[index] = worker_died(index)
                        batch_size = None
                else:
                    deaths_without_image += 1
                    if deaths_without_image >= _LOAD_TRIES:
                        raise RunError(
                            "WORKER_DIED",
                            f"the worker died {_LOAD_TRIES} times before its first image of unit "
                            f"{unit.unit_id}; is there enough memory to load the model?",
                        )
        finally:
            notice_path.unlink(missing_ok=True)

    def _attempt(
        self,
        unit: Unit,
        poisoned: dict[int, ImageError],
        batch_size: int | None,
        notice_path: Path,
    ) -> UnitOutcome | None:
        import ray
        from ray.exceptions import RayActorError

        if self._actor is None:
            remote = ray.remote(
                num_cpus=self._plan.actor_cpus,
                num_gpus=self._plan.actor_gpus,
                max_restarts=0,
                max_task_retries=0,
            )(_IsolatedWorker)
            self._actor = remote.remote(self._spec)
        reference = self._actor.score.remote(unit, poisoned, batch_size, str(notice_path))
        try:
            outcome: UnitOutcome = ray.get(reference)
        except RayActorError:
            self._actor = None
            return None
        return outcome

    def stop(self) -> None:
        """Stop the worker process."""
        if self._actor is not None:
            import ray

            ray.kill(self._actor)
            self._actor = None


def _blamed(path: Path) -> list[int]:
    text = path.read_text()
    return [int(part) for part in text.split(",")] if text else []
