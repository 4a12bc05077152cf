"""The errors of each image with their TIDE bucket."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from snellen.metrics.detection.options import options_of
from snellen.metrics.errors.listing import tide_listing
from snellen.metrics.tasks import task_of


def image_errors(
    table: pa.Table, task: str, num_classes: int, *, confidence: float = 0.0, **options: Any
) -> dict[int, list[dict[str, Any]]]:
    """List the errors of every image, each with its bucket (see `snellen.metrics.detection.tide`).

    Args:
        table: rows of a result file, with the columns of the task's metrics and ``image_id``.
        task: its own overlap decides: boxes, masks or poses.
        num_classes: K.
        confidence: see `snellen.metrics.errors.listing.tide_listing`.
        options: of `snellen.metrics.detection.options`.

    Returns:
        By ``image_index``, for images with errors: dicts of bucket, true_index (the truth that is
        missed, or that a Cls or Loc error points to), predicted_index (None for a Miss), each a
        position in the row's list, and class_id (the predicted one; of a Miss the true one).
        False positives first, by falling confidence.

    Raises:
        ValueError: see `snellen.metrics.matching.instances.read_images`.
    """
    listing = tide_listing(
        table, num_classes, options_of(task_of(task).overlaps, **options), confidence=confidence
    )
    result: dict[int, list[dict[str, Any]]] = {}
    for one in listing.instances(table, [str(number) for number in range(num_classes)]):
        decided = one.predicted or one.true
        result.setdefault(one.image_index, []).append(
            {
                "bucket": one.bucket,
                "true_index": one.true and one.true.index,
                "predicted_index": one.predicted and one.predicted.index,
                "class_id": decided and decided.class_id,
            }
        )
    return result
