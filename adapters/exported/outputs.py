"""Whether the outputs of an exported graph are those of the task that it claims to be for."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path

from snellen.adapters.checkpoints.bombs import invalid
from snellen.adapters.exported.model import ExportedModel
from snellen.adapters.types import TaskType

Shape = tuple[int, ...]


def check_outputs(shapes: Sequence[Shape], model: ExportedModel, file: Path) -> ExportedModel:
    """Compare the outputs of one image with what the task needs.

    Args:
        shapes: of every output, batch first.
        model: what the file says of itself. The number of classes of a timm model without a
            description is taken from its output.
        file: for messages.

    Raises:
        InputError: CHECKPOINT_INVALID, with what was expected and what came.
    """
    if model.task is TaskType.IMAGE_CLASSIFICATION:
        return _classes(shapes, model, file)
    expected = 2 if model.task is TaskType.INSTANCE_SEGMENTATION else 1
    ranks = [3, 4][:expected]
    if [len(shape) for shape in shapes] != ranks:
        raise _misfit(file, shapes, f"{expected} outputs of {' and '.join(map(str, ranks))} axes")
    extra = 0
    if model.task is TaskType.INSTANCE_SEGMENTATION:
        extra = shapes[1][1]
    elif model.task is TaskType.POSE_ESTIMATION:
        if model.kpt_shape is None:
            raise invalid(file, "it is for poses and does not say how many keypoints they have")
        extra = prod(model.kpt_shape)
    rows = shapes[0][2] if model.end2end else shapes[0][1]
    wanted = extra + (6 if model.end2end else 4 + model.num_classes)
    if rows != wanted:
        form = "(batch, detections, {})" if model.end2end else "(batch, {}, anchors)"
        classes = f"{model.num_classes} classes"
        raise _misfit(file, shapes, f"{form.format(wanted)} for {classes} and {extra} more")
    return model


def _classes(shapes: Sequence[Shape], model: ExportedModel, file: Path) -> ExportedModel:
    if len(shapes) != 1 or len(shapes[0]) != 2:
        raise _misfit(file, shapes, "one output (batch, classes)")
    count = shapes[0][1]
    if model.source_sha256 is None and model.family == "timm":
        return model.model_copy(update={"num_classes": count})
    if count != model.num_classes:
        raise _misfit(file, shapes, f"(batch, {model.num_classes})")
    return model


def _misfit(file: Path, shapes: Sequence[Shape], expected: str) -> Exception:
    return invalid(file, f"its outputs do not fit: expected {expected}; it has {list(shapes)}")
