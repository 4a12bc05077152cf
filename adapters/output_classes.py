"""Predictions in other classes than the model's own: merged, renamed or fewer ones.

A classifier's logits are merged before anything is ranked, by logsumexp, so that the softmax of a
merged class is the sum of the probabilities of its outputs. A detector's boxes are renamed, and
suppressed again within merged classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from snellen.adapters.errors import RunError
from snellen.adapters.types import Box, ClassScore, ImageStatus, InferenceResult, OutputClasses

if TYPE_CHECKING:
    from torch import Tensor


def merged_logits(scores: Tensor, classes: OutputClasses) -> Tensor:
    """Merge the logits of the outputs of each class.

    Args:
        scores: float32, shape (N, K).
        classes: E classes.

    Returns:
        float32, shape (N, E); minus infinity for a class without outputs.
    """
    import torch

    merged = scores.new_full((len(scores), len(classes.groups)), -torch.inf)
    single = [number for number, group in enumerate(classes.groups) if len(group) == 1]
    merged[:, single] = scores[:, [classes.groups[number][0] for number in single]]
    for number, group in enumerate(classes.groups):
        if len(group) > 1:
            merged[:, number] = scores[:, list(group)].logsumexp(dim=1)
    return merged


def in_classes(result: InferenceResult, classes: OutputClasses | None) -> InferenceResult:
    """Return a result in the ids of ``classes``; one that has them already is returned as it is.

    Args:
        result: of any adapter; not changed.
        classes: of the item that the result is of; None for the model's own.

    Raises:
        RunError: CLASS_MAP_UNSUPPORTED, a classifier that ranks its classes itself, so that their
            logits cannot be merged.
    """
    if classes is None or result.status is ImageStatus.FAILED or result.classes == classes:
        return result
    class_of = {output: number for number, group in enumerate(classes.groups) for output in group}
    if result.predicted_boxes is not None:
        return _objects(result, result.predicted_boxes, classes, class_of)
    return _renamed(result, classes, class_of)


def _objects(
    result: InferenceResult,
    boxes: Sequence[Box],
    classes: OutputClasses,
    class_of: Mapping[int, int],
) -> InferenceResult:
    known = [place for place, box in enumerate(boxes) if box["class_id"] in class_of]
    ids = [class_of[boxes[place]["class_id"]] for place in known]
    kept = _suppressed([boxes[place] for place in known], ids, classes)

    def chosen(values: Sequence[Any] | None) -> list[Any] | None:
        return None if values is None else [values[known[place]] for place in kept]

    found = [Box(**{**boxes[known[place]], "class_id": ids[place]}) for place in kept]
    return replace(
        result,
        predicted_boxes=found,
        predicted_masks=chosen(result.predicted_masks),
        predicted_keypoints=chosen(result.predicted_keypoints),
        classes=classes,
    )


def _suppressed(boxes: Sequence[Box], ids: Sequence[int], classes: OutputClasses) -> list[int]:
    """Return the positions of the boxes that remain, in their order."""
    kept = [place for place, number in enumerate(ids) if len(classes.groups[number]) < 2]
    for merged in {number for number in ids if len(classes.groups[number]) > 1}:
        places = [place for place, number in enumerate(ids) if number == merged]
        kept += _suppressed_class(boxes, places, classes.nms_iou)
    return sorted(kept)


def _suppressed_class(boxes: Sequence[Box], places: Sequence[int], iou: float) -> list[int]:
    import torch

    from snellen.adapters.runtime.torchvision_operators import suppression

    corners = [[boxes[place][side] for side in ("x1", "y1", "x2", "y2")] for place in places]
    confidences = [boxes[place]["confidence"] for place in places]
    kept = suppression()(torch.tensor(corners), torch.tensor(confidences), iou)
    remaining: list[int] = kept.tolist()
    return [places[position] for position in remaining]


def _renamed(
    result: InferenceResult, classes: OutputClasses, class_of: Mapping[int, int]
) -> InferenceResult:
    top = result.top5_predictions or []
    if any(len(group) != 1 for group in classes.groups) or any(
        one["label_id"] not in class_of for one in top
    ):
        raise RunError(
            "CLASS_MAP_UNSUPPORTED",
            "model.class_map merges or restricts classes, and the adapter ranks its classes "
            "itself. Expected an adapter that builds its results with "
            "snellen.adapters.result_builders.classification_results. Rename classes only, or "
            "change the adapter.",
        )
    ranked = [
        ClassScore(
            label_id=class_of[one["label_id"]],
            label=classes.names[class_of[one["label_id"]]],
            confidence=one["confidence"],
        )
        for one in top
    ]
    best = class_of.get(-1 if result.predicted_label_id is None else result.predicted_label_id)
    return replace(
        result,
        predicted_label_id=best,
        predicted_label=None if best is None else classes.names[best],
        top5_predictions=ranked,
        classes=classes,
    )
