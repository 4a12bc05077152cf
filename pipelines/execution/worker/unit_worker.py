"""A worker that holds a model and scores whole units, everything inside of it."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError, RunError, SnellenError
from snellen.adapters.registry import load_adapter_class
from snellen.adapters.types import ImageStatus, InferenceResult, Preprocessed
from snellen.pipelines.execution.worker.preprocess import ImagePreparer
from snellen.pipelines.execution.worker.spec import ScoringSpec, UnitOutcome
from snellen.pipelines.execution.worker.unit_scorer import (
    Infer,
    Notice,
    UnitReader,
    score_streaming,
    unit_table,
    write_unit,
)
from snellen.pipelines.planning.units import Unit

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter


def worker_name(suffix: str = "") -> str:
    """Which process did it: ``host/pid`` and, on GPUs, which one."""
    return f"{socket.gethostname()}/{os.getpid()}{suffix}"


def silent(_: str) -> None:
    """The notice of a worker that nobody watches."""


class UnitWorker:
    """Scores units one at a time or from several threads at once.

    The model is loaded at the first unit, under a lock, so that a failure to load comes back
    as an outcome and stops the run, rather than restarting the process for ever.
    """

    def __init__(
        self, spec: ScoringSpec, *, adapter: Adapter | None = None, name: str = ""
    ) -> None:
        self.spec = spec
        self._adapter = adapter
        self._name = name or worker_name()
        self._lock = threading.Lock()
        self._reader = UnitReader(spec.manifest)

    def score(
        self,
        unit: Unit,
        *,
        poisoned: Mapping[int, ImageError] | None = None,
        batch_size: int | None = None,
        notice: Notice = silent,
    ) -> UnitOutcome:
        """Read, infer and write one unit.

        Args:
            unit: the range of images.
            poisoned: images that must not be touched, with the error that their row gets.
            batch_size: overrides the run's batch size (after a batch killed its worker).
            notice: told which images are about to be handled.

        Returns:
            What goes into the ledger; with ``error`` where the run has to stop.
        """
        return guarded(unit, lambda: self._score(unit, poisoned or {}, batch_size, notice))

    def _score(
        self,
        unit: Unit,
        poisoned: Mapping[int, ImageError],
        batch_size: int | None,
        notice: Notice,
    ) -> UnitOutcome:
        started = time.perf_counter()
        adapter = self.adapter()
        loaded = time.perf_counter()
        size = batch_size or self.spec.batch_size
        manifest = self._reader.read(unit)
        preparer = ImagePreparer(self.spec, adapter, reads_images=adapter.reads_images)
        prepared, results = score_streaming(
            manifest, preparer, infer_with(adapter, size), size, poisoned=poisoned, notice=notice
        )
        scored = time.perf_counter()
        table = unit_table(self.spec, manifest, prepared, results)
        return write_unit(
            self.spec,
            unit,
            table,
            self._name,
            {"load_s": loaded - started, "score_s": scored - loaded},
        )

    def adapter(self) -> Adapter:
        """The loaded model; loads it at the first call."""
        with self._lock:
            if self._adapter is None:
                self._adapter = load_adapter(self.spec)
            return self._adapter


def load_adapter(spec: ScoringSpec) -> Adapter:
    """Build and load the run's model on this worker."""
    limit_threads(spec)
    return load_adapter_class(spec.adapter.adapter).from_spec(spec.adapter, device=spec.device)


def limit_threads(spec: ScoringSpec) -> None:
    """Give each forward pass the planned number of threads: units run side by side instead."""
    from snellen.adapters.runtime.threads import set_compute_threads

    if spec.device != "cuda":
        set_compute_threads(spec.torch_threads)


def infer_with(adapter: Adapter, batch_size: int) -> Infer:
    """Inference in which an unforeseen error costs only the images that raise it alone, too."""

    def infer(
        items: Sequence[Preprocessed], targets: Sequence[int | None]
    ) -> list[InferenceResult]:
        try:
            return adapter.infer_preprocessed(items, batch_size=batch_size, targets=targets)
        except SnellenError:
            raise
        except Exception as error:
            whole = len(items) == batch_size
            return _one_by_one(adapter, items, targets, error, whole_batch=whole)

    return infer


def _one_by_one(
    adapter: Adapter,
    items: Sequence[Preprocessed],
    targets: Sequence[int | None],
    cause: Exception,
    *,
    whole_batch: bool,
) -> list[InferenceResult]:
    """Infer a batch that raised, image by image.

    Raises:
        RunError: MODEL_ERROR when no image of a whole batch passes: then the model is broken,
            not an image. A short last batch may well be two bad images.
    """
    results: list[InferenceResult] = []
    for item, target in zip(items, targets, strict=True):
        try:
            results += adapter.infer_preprocessed([item], batch_size=1, targets=[target])
        except SnellenError:
            raise  # the run's problem, such as memory, not the image's
        except Exception as error:
            results.append(
                InferenceResult(
                    image_path="",
                    image_name="",
                    task_type=adapter.info.task_type,
                    status=ImageStatus.FAILED,
                    error_stage=ErrorStage.INFER,
                    error_code=ErrorCode.INTERNAL,
                    error_message=f"{type(error).__name__}: {error}",
                )
            )
    if (
        whole_batch
        and len(items) > 1
        and all(result.status is ImageStatus.FAILED for result in results)
    ):
        raise RunError(
            "MODEL_ERROR",
            f"the model failed on every image of a batch: {type(cause).__name__}: {cause}",
        ) from cause
    return results


def guarded(unit: Unit, work: Callable[[], UnitOutcome]) -> UnitOutcome:
    """Turn whatever ``work`` raises into an outcome that stops the run with a clear message."""
    try:
        return work()
    except SnellenError as error:
        problem = (error.code, error.message)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        code = "DISK_FULL" if full else "OUTPUT_NOT_WRITABLE"
        problem = (code, f"unit {unit.unit_id} could not be written: {error}")
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        problem = (
            "WORKER_ERROR",
            f"unit {unit.unit_id}: {type(error).__name__}: {error} "
            f"({where.name}, line {where.lineno} of {os.path.basename(where.filename)})",  # noqa: PTH119
        )
    return UnitOutcome(unit.unit_id, unit.start, unit.stop, error=problem)


def worker_died(image_index: int) -> ImageError:
    """The error of an image that killed its worker twice."""
    return ImageError(
        ErrorStage.INFER,
        ErrorCode.WORKER_DIED,
        f"the worker process died twice on image {image_index}",
    )
