"""The callables that Ray Data runs: one row of a batch is one unit."""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from snellen.adapters.registry import load_adapter_class
from snellen.pipelines.data.manifest_reader import ManifestReader
from snellen.pipelines.execution.worker.preprocess import ImagePreparer, UnitImage
from snellen.pipelines.execution.worker.retried_rows import rows_to_score
from snellen.pipelines.execution.worker.spec import ScoringSpec, UnitOutcome
from snellen.pipelines.execution.worker.unit_steps import (
    infer_images,
    prepare_images,
    unit_table,
    write_unit,
)
from snellen.pipelines.execution.worker.unit_worker import (
    UnitWorker,
    failed_unit,
    run_problem,
    worker_name,
)
from snellen.pipelines.planning.units import Unit

Batch = Mapping[str, Any]


def unit_of(batch: Batch) -> Unit:
    """Return the unit that a batch of one row describes."""
    return Unit(int(batch["unit_id"][0]), int(batch["start"][0]), int(batch["stop"][0]))


def _manifest(spec: ScoringSpec, unit: Unit) -> pa.Table:
    whole = ManifestReader(spec.manifest).read(unit.start, unit.stop)
    return rows_to_score(spec, unit, whole)


def pack(value: object) -> Any:
    """Return a column of one pickled object."""
    return np.array([pickle.dumps(value, protocol=5)], dtype=object)


def gpu_suffix() -> str:
    """Return the GPUs that Ray gave this actor, for the ledger's ``worker``."""
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
        """Return ``images`` of shape (1, n, *input_shape) uint8 and the rest pickled."""
        unit = unit_of(batch)
        spec = self._spec
        started = time.perf_counter()
        adapter_class = load_adapter_class(spec.adapter.adapter)
        preparer = ImagePreparer(
            spec,
            adapter_class.preprocessor(spec.adapter, spec.info),
            reads_images=adapter_class.reads_images,
        )
        images = prepare_images(_manifest(spec, unit), preparer)
        arrays = [image.item.array for image in images if image.item is not None]
        shape = arrays[0].shape if arrays else spec.info.input_shape
        pixels = np.stack(arrays) if arrays else np.empty((0, *shape), np.uint8)
        for image in images:
            if image.item is not None:
                image.item.array = pixels[:0, 0] if pixels.size else np.empty(0, np.uint8)
        return {
            "unit_id": batch["unit_id"],
            "start": batch["start"],
            "stop": batch["stop"],
            "images": pixels[None],
            "prepared": pack((images, time.perf_counter() - started)),
        }


@dataclass(frozen=True, slots=True)
class _Inferred:
    """A unit between inference and writing: its images, or the error that stops the run."""

    worker: str
    images: list[UnitImage] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    error: tuple[str, str] | None = None


class GpuWorker:
    """An actor with a GPU: infers units that are prepared already."""

    def __init__(self, spec: ScoringSpec) -> None:
        self._worker = UnitWorker(spec, name=worker_name(gpu_suffix()))

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Infer one unit; an error of the run travels on to the stage that writes."""
        try:
            inferred = self._infer(batch)
        except Exception as error:
            problem = run_problem(unit_of(batch), error)
            inferred = _Inferred(self._worker.name, error=problem)
        return {
            "unit_id": batch["unit_id"],
            "start": batch["start"],
            "stop": batch["stop"],
            "inferred": pack(inferred),
        }

    def _infer(self, batch: Batch) -> _Inferred:
        started = time.perf_counter()
        adapter = self._worker.adapter()
        loaded = time.perf_counter()
        images, prepare_s = pickle.loads(batch["prepared"][0])
        good = (image for image in images if image.item is not None)
        for array, image in zip(batch["images"][0], good, strict=True):
            image.item = replace(image.item, array=array)
        infer_images(images, adapter, self._worker.spec.batch_size)
        timings = {
            "prepare_s": prepare_s,
            "load_s": loaded - started,
            "score_s": time.perf_counter() - loaded,
        }
        return _Inferred(self._worker.name, images, timings)


class WriteStage:
    """A CPU task that makes the result rows of a unit and writes its file."""

    def __init__(self, spec: ScoringSpec) -> None:
        self._spec = spec

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Write the unit's file, or pass its error on."""
        unit = unit_of(batch)
        inferred: _Inferred = pickle.loads(batch["inferred"][0])
        if inferred.error is not None:
            return {"outcome": pack(failed_unit(unit, inferred.error))}
        try:
            outcome = self._write(unit, inferred)
        except Exception as error:
            outcome = failed_unit(unit, run_problem(unit, error))
        return {"outcome": pack(outcome)}

    def _write(self, unit: Unit, inferred: _Inferred) -> UnitOutcome:
        table = unit_table(self._spec, unit, _manifest(self._spec, unit), inferred.images)
        return write_unit(self._spec, unit, table, inferred.worker, inferred.timings)
