"""Builders of results: of an image that failed, and of a batch of classification logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.output_classes import merged_logits
from snellen.adapters.types import (
    ClassScore,
    ImageStatus,
    InferenceResult,
    OutputClasses,
    Preprocessed,
    TaskType,
)

if TYPE_CHECKING:
    from torch import Tensor

TOP_K = 5
_TASK = TaskType.IMAGE_CLASSIFICATION


def failed_result(error: ImageError, task_type: TaskType) -> InferenceResult:
    """Return the result of an image that failed, without path, name or prediction."""
    return InferenceResult(
        image_path="",
        image_name="",
        task_type=task_type,
        status=ImageStatus.FAILED,
        error_stage=error.stage,
        error_code=error.code,
        error_message=error.message,
    )


def nonfinite_result(item: Preprocessed, task_type: TaskType) -> InferenceResult:
    """Return the result of an image whose outputs hold NaN or infinity (NONFINITE)."""
    message = "the model's output holds NaN or infinity"
    result = failed_result(ImageError(ErrorStage.INFER, ErrorCode.NONFINITE, message), task_type)
    result.width, result.height, result.extra_data = item.width, item.height, dict(item.extra)
    return result


def classification_results(
    logits: Tensor,
    items: Sequence[Preprocessed],
    targets: Sequence[int | None] | None,
    labels: Sequence[str],
) -> list[InferenceResult]:
    """Convert logits to ranked classes.

    Probabilities are the softmax, computed in float32 for any precision of the model. The loss
    is the cross-entropy -log softmax(logits)[target], natural logarithm, from the logits and not
    from the rounded probability. An image with NaN or infinite logits fails alone, NONFINITE.

    Args:
        logits: floating point, shape (N, K), on any device.
        items: the N images that were given to the model. Their ``classes`` say which classes the
            outputs count as.
        targets: N ids of these classes, None for images without ground truth; None altogether
            where no image has any.
        labels: K names of the model's own classes.

    Returns:
        N results in order; the five most confident classes, fewer where there are fewer.
    """
    import torch

    classes = items[0].classes if items else None
    with torch.inference_mode():
        scores = logits.float()
        finite = torch.isfinite(scores).all(dim=1)
        count = scores.shape[1]
        if classes is not None:
            scores, labels = merged_logits(scores, classes), classes.names
            count = sum(bool(group) for group in classes.groups)
            targets = targets and [_predictable(target, classes) for target in targets]
        probabilities = scores.softmax(dim=1)
        top = scores.topk(min(TOP_K, count), dim=1).indices
        confidences = probabilities.gather(1, top)
        true_values: list[tuple[float, float] | None] = [None] * len(items)
        if targets is not None:
            true_values = _true_values(scores, probabilities, targets)
    rows = zip(items, finite.tolist(), top.tolist(), confidences.tolist(), true_values, strict=True)
    return [
        replace(_classified(item, ids, values, truth, labels), classes=classes)
        if is_finite
        else nonfinite_result(item, _TASK)
        for item, is_finite, ids, values, truth in rows
    ]


def _predictable(target: int | None, classes: OutputClasses) -> int | None:
    return target if target is not None and classes.groups[target] else None


def _true_values(
    scores: Tensor, probabilities: Tensor, targets: Sequence[int | None]
) -> list[tuple[float, float] | None]:
    import torch

    known = torch.tensor(
        [0 if target is None else target for target in targets], device=scores.device
    ).unsqueeze(1)
    confidences = probabilities.gather(1, known).squeeze(1).tolist()
    losses = (-scores.log_softmax(dim=1).gather(1, known)).squeeze(1).tolist()
    return [
        None if target is None else (confidence, loss)
        for target, confidence, loss in zip(targets, confidences, losses, strict=True)
    ]


def _classified(
    item: Preprocessed,
    ids: list[int],
    confidences: list[float],
    truth: tuple[float, float] | None,
    labels: Sequence[str],
) -> InferenceResult:
    top = [
        ClassScore(label_id=index, label=labels[index], confidence=value)
        for index, value in zip(ids, confidences, strict=True)
    ]
    return InferenceResult(
        image_path="",
        image_name="",
        task_type=_TASK,
        predicted_label=labels[ids[0]],
        predicted_label_id=ids[0],
        confidence=confidences[0],
        top5_predictions=top,
        width=item.width,
        height=item.height,
        true_confidence=None if truth is None else truth[0],
        loss=None if truth is None else truth[1],
        extra_data=dict(item.extra),
    )
