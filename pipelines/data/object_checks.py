"""Checks of the labelled objects of a whole dataset, whatever its format.

One wrong image is a failed row. A fault that all images share, or that makes some of them count
with less ground truth than others, would give a wrong number instead: it is an error before
inference.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from snellen.adapters.errors import ErrorCode, InputError
from snellen.pipelines.data.report import DatasetReport

_SPOKEN = {"masks": "outlines", "keypoints": "keypoints"}
_LABELS = ("true_boxes", "true_masks", "true_keypoints")


class ObjectChecks:
    """Checks the tables of a manifest as they are written; memory does not depend on their rows."""

    def __init__(self, needs: frozenset[str], *, fail_mixed: bool) -> None:
        """Begin the checks of one dataset.

        Args:
            needs: ground truth that is scored besides boxes: "masks", "keypoints".
            fail_mixed: an image whose objects lack it fails, rather than the dataset.
        """
        self._needs = sorted(needs)
        self._fail_mixed = fail_mixed
        self._with: Counter[str] = Counter()
        self._without: Counter[str] = Counter()
        self._first_without: dict[str, str] = {}
        self._labels = self._objects = self._sized = self._flat = self._outside = 0
        self._largest = 0.0
        self._codes: Counter[str] = Counter()
        self._first_error = ""

    def apply(self, table: pa.Table) -> pa.Table:
        """Check the rows of a table; return it, with an error in each row that fails."""
        for kind in self._needs:
            table = self._check_complete(table, kind)
        self._labels += len(table) - table["label"].null_count
        self._check_boxes(table)
        wrong = table.select(["image_id", "label_error"]).filter(pc.is_valid(table["label_error"]))
        for image_id, error in zip(
            *(wrong[name].to_pylist() for name in wrong.column_names), strict=True
        ):
            self._codes[error.partition(":")[0]] += 1
            self._first_error = self._first_error or f"'{image_id}': {error}"
        return table

    def finish(self, report: DatasetReport) -> None:
        """Reject the dataset, or add its doubts to the report.

        Raises:
            InputError: DATASET_LABELS or DATASET_LABEL_SIZE, no label can be used;
                DATASET_MIXED_LABELS, some images lack ground truth that others have;
                DATASET_BOX_UNITS, boxes are not in pixels.
        """
        self._reject_unusable()
        for kind in self._needs:
            self._reject_mixed(kind, report)
        if self._sized and self._largest <= 1:
            raise InputError(
                "DATASET_BOX_UNITS",
                f"none of the {self._sized:,} boxes reaches beyond 1 pixel: they look normalised "
                "to the size of the image. Expected absolute pixels. Multiply them by the width "
                "and the height.",
            )
        for count, fault in (
            (self._flat, "have no area"),
            (self._outside, "lie outside of the image"),
        ):
            if count:
                report.warn(
                    f"{count:,} of {self._objects:,} boxes {fault}: no prediction can match them"
                )

    def _reject_unusable(self) -> None:
        failed = sum(self._codes.values())
        if not failed or self._objects or self._labels:
            return
        sizes = set(self._codes) == {str(ErrorCode.LABEL_SIZE_MISMATCH)}
        raise InputError(
            "DATASET_LABEL_SIZE" if sizes else "DATASET_LABELS",
            f"no label can be used: {failed:,} images have a wrong one and no other image has an "
            f"object. The first is {self._first_error}. Expected labels "
            + (
                "of the images as they are. Were the images resized after they were labelled? Set "
                "dataset.path to the original ones."
                if sizes
                else "as the format defines them. Correct the label files."
            ),
        )

    def _reject_mixed(self, kind: str, report: DatasetReport) -> None:
        having, lacking = self._with[kind], self._without[kind]
        if not lacking:
            return
        spoken = _SPOKEN[kind]
        if not having:
            report.warn(f"no object has {spoken}: only the metrics of boxes are defined")
            return
        raise InputError(
            "DATASET_MIXED_LABELS",
            f"{lacking:,} of {having + lacking:,} images with objects have boxes without {spoken}, "
            f"such as '{self._first_without[kind]}'. Expected {spoken} for every object, as the "
            "model is scored on them. Add them, or set dataset.mixed_labels=fail to make failed "
            "rows of these images.",
        )

    def _check_complete(self, table: pa.Table, kind: str) -> pa.Table:
        column = table[f"true_{kind}"].combine_chunks()
        labelled = pc.greater(pc.fill_null(pc.list_value_length(table["true_boxes"]), 0), 0)
        complete = pa.array(_complete(column))
        lacking = pc.and_(labelled, pc.invert(complete))
        self._with[kind] += pc.sum(pc.and_(labelled, complete)).as_py() or 0
        found = table["image_id"].filter(lacking)
        if not len(found):
            return table
        if not self._fail_mixed:
            self._without[kind] += len(found)
            self._first_without.setdefault(kind, found[0].as_py())
            return table
        error = pa.scalar(f"{ErrorCode.LABEL_INVALID}: boxes without {_SPOKEN[kind]}", pa.string())
        table = _replaced(table, "label_error", lacking, error)
        for name in _LABELS:
            table = _replaced(table, name, lacking, pa.scalar(None, table.schema.field(name).type))
        return table

    def _check_boxes(self, table: pa.Table) -> None:
        boxes = table["true_boxes"].combine_chunks()
        objects = boxes.flatten()
        if not len(objects):
            return
        x1, y1, x2, y2 = (_floats(objects.field(name)) for name in ("x1", "y1", "x2", "y2"))
        image = pc.list_parent_indices(boxes).to_numpy()
        width, height = (_floats(table[f"label_{key}"])[image] for key in ("width", "height"))
        flat = (x2 <= x1) | (y2 <= y1)
        # A comparison with NaN, for a value or a size that is not known, is False.
        outside = (x2 <= 0) | (y2 <= 0) | (x1 >= width) | (y1 >= height)
        self._objects += len(objects)
        self._flat += int(flat.sum())
        self._outside += int((outside & ~flat).sum())
        sized = (x2 > x1) & (y2 > y1)
        self._sized += int(sized.sum())
        for values in (x1, y1, x2, y2):
            self._largest = max(self._largest, float(np.abs(values[sized]).max(initial=0)))


def _complete(column: pa.ListArray) -> npt.NDArray[np.bool_]:
    """Return True for each row with a list that has no null in it."""
    complete = np.array(pc.is_valid(column).to_numpy(zero_copy_only=False), np.bool_)
    missing = pc.is_null(column.flatten()).to_numpy(zero_copy_only=False)
    complete[pc.list_parent_indices(column).to_numpy()[missing]] = False
    return complete


def _replaced(table: pa.Table, name: str, where: Any, value: pa.Scalar) -> pa.Table:
    position = table.schema.get_field_index(name)
    column = pc.if_else(where, value, table[name])
    return table.set_column(position, table.schema.field(position), column)


def _floats(values: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False))
