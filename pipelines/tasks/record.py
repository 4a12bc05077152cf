"""The record of a task: everything that differs between tasks while images are processed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.types import InferenceResult
from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.pipelines.data.class_map import ClassMap

if TYPE_CHECKING:
    from snellen.pipelines.visualization.canvas import Canvas

Row = Mapping[str, Any]
"""A row of a manifest or of a result file, by column."""


@dataclass(slots=True)
class GroundTruth:
    """The labels of one image in the class ids of the checkpoint.

    Attributes:
        class_id: the class of a classified image.
        boxes: dicts as in the column ``true_boxes``, without objects of excluded classes.
        masks: parallel to the boxes, COCO compressed RLE.
        keypoints: parallel to the boxes, dicts of x, y, v.
    """

    class_id: int | None = None
    boxes: list[dict[str, Any]] | None = None
    masks: list[bytes] | None = None
    keypoints: list[list[dict[str, float]]] | None = None


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """Functions and facts of one task.

    Attributes:
        read_labels: from a manifest row, the class map and the dataset's class names to the
            ground truth. Raises ImageError, stage ``label``.
        predicted_columns: from a result and its ground truth to the predicted columns of a row.
        match_columns: from a table of result rows and the operating point to the columns
            ``matches``, ``tp``, ``fp``, ``fn``, ``is_correct`` and ``iou`` or ``oks``; None for a
            task without matches.
        drawn_column: the column of a result row that `draw` needs; a row that has it is drawn.
        draw: draws the predictions of a row on a canvas, with the class names.
        verb: one word for tables: ``detect``.
        hub_task: name of the task on the Hugging Face Hub.
        filters_by_confidence: ``model.min_confidence`` applies.
        has_logits: classes compete for an image, so ``model.restrict_logits`` applies.
        has_masks: predictions have masks, so ``output.masks: png`` applies.
        needs: ground truth that is scored besides boxes: "masks", "keypoints".
    """

    read_labels: Callable[[Row, ClassMap, Sequence[str]], GroundTruth]
    predicted_columns: Callable[[InferenceResult, GroundTruth], dict[str, Any]]
    match_columns: Callable[[pa.Table, OperatingPoint], dict[str, pa.Array]] | None
    drawn_column: str
    draw: Callable[[Canvas, Row, Sequence[str]], None]
    verb: str
    hub_task: str
    filters_by_confidence: bool
    has_logits: bool
    has_masks: bool
    needs: frozenset[str] = frozenset()

    @property
    def has_operating_point(self) -> bool:
        """True where predictions are matched with ground truth at an operating point."""
        return self.match_columns is not None

    def ground_truth(self, row: Row, class_map: ClassMap, classes: Sequence[str]) -> GroundTruth:
        """Map the labels of a manifest row to the class ids of the checkpoint.

        Args:
            row: at least `LABEL_COLUMNS`; not changed.
            class_map: from dataset classes to checkpoint classes.
            classes: the dataset's class names in the order of its own ids.

        Raises:
            ImageError: stage ``label``; LABEL_MISSING, LABEL_RANGE or LABEL_INVALID.
        """
        problem = row.get("label_error")
        if problem:
            code, _, message = problem.partition(": ")
            raise ImageError(ErrorStage.LABEL, ErrorCode(code), message)
        return self.read_labels(row, class_map, classes)
