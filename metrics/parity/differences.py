"""The differences between two models' predictions for one image, and their tolerances."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The maximum differences between the predictions of equivalent models.

    Attributes:
        confidence: largest difference of a probability or confidence.
        pixels: largest difference of a box's side or a keypoint's coordinate, in pixels of the
            original image.
        mask_iou: minimum IoU of two masks of the same object.
        compared_from: detections below this confidence in both models are not compared.
        limit: maximum number of detections per image that the models keep; a detection missing
            at the limit may have been cut off.
    """

    confidence: float = 1e-4
    pixels: float = 1e-2
    mask_iou: float = 0.999
    compared_from: float = 0.25
    limit: int = 300


@dataclass(frozen=True, slots=True)
class ImageDifference:
    """The differences on one image; None where they do not apply to the task.

    Attributes:
        reasons: the tolerances that are exceeded: status, top1, confidence, count, box,
            keypoints, mask; empty where the predictions are equivalent.
        confidence: largest absolute difference over A's top five classes, or over matched
            detections.
        top1: the predicted class (label) of each model, for a classifier.
        counts: number of detections of each model at or above `Tolerance.compared_from`.
        unmatched: number of detections of each model without a partner in the other.
        box, keypoints: largest absolute difference of matched detections, pixels.
        mask_iou: smallest IoU of matched detections.
        severity: largest difference in units of its tolerance, to sort by.
    """

    reasons: tuple[str, ...]
    confidence: float = 0.0
    top1: tuple[str | None, str | None] | None = None
    counts: tuple[int, int] | None = None
    unmatched: tuple[int, int] | None = None
    box: float | None = None
    keypoints: float | None = None
    mask_iou: float | None = None
    severity: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the fields that apply to the task."""
        return {key: value for key, value in asdict(self).items() if value is not None}
