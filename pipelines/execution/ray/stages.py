"""The callables that Ray Data runs: one row of a batch is one unit."""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from snellen.adapters.registry import load_adapter_class
from snellen.adapters.types import InferenceResult, Preprocessed
from snellen.pipelines.execution.worker.preprocess import ImagePreparer, Prepared
from snellen.pipelines.execution.worker.spec import ScoringSpec, UnitOutcome
from snellen.pipelines.execution.worker.unit_scorer import (
    UnitReader,
    infer_prepared,
    prepare_unit,
    unit_table,
    write_unit,
)
from snellen.pipelines.execution.worker.unit_worker import (
    UnitWorker,
    guarded,
    infer_with,
    silent,
    worker_name,
)
from snellen.pipelines.planning.units import Unit

Batch = Mapping[str, Any]


def unit_of(batch: Batch) -> Unit:
    """The unit that a batch of one row describes."""
    return Unit(int(batch["unit_id"][0]), int(batch["start"][0]), int(batch["stop"][0]))


def pack(value: object) -> Any:
    """A column of one pickled object."""
    return np.array([pickle.dumps(value, protocol=5)], dtype=object)


def gpu_suffix() -> str:
    """Which GPUs Ray gave this actor, for the ledger's ``worker``."""
    import ray

    ids = ray.get_gpu_ids()
    return f"/gpu{','.join(str(i) for i in ids)}" if ids else ""


class CpuWorker:
    """An actor that does everything from reading to writing."""

    def __init__(self, spec: ScoringSpec) -> None:
        self._worker = UnitWorker(spec)

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Score the unit of the batch."""
        return {"outcome": pack(self._worker.score(unit_of(batch)))}


class PrepareStage:
    """A CPU task that reads, decodes and preprocesses a unit into one tensor row."""

    def __init__(self, spec: ScoringSpec) -> None:
        self._spec = spec

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Give ``images`` of shape (1, n, *input_shape) uint8 and the rest pickled."""
        unit = unit_of(batch)
        spec = self._spec
        started = time.perf_counter()
        adapter_class = load_adapter_class(spec.adapter.adapter)
        preparer = ImagePreparer(
            spec,
            adapter_class.preprocessor(spec.adapter, spec.info),
            reads_images=adapter_class.reads_images,
        )
        prepared = prepare_unit(UnitReader(spec.manifest).read(unit), preparer, {}, silent)
        arrays = [one.item.array for one in prepared if one.item is not None]
        shape = arrays[0].shape if arrays else spec.info.input_shape
        images = np.stack(arrays) if arrays else np.empty((0, *shape), np.uint8)
        for one in prepared:
            if one.item is not None:
                one.item.array = images[:0, 0] if images.size else np.empty(0, np.uint8)
        return {
            "unit_id": batch["unit_id"],
            "start": batch["start"],
            "stop": batch["stop"],
            "images": images[None],
            "prepared": pack((prepared, time.perf_counter() - started)),
        }


class GpuWorker:
    """An actor with a GPU: infers units that are prepared already."""

    def __init__(self, spec: ScoringSpec) -> None:
        self._name = worker_name(gpu_suffix())
        self._worker = UnitWorker(spec, name=self._name)

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Infer one unit; a problem of the run travels on as an outcome with an error."""
        unit = unit_of(batch)
        answer: list[tuple[list[Prepared], list[InferenceResult | None], dict[str, float]]] = []

        def work() -> UnitOutcome:
            answer.append(self._infer(batch))
            return UnitOutcome(unit.unit_id, unit.start, unit.stop)

        outcome = guarded(unit, work)
        return {
            "unit_id": batch["unit_id"],
            "start": batch["start"],
            "stop": batch["stop"],
            "inferred": pack((outcome.error, self._name, answer[0] if answer else None)),
        }

    def _infer(
        self, batch: Batch
    ) -> tuple[list[Prepared], list[InferenceResult | None], dict[str, float]]:
        started = time.perf_counter()
        adapter = self._worker.adapter()
        loaded = time.perf_counter()
        prepared, prepare_s = pickle.loads(batch["prepared"][0])
        images = batch["images"][0]
        good = (one for one in prepared if one.item is not None)
        for array, one in zip(images, good, strict=True):
            one.item = Preprocessed(
                array, one.item.width, one.item.height, one.item.geometry, one.item.extra
            )
        size = self._worker.spec.batch_size
        results = infer_prepared(prepared, infer_with(adapter, size), size)
        timings = {
            "prepare_s": prepare_s,
            "load_s": loaded - started,
            "score_s": time.perf_counter() - loaded,
        }
        return prepared, results, timings


class WriteStage:
    """A CPU task that makes the result rows of a unit and writes its file."""

    def __init__(self, spec: ScoringSpec) -> None:
        self._spec = spec

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Write the unit's file, or pass its error on."""
        unit = unit_of(batch)
        error, name, answer = pickle.loads(batch["inferred"][0])
        if error is not None:
            return {"outcome": pack(UnitOutcome(unit.unit_id, unit.start, unit.stop, error=error))}

        def work() -> UnitOutcome:
            prepared, results, timings = answer
            manifest = UnitReader(self._spec.manifest).read(unit)
            table = unit_table(self._spec, manifest, prepared, results)
            return write_unit(self._spec, unit, table, name, timings)

        return {"outcome": pack(guarded(unit, work))}
