"""Results of single images from imported predictions, as adapters return them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.types import (
    Box,
    ClassScore,
    InferenceResult,
    Keypoint,
    OutputClasses,
    TaskType,
)
from snellen.pipelines.imports.predicted import FoundObject, ImageClass, Predictions
from snellen.pipelines.tasks.record import GroundTruth

_TOP = 5
Floats = npt.NDArray[np.float64]


def class_result(
    found: ImageClass,
    own: Sequence[str],
    names: Sequence[str],
    outputs: OutputClasses | None,
    truth: GroundTruth,
) -> InferenceResult:
    """Return the result of a classified image.

    Without probabilities there are no top 5, no probability of the true class and no loss.

    Args:
        found: the prediction, in the file's own classes.
        own: names of these classes.
        names: names of the run's classes.
        outputs: the own classes that each class of the run consists of; None if they are equal.
        truth: the ground truth of the image.

    Raises:
        ImageError: PREDICTION_MISSING, the predicted class is no class of the run.
    """
    result = InferenceResult("", "", TaskType.IMAGE_CLASSIFICATION)
    if found.probabilities is None:
        groups = outputs.groups if outputs is not None else [(n,) for n in range(len(own))]
        place = next((n for n, group in enumerate(groups) if found.class_id in group), None)
        if place is None:
            raise ImageError(
                ErrorStage.INFER,
                ErrorCode.PREDICTION_MISSING,
                f"the predicted class '{own[found.class_id]}' is no class of the run.",
            )
        result.predicted_label_id, result.predicted_label = place, names[place]
        result.confidence, result.classes = found.confidence, outputs
        return result
    merged = merged_probabilities(found.probabilities, outputs)
    # the label that the file names wins among equally probable ones
    order = np.lexsort((np.arange(len(merged)), -merged))
    best = found.class_id if outputs is None else int(order[0])
    ranked = [best, *(number for number in order.tolist() if number != best)][:_TOP]
    result.predicted_label_id, result.predicted_label = best, names[best]
    result.confidence, result.classes = float(merged[best]), outputs
    result.top5_predictions = [
        ClassScore(label_id=number, label=names[number], confidence=float(merged[number]))
        for number in ranked
    ]
    if truth.class_id is not None:
        probability = float(merged[truth.class_id])
        result.true_confidence = probability
        result.loss = -math.log(probability) if probability > 0 else math.inf
    return result


def merged_probabilities(probabilities: Floats, outputs: OutputClasses | None) -> Floats:
    """Return the probability of each class of the run: the sum of those of its outputs."""
    if outputs is None:
        return probabilities
    sums = np.array([probabilities[list(group)].sum() for group in outputs.groups])
    return np.asarray(sums / sums.sum()) if sums.sum() > 0 else sums


def object_result(
    objects: Sequence[FoundObject], predictions: Predictions, size: tuple[int, int] | None
) -> InferenceResult:
    """Return the result of an image with predicted objects, the most confident first.

    Args:
        objects: of the image, in the file's own classes.
        predictions: of the whole file.
        size: width and height of the upright image; None if they are not known.

    Raises:
        ImageError: a mask of another size than the image.
    """
    ranked = sorted(objects, key=lambda one: -one.score)
    scale = np.array([*(size or (1, 1))] * 2) if predictions.are_fractions else np.ones(4)
    boxes = []
    for one in ranked:
        x1, y1, x2, y2 = (np.array(one.corners) * scale).tolist()
        boxes.append(Box(class_id=one.class_id, x1=x1, y1=y1, x2=x2, y2=y2, confidence=one.score))
    masks = keypoints = None
    if "masks" in predictions.needs:
        masks = [_mask(one, size) for one in ranked]
    if "keypoints" in predictions.needs:
        keypoints = [_keypoints(one) for one in ranked]
    return InferenceResult(
        "",
        "",
        predictions.task,
        predicted_boxes=boxes,
        predicted_masks=masks,
        predicted_keypoints=keypoints,
    )


def _mask(found: FoundObject, size: tuple[int, int] | None) -> bytes:
    assert found.mask is not None, "the reader requires masks"
    height, width, counts = found.mask
    if size is not None and (width, height) != size:
        raise ImageError(
            ErrorStage.POSTPROCESS,
            ErrorCode.DIMENSION,
            f"a predicted mask has {width} x {height} pixels, and the image {size[0]} x {size[1]}. "
            "Expected masks of the upright original image.",
        )
    return counts


def _keypoints(found: FoundObject) -> list[Keypoint]:
    values = found.keypoints or []
    return [
        Keypoint(x=x, y=y, v=v)
        for x, y, v in zip(values[::3], values[1::3], values[2::3], strict=True)
    ]
