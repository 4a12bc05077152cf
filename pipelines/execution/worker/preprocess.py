"""From a row of the manifest to a preprocessed image, or to the error that prevents it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.types import InferenceResult, Preprocessed
from snellen.pipelines.data.image_reader import content_hash, manifest_rows, read_row
from snellen.pipelines.execution.worker.brightness import mean_luma
from snellen.pipelines.execution.worker.label_checks import check_keypoints, check_label_size
from snellen.pipelines.execution.worker.row_guard import image_name
from snellen.pipelines.execution.worker.spec import ScoringSpec
from snellen.pipelines.storage.address import is_remote
from snellen.pipelines.tasks.record import GroundTruth
from snellen.pipelines.tasks.registry import task_of

if TYPE_CHECKING:
    from snellen.adapters.base import Preprocessor


@dataclass(slots=True)
class UnitImage:
    """One image on its way to its result row.

    Attributes:
        truth: its labels; empty for an unlabelled image.
        item: the preprocessed image; None where preparing it failed.
        error: why preparing failed; None where it did not.
        content_hash: sha256 of the bytes that were read; None where none were.
        milliseconds: time to read, decode and preprocess; of a remote image without the time
            that its bytes were read ahead.
        brightness: mean luma of the decoded image, 0 to 1; None where it was not decoded.
        result: the prediction; None before inference and for an image that has none.
    """

    truth: GroundTruth = field(default_factory=GroundTruth)
    item: Preprocessed | None = None
    error: ImageError | None = None
    content_hash: str | None = None
    milliseconds: float = 0.0
    brightness: float | None = None
    result: InferenceResult | None = None


READ_AHEAD = 16
"""Number of remote images of a unit that are read at a time: reading takes longer than decoding."""
_READING = "reading"
NO_PIXELS = Preprocessed(array=np.empty(0, np.uint8), width=0, height=0)


class ImagePreparer:
    """Prepares the images of a unit one by one. Holds no state between images."""

    def __init__(self, spec: ScoringSpec, *preprocessors: Preprocessor, reads_images: bool) -> None:
        """Prepare images for one model, or for several that are compared.

        Args:
            spec: of the run; for several models, of the first.
            preprocessors: one per model.
            reads_images: False for a model that takes no pixels.
        """
        self._spec = spec
        self._task = task_of(spec.info.task_type)
        self._preprocessors = preprocessors
        self._reads_images = reads_images

    def prepare(self, row: Mapping[str, Any]) -> UnitImage:
        """Label, read, decode and preprocess the image of a manifest row for one model."""
        (image,) = self.prepare_each(row)
        return image

    def prepare_each(self, row: Mapping[str, Any]) -> list[UnitImage]:
        """Read and decode the image of a manifest row once and preprocess it for every model.

        Returns:
            One image per model; all of them have the error where anything fails.
        """
        truth, items, error = GroundTruth(), [NO_PIXELS for _ in self._preprocessors], None
        digest: str | None = None
        brightness: float | None = None
        started = time.perf_counter()
        stage = ErrorStage.LABEL
        try:
            if self._spec.class_map is not None:
                truth = self._task.ground_truth(row, self._spec.class_map, self._spec.classes)
                check_keypoints(truth, self._spec.keypoints)
            if not self._reads_images:
                return [UnitImage(truth, self._in_classes(item)) for item in items]
            stage = ErrorStage.READ
            reading: Future[bytes] | None = row.get(_READING)
            data = self._read(row) if reading is None else reading.result()
            stage = ErrorStage.DECODE
            digest = content_hash(data)
            decoded = self._spec.access.decode(data, image_name(row))
            brightness = mean_luma(decoded.pixels)
            check_label_size(row, truth, (decoded.width, decoded.height))
            stage = ErrorStage.PREPROCESS
            items = [self._in_classes(one.preprocess(decoded)) for one in self._preprocessors]
        except ImageError as problem:
            error = problem
        except MemoryError:
            error = ImageError(stage, ErrorCode.PIXEL_LIMIT, "not enough memory")
        except Exception as problem:
            # An unexpected failure of one image must not end a run of millions.
            message = f"{type(problem).__name__}: {problem}"
            error = ImageError(stage, ErrorCode.INTERNAL, message)
        milliseconds = (time.perf_counter() - started) * 1000
        if error is not None and error.stage == ErrorStage.LABEL:
            truth = GroundTruth()  # what cannot be trusted is not stored
        return [
            UnitImage(truth, None if error else item, error, digest, milliseconds, brightness)
            for item in items
        ]

    def rows(self, manifest: pa.Table) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of a unit in order and read the next remote images in the meantime.

        Local files are read when their row is prepared, as that is faster than a thread.
        """
        rows = manifest_rows(manifest)
        if not self._reads_images or not any(is_remote(row["location"]) for row in rows):
            yield from rows
            return
        pool = ThreadPoolExecutor(READ_AHEAD, thread_name_prefix="snellen-read")
        try:
            running = deque(pool.submit(self._read, row) for row in rows[:READ_AHEAD])
            for number, row in enumerate(rows):
                # A copy, so that no list of rows keeps the bytes of a whole unit.
                yield {**row, _READING: running.popleft()}
                if number + READ_AHEAD < len(rows):
                    running.append(pool.submit(self._read, rows[number + READ_AHEAD]))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _in_classes(self, item: Preprocessed) -> Preprocessed:
        """Return the item with the classes that the outputs count as in this run."""
        class_map = self._spec.class_map
        if class_map is None or class_map.outputs is None:
            return item
        return replace(item, classes=class_map.outputs)

    def _read(self, row: Mapping[str, Any]) -> bytes:
        return read_row(row, self._spec.access)
