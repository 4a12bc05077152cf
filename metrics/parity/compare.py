"""The comparison of two models' results for one image of any task."""

from __future__ import annotations

from snellen.adapters.types import ImageStatus, InferenceResult
from snellen.metrics.parity.differences import ImageDifference, Tolerance
from snellen.metrics.tasks import task_of


def compare_image(
    first: InferenceResult, second: InferenceResult, tolerance: Tolerance
) -> ImageDifference:
    """Compare two results of one image.

    A prediction and a failure differ by their status; two failures are equal.

    Args:
        first, second: of the same image and task.
        tolerance: the differences that are accepted.
    """
    failed = [result.status is ImageStatus.FAILED for result in (first, second)]
    if all(failed):
        return ImageDifference(())
    if any(failed):
        return ImageDifference(("status",), severity=float("inf"))
    return task_of(first.task_type).compare(first, second, tolerance)
