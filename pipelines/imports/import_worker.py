"""The worker of an imported run: it makes result rows of predictions instead of running a model."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.images.size import header_size
from snellen.adapters.output_classes import in_classes
from snellen.pipelines.data.image_reader import manifest_rows, read_row
from snellen.pipelines.data.sources.file_listing import unescape_id
from snellen.pipelines.execution.worker.label_checks import check_keypoints
from snellen.pipelines.execution.worker.preprocess import NO_PIXELS, UnitImage
from snellen.pipelines.execution.worker.spec import ScoringSpec, UnitOutcome
from snellen.pipelines.execution.worker.unit_steps import Precautions, unit_table, write_unit
from snellen.pipelines.execution.worker.unit_worker import UnitWorker
from snellen.pipelines.imports.imported_results import class_result, object_result
from snellen.pipelines.imports.predicted import Predictions, Reference
from snellen.pipelines.planning.units import Unit
from snellen.pipelines.storage.address import is_remote
from snellen.pipelines.tasks.registry import task_of
from snellen.store.parquet.schema import RESULT_SCHEMA

_TIMES = ("preprocessing_time_ms", "inference_time_ms", "postprocessing_time_ms")
"""Columns that are not known of predictions that were made elsewhere."""

Size = tuple[int, int]


class ImportWorker(UnitWorker):
    """Writes the units of an imported run."""

    def __init__(
        self,
        spec: ScoringSpec,
        predictions: Predictions,
        paired: Mapping[int, Reference],
        *,
        has_loss: bool = True,
    ) -> None:
        """Take the predictions of all images.

        Args:
            spec: of the run.
            predictions: of the file.
            paired: from the index of an image to its reference in the file.
            has_loss: False where the loss of some image is not finite, so that no mean is defined.
        """
        super().__init__(spec, name="import")
        self._predictions = predictions
        self._paired = paired
        self._has_loss = has_loss
        self._task = task_of(spec.info.task_type)

    def _score(self, unit: Unit, batch_size: int, precautions: Precautions) -> UnitOutcome:
        started = time.perf_counter()
        manifest = self._manifest(unit)
        images = [self._image(row) for row in manifest_rows(manifest)]
        table = _without_times(unit_table(self.spec, unit, manifest, images))
        timings = {"load_s": 0.0, "score_s": time.perf_counter() - started}
        return write_unit(self.spec, unit, table, self.name, timings)

    def _image(self, row: Mapping[str, Any]) -> UnitImage:
        image = UnitImage()
        try:
            class_map = self.spec.class_map
            assert class_map is not None, "an imported run is a test run"
            image.truth = self._task.ground_truth(row, class_map, self.spec.classes)
            check_keypoints(image.truth, self.spec.keypoints)
            size, problem = self._size(row)
            width, height = size or (0, 0)
            image.item = replace(NO_PIXELS, width=width, height=height)
            image.result = self._result(row["image_index"], image, size, problem)
        except ImageError as error:
            image.error = error
            image.item = None
            if error.stage == ErrorStage.LABEL:
                image.truth = UnitImage().truth
        return image

    def _result(
        self, index: int, image: UnitImage, size: Size | None, problem: ImageError | None
    ) -> Any:
        reference, predictions = self._paired.get(index), self._predictions
        outputs = self.spec.class_map.outputs if self.spec.class_map is not None else None
        if predictions.classes:
            if reference is None:
                raise ImageError(
                    ErrorStage.INFER,
                    ErrorCode.PREDICTION_MISSING,
                    "the imported file has no prediction of this image. Expected one per image; "
                    "add it and import again.",
                )
            names = self.spec.class_map.names if self.spec.class_map is not None else ()
            found = class_result(
                predictions.classes[reference], predictions.names, names, outputs, image.truth
            )
            if not self._has_loss:
                found.loss = None
            return found
        objects = [] if reference is None else predictions.objects[reference]
        if predictions.are_fractions and size is None and objects:
            raise problem or ImageError(
                ErrorStage.READ, ErrorCode.IO, "the size of the image is not known"
            )
        result = object_result(objects, predictions, size)
        return in_classes(result, outputs)

    def _size(self, row: Mapping[str, Any]) -> tuple[Size | None, ImageError | None]:
        """Return width and height: of the labels, else of the header of the image's file."""
        width, height = row.get("label_width"), row.get("label_height")
        if width and height:
            return (width, height), None
        try:
            location = unescape_id(row["location"])
            if row.get("offset") is None and not is_remote(location):
                return header_size(location).upright, None
            return header_size(io.BytesIO(read_row(row, self.spec.access))).upright, None
        except ImageError as error:
            return None, error


def _without_times(table: pa.Table) -> pa.Table:
    for name in _TIMES:
        position = table.schema.get_field_index(name)
        field = RESULT_SCHEMA.field(name)
        table = table.set_column(position, field, pa.nulls(table.num_rows, field.type))
    return table
