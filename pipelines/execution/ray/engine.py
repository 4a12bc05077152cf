"""The engine on Ray Data, which schedules units, limits how many wait, and retries them.

On CPUs alone an actor does everything from reading to writing, in threads. On GPU nodes CPU
tasks read and decode, GPU actors infer, CPU tasks write; a unit travels as one row.
"""

from __future__ import annotations

import pickle
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from snellen.adapters.errors import RunError
from snellen.pipelines.execution.engine import Engine
from snellen.pipelines.execution.ray.isolation import IsolatedScorer
from snellen.pipelines.execution.ray.lost_workers import LostWorkers
from snellen.pipelines.execution.ray.stages import CpuWorker, GpuWorker, PrepareStage, WriteStage
from snellen.pipelines.execution.worker.spec import ScoringSpec, UnitOutcome
from snellen.pipelines.planning.plan import Plan
from snellen.pipelines.planning.units import Unit
from snellen.pipelines.progress import Reporter

_DATA_THREAD = "iter_threaded"
"""Ray Data's thread that fetches results; it checks every 0.1 s if its iterator is closed."""
_THREAD_SECONDS = 10.0
_RETRIES = {"max_restarts": -1, "max_task_retries": 1}


class RayEngine(Engine):
    """Scores units on the Ray that this process is connected to."""

    def __init__(self, spec: ScoringSpec, plan: Plan, reporter: Reporter | None = None) -> None:
        super().__init__(spec, plan)
        self._lost = LostWorkers(reporter or Reporter())
        self._isolated: IsolatedScorer | None = None
        self._batches: Any = None

    def score(self, units: Sequence[Unit]) -> Iterator[UnitOutcome]:
        """Stream the units through Ray Data.

        Raises:
            RunError: RAY_FAILED when Ray gives up or makes no progress; the run is resumable.
        """
        if not units:
            return
        dataset = self._dataset(units)
        try:
            with self._lost.watch():
                self._batches = iter(
                    dataset.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0)
                )
                for batch in self._batches:
                    self._lost.tell()
                    for packed in batch["outcome"]:
                        yield pickle.loads(packed)
                self._lost.tell(at_end=True)
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except Exception as error:
            first_line = str(error).strip().splitlines()[0] if str(error).strip() else ""
            raise RunError(
                "RAY_FAILED", f"Ray stopped the run: {type(error).__name__}: {first_line}"
            ) from error

    def _dataset(self, units: Sequence[Unit]) -> Any:
        import ray.data

        rows = [{"unit_id": u.unit_id, "start": u.start, "stop": u.stop} for u in units]
        source = ray.data.from_items(rows, override_num_blocks=len(rows))
        return self._cpu(source) if self.plan.layout == "cpu" else self._gpu(source)

    def _cpu(self, source: Any) -> Any:
        from ray.data import ActorPoolStrategy

        return _map(
            source,
            CpuWorker,
            self.spec,
            num_cpus=self.plan.actor_cpus,
            compute=ActorPoolStrategy(
                size=self.plan.actors,
                max_concurrent_calls_per_actor=self.plan.threads,
                enable_true_multi_threading=True,
            ),
            **_RETRIES,
        )

    def _gpu(self, source: Any) -> Any:
        from ray.data import ActorPoolStrategy, TaskPoolStrategy

        prepared = source.map_batches(
            PrepareStage(self.spec),
            batch_size=1,
            batch_format="numpy",
            num_cpus=1,
            compute=TaskPoolStrategy(),
        )
        inferred = _map(
            prepared,
            GpuWorker,
            self.spec,
            num_cpus=0,
            num_gpus=self.plan.actor_gpus,
            compute=ActorPoolStrategy(
                size=self.plan.actors,
                max_concurrent_calls_per_actor=self.plan.threads,
                enable_true_multi_threading=True,
            ),
            **_RETRIES,
        )
        return inferred.map_batches(
            WriteStage(self.spec),
            batch_size=1,
            batch_format="numpy",
            # Another share than the first stage, so that Ray does not fuse the two.
            num_cpus=0.5,
            compute=TaskPoolStrategy(),
        )

    def score_alone(self, unit: Unit) -> UnitOutcome:
        """Score one unit in a process of its own, until the image that kills it is found."""
        if self._isolated is None:
            self._isolated = IsolatedScorer(self.spec, self.plan)
        return self._isolated.score(unit)

    def stop(self) -> None:
        """Stop Ray Data's execution and the isolated worker.

        Both must stop while Ray runs: threads that outlive the session kill this process, and an
        iterator that is garbage-collected later starts another Ray.
        """
        if self._batches is not None:
            self._batches.close()
            self._batches = None
            for thread in threading.enumerate():
                if thread.name == _DATA_THREAD:
                    thread.join(_THREAD_SECONDS)
        if self._isolated is not None:
            self._isolated.stop()
            self._isolated = None


def _map(source: Any, worker: type, spec: ScoringSpec, **arguments: Any) -> Any:
    with warnings.catch_warnings():
        # Ray 2.60 deprecates passing max_restarts here and offers no other way yet.
        warnings.filterwarnings("ignore", message=".*ray_remote_args.*")
        return source.map_batches(
            worker,
            fn_constructor_args=(spec,),
            batch_size=1,
            batch_format="numpy",
            **arguments,
        )
