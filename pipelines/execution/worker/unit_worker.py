"""A worker that holds a model and scores whole units, from reading images to writing rows."""

from __future__ import annotations

import os
import socket
import threading
import time
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError, SnellenError
from snellen.adapters.registry import load_adapter_class
from snellen.pipelines.data.manifest_reader import ManifestReader
from snellen.pipelines.execution.worker.preprocess import ImagePreparer
from snellen.pipelines.execution.worker.retried_rows import rows_to_score
from snellen.pipelines.execution.worker.spec import ScoringSpec, UnitOutcome
from snellen.pipelines.execution.worker.unit_steps import (
    Notice,
    Precautions,
    score_images,
    unit_table,
    write_unit,
)
from snellen.pipelines.planning.units import Unit
from snellen.store.atomic_file import output_error_code

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter


def worker_name(suffix: str = "") -> str:
    """Return the name of this process: ``host/pid`` and, on GPUs, the GPU."""
    return f"{socket.gethostname()}/{os.getpid()}{suffix}"


class UnitWorker:
    """Scores units one at a time or from several threads at once.

    The model is loaded at the first unit, under a lock, so that a failure to load comes back
    as an outcome and stops the run, rather than restarting the process for ever.
    """

    def __init__(
        self, spec: ScoringSpec, *, adapter: Adapter | None = None, name: str = ""
    ) -> None:
        self.spec = spec
        self.name = name or worker_name()
        self._adapter = adapter
        self._lock = threading.Lock()
        self._local = threading.local()

    def score(
        self,
        unit: Unit,
        *,
        poisoned: Mapping[int, ImageError] | None = None,
        batch_size: int | None = None,
        notice: Notice | None = None,
    ) -> UnitOutcome:
        """Read, infer and write one unit.

        Args:
            unit: the range of images.
            poisoned: images that must not be touched, with the errors of their rows.
            batch_size: overrides the run's batch size (after a batch killed its worker).
            notice: is told which images are about to be handled.

        Returns:
            The record for the ledger, or the error that stops the run.
        """
        try:
            precautions = Precautions(poisoned or {}, notice)
            return self._score(unit, batch_size or self.spec.batch_size, precautions)
        except Exception as error:
            return failed_unit(unit, run_problem(unit, error))

    def _score(self, unit: Unit, batch_size: int, precautions: Precautions) -> UnitOutcome:
        started = time.perf_counter()
        adapter = self.adapter()
        loaded = time.perf_counter()
        manifest = self._manifest(unit)
        preparer = ImagePreparer(self.spec, adapter, reads_images=adapter.reads_images)
        images = score_images(manifest, preparer, adapter, batch_size, precautions)
        scored = time.perf_counter()
        table = unit_table(self.spec, unit, manifest, images)
        timings = {"load_s": loaded - started, "score_s": scored - loaded}
        return write_unit(self.spec, unit, table, self.name, timings)

    def _manifest(self, unit: Unit) -> pa.Table:
        """Read the rows to score from the manifest; each thread opens the manifest once."""
        reader: ManifestReader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = ManifestReader(self.spec.manifest)
        return rows_to_score(self.spec, unit, reader.read(unit.start, unit.stop))

    def adapter(self) -> Adapter:
        """Return the model; the first call loads it."""
        with self._lock:
            if self._adapter is None:
                limit_threads(self.spec)
                adapter_class = load_adapter_class(self.spec.adapter.adapter)
                self._adapter = adapter_class.from_spec(self.spec.adapter, device=self.spec.device)
            return self._adapter


def limit_threads(spec: ScoringSpec) -> None:
    """Give each forward pass the planned number of threads: units run side by side instead."""
    from snellen.adapters.runtime.threads import set_compute_threads

    if spec.device != "cuda":
        set_compute_threads(spec.torch_threads)


def failed_unit(unit: Unit, problem: tuple[str, str]) -> UnitOutcome:
    """Return the outcome of a unit that stops the run, from the code and message of its error."""
    return UnitOutcome(unit.unit_id, error=problem)


def run_problem(unit: Unit, error: Exception) -> tuple[str, str]:
    """Return the code and message of an error that stops the run."""
    if isinstance(error, SnellenError):
        return error.code, error.message
    if isinstance(error, OSError):
        return output_error_code(error), f"unit {unit.unit_id} could not be written: {error}"
    where = traceback.extract_tb(error.__traceback__)[-1]
    return (
        "WORKER_ERROR",
        f"unit {unit.unit_id}: {type(error).__name__}: {error} "
        f"({where.name}, line {where.lineno} of {os.path.basename(where.filename)})",  # noqa: PTH119
    )


def worker_died(image_index: int) -> ImageError:
    """Return the error of an image that killed its worker twice."""
    return ImageError(
        ErrorStage.INFER,
        ErrorCode.WORKER_DIED,
        f"the worker process died twice on image {image_index}",
    )
