"""Which images are behind each of TIDE's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from metrics.detection_count import match
from metrics.detection_options import options_of
from metrics.instances import read_images
from metrics.tide import BUCKETS


def image_errors(
    table: pa.Table, task: str, num_classes: int, *, confidence: float = 0.0, **options: Any
) -> dict[int, list[dict[str, Any]]]:
    """The errors of every image, each with its bucket (see `metrics.tide`).

    Args:
        table: rows of a result file, with the columns of the task's metrics.
        task: its own overlap decides: boxes, masks or poses.
        num_classes: K.
        confidence: less confident predictions do not exist. 0 gives the errors that a report's
            ``details["tide"]["counts"]`` count; at the operating point there are fewer false
            positives and more misses.
        options: of `metrics.detection_options`.

    Returns:
        By ``image_index``, for images with errors: dicts of bucket, true_index (the truth that is
        missed, or that a Cls or Loc error points to), predicted_index (None for a Miss), each a
        position in the row's list, and class_id (the predicted one; of a Miss the true one).
        False positives first, by falling confidence.

    Raises:
        ValueError: see `metrics.instances.read_images`.
    """
    chosen = options_of(task, **options)
    images = read_images(table, chosen.own, num_classes)
    sure = np.flatnonzero(images.predictions.confidence >= np.float32(confidence))
    images = images.with_predictions(images.predictions.take(sure))
    errors = match(images, chosen.own, chosen).tide
    truths, found = images.truths, images.predictions
    result: dict[int, list[dict[str, Any]]] = {}

    def add(row: int, bucket: str, true: int | None, predicted: int | None, class_id: int) -> None:
        result.setdefault(int(images.index[row]), []).append(
            {
                "bucket": bucket,
                "true_index": true,
                "predicted_index": predicted,
                "class_id": class_id,
            }
        )

    for i in np.flatnonzero(errors.bucket < BUCKETS.index("Miss")).tolist():
        target = int(errors.target[i])
        true = int(truths.place[target]) if target >= 0 else None
        name = BUCKETS[errors.bucket[i]]
        add(int(found.row[i]), name, true, int(found.place[i]), int(found.class_id[i]))
    for i in np.flatnonzero(errors.missed).tolist():
        add(int(truths.row[i]), "Miss", int(truths.place[i]), None, int(truths.class_id[i]))
    return result
