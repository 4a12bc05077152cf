"""Corrected ground truth of a rescored run, in the place of that of the result files.

A run that was rescored with other labels has a folder with two files: ``manifest.parquet``, the
manifest of the run that it reads with the new labels, and ``ground_truth.parquet``, these labels in
the classes of the run. Both have the images in the order of the manifest. Result rows get the new
ground truth, and all that follows from it, while they are read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from snellen.adapters.errors import ErrorStage
from snellen.store.parquet.schema import RESULT_SCHEMA
from snellen.store.views import AnyRun

GROUND_TRUTH_NAME = "ground_truth.parquet"
"""Name of the file in the folder of a run with corrected labels."""
KEY = "ground_truth"
"""Key in ``resolved`` of such a run."""

TRUE_COLUMNS = ("true_label", "true_label_id", "true_boxes", "true_masks", "true_keypoints")
_PREDICTED = (
    *("predicted_label", "predicted_label_id", "confidence", "top5_predictions"),
    *("predicted_boxes", "predicted_masks", "predicted_keypoints"),
)
_STATUS = ("status", "error_stage", "error_code", "error_message")
_SCORES = ("true_confidence", "loss", "is_correct")
LABELLED_COLUMNS = ("image_index", *_STATUS, *TRUE_COLUMNS, *_PREDICTED, *_SCORES)
"""Columns of a result row that depend on the labels, and those that they are computed from."""
GROUND_TRUTH_SCHEMA = pa.schema(
    [
        RESULT_SCHEMA.field("image_index"),
        pa.field("label_error", pa.string()),
        *(RESULT_SCHEMA.field(name) for name in TRUE_COLUMNS),
    ]
)
"""Columns of the file; ``label_error`` is ``CODE: message``, null for labels that can be used."""


def corrected_folder(run: AnyRun) -> Path | None:
    """Return the folder with the corrected labels of a run; None for a run without any."""
    if not (run.resolved or {}).get(KEY) or run.results_dir is None:
        return None
    return Path(run.results_dir)


def corrected_labels(run: AnyRun) -> CorrectedLabels | None:
    """Return the corrected labels of a run; None for a run without any."""
    folder = corrected_folder(run)
    if folder is None:
        return None
    stored = (run.resolved or {})[KEY]
    outputs = (run.class_map or {}).get("outputs") or {}
    never = frozenset(number for number, group in enumerate(outputs.values()) if not group)
    return CorrectedLabels(folder / GROUND_TRUTH_NAME, bool(stored["has_loss"]), never)


@dataclass(frozen=True, slots=True)
class CorrectedLabels:
    """The labels of a file.

    Attributes:
        file: its path.
        has_loss: the loss of every image is known with these labels; otherwise it is null for all,
            as the mean over the others would be another number.
        never_predicted: classes that the outputs are not restricted to.
    """

    file: Path
    has_loss: bool
    never_predicted: frozenset[int] = frozenset()

    def apply(self, table: pa.Table, *, classified: bool) -> pa.Table:
        """Return result rows with the corrected labels.

        Args:
            table: rows with `LABELLED_COLUMNS`.
            classified: images have classes: ``is_correct`` and the loss follow from the labels.
        """
        truth = self._of(table["image_index"])
        if classified:
            table = self._with_scores(table, truth)
        for name in TRUE_COLUMNS:
            table = _replaced(table, name, truth[name])
        wrong = pc.and_(pc.equal(table["status"], "ok"), pc.is_valid(truth["label_error"]))
        if not pc.any(wrong).as_py():
            return table
        return _failed(table, wrong, truth["label_error"])

    def _of(self, index: Any) -> pa.Table:
        """Return the labels of some images, in their order."""
        low, high = pc.min(index).as_py(), pc.max(index).as_py()
        if low is None:
            return GROUND_TRUTH_SCHEMA.empty_table()
        inside = [("image_index", ">=", low), ("image_index", "<=", high)]
        found = pq.read_table(self.file, filters=inside)
        places = np.searchsorted(found["image_index"].to_numpy(), index.to_numpy())
        return found.take(pa.array(places))

    def _with_scores(self, table: pa.Table, truth: pa.Table) -> pa.Table:
        rows = table.select(
            ["status", "true_label_id", "predicted_label_id", "top5_predictions", *_SCORES]
        ).to_pylist()
        labels = truth["true_label_id"].to_pylist()
        correct, confidences, losses = [], [], []
        for row, label in zip(rows, labels, strict=True):
            scored = row["status"] == "ok" and label is not None
            known = scored and row["predicted_label_id"] is not None
            known = known and label not in self.never_predicted
            correct.append(row["predicted_label_id"] == label if known else None)
            confidence, loss = row["true_confidence"], row["loss"]
            if label != row["true_label_id"]:
                confidence, loss = score_of(row["top5_predictions"], label)
            confidences.append(confidence if scored else None)
            losses.append(loss if scored and self.has_loss else None)
        for name, values in zip(_SCORES, (confidences, losses, correct), strict=True):
            table = _replaced(table, name, pa.array(values, RESULT_SCHEMA.field(name).type))
        return table


def score_of(top: list[dict[str, Any]] | None, label: int | None) -> tuple[Any, Any]:
    """Return the probability of a class among the most confident ones, and its cross-entropy.

    (None, None) where it is not among them.
    """
    for one in top or ():
        if one["label_id"] == label:
            confidence = one["confidence"]
            return confidence, -math.log(confidence) if confidence > 0 else None
    return None, None


def _failed(table: pa.Table, wrong: Any, errors: Any) -> pa.Table:
    """Make failed rows of images whose labels cannot be used, without their predictions."""
    filled = pc.fill_null(errors, ": ")
    parts = pc.split_pattern(filled, ": ", max_splits=1)
    values = {
        "status": pa.scalar("failed"),
        "error_stage": pa.scalar(str(ErrorStage.LABEL)),
        "error_code": pc.list_element(parts, 0),
        "error_message": pc.list_element(parts, 1),
    }
    for name, value in values.items():
        table = _replaced(table, name, pc.if_else(wrong, value, table[name]))
    for name in (*TRUE_COLUMNS, *_PREDICTED, *_SCORES):
        nothing = pa.scalar(None, RESULT_SCHEMA.field(name).type)
        table = _replaced(table, name, pc.if_else(wrong, nothing, table[name]))
    return table


def _replaced(table: pa.Table, name: str, values: Any) -> pa.Table:
    position = table.schema.get_field_index(name)
    field = RESULT_SCHEMA.field(name)
    return table.set_column(position, field, values.cast(field.type))
