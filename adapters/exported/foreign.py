"""Exported files of others: what Ultralytics writes into them, and a timm model without a word."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from pydantic import ValidationError

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.exported.model import ExportedModel, checked
from snellen.adapters.types import TaskType
from snellen.adapters.ultralytics.load import TASKS

_MAX_TEXT = 1_000_000

Axes = Sequence[int | None]
"""Sizes of a graph's input: batch, channels, height, width; None where it is open."""


def from_ultralytics(
    metadata: Mapping[str, Any], axes: Axes, stem: str, imgsz: int | None
) -> ExportedModel:
    """Read the properties that Ultralytics' own exporter writes.

    Args:
        metadata: task, names, imgsz, stride, kpt_shape, end2end, args; as text or JSON values.
        axes: of the graph's input.
        stem: name of the file, for the architecture, which they do not hold.
        imgsz: the side that was asked for, where the graph leaves it open.

    Raises:
        InputError: TASK_UNSUPPORTED or CHECKPOINT_INVALID.
    """
    found = {key: _value(value) for key, value in metadata.items()}
    task = TASKS.get(str(found.get("task")))
    if task is None:
        raise InputError(
            "TASK_UNSUPPORTED",
            f"'{stem}' was exported by Ultralytics for the task {found.get('task')!r}; supported "
            f"are {', '.join(TASKS)}.",
        )
    names = found.get("names")
    if isinstance(names, dict):
        names = [names[key] for key in sorted(names, key=int)]
    size = found.get("imgsz") if imgsz is None else imgsz
    sides = list(size) if isinstance(size, list | tuple) else [size, size]
    height, width = axes[2] or sides[0], axes[3] or sides[-1]
    arguments = found.get("args") if isinstance(found.get("args"), dict) else {}
    try:
        return checked(
            ExportedModel(
                family="yolo",
                task=task,
                architecture=stem,
                num_classes=len(names or ()),
                class_names=tuple(map(str, names or ())),
                class_names_source="the exported file",
                input_shape=(axes[1] or 3, height, width),
                preprocess={
                    "imgsz": height if height == width else (height, width),
                    "stride": found.get("stride", 32),
                    # Suppression inside of the graph leaves rows of the same form.
                    "end2end": bool(found.get("end2end")) or bool((arguments or {}).get("nms")),
                    "kpt_shape": found.get("kpt_shape"),
                },
                probabilities=task is TaskType.IMAGE_CLASSIFICATION,
                source_framework="ultralytics",
                versions={"ultralytics": str(found.get("version", "unknown"))},
            )
        )
    except (ValidationError, TypeError, ValueError) as error:
        raise InputError(
            "CHECKPOINT_INVALID",
            f"'{stem}': the properties that Ultralytics writes (task, names, imgsz, stride, "
            f"kpt_shape) are not complete: {str(error)[:300]}",
        ) from error


def from_timm(architecture: str | None, axes: Axes, what: str) -> ExportedModel:
    """Describe a classifier that says nothing of itself, from timm's settings of its model.

    Args:
        architecture: ``model.architecture``.
        axes: of the graph's input.
        what: the file, for messages.

    Raises:
        InputError: ARCHITECTURE_MISSING, ARCHITECTURE_UNKNOWN.
    """
    if architecture is None:
        raise InputError(
            "ARCHITECTURE_MISSING",
            f"{what} says nothing of itself: neither Snellen nor Ultralytics exported it. If it "
            "is a timm classifier, give model.architecture, whose preprocessing is then taken.",
        )
    from snellen.adapters.timm.model import check_architecture, import_timm
    from snellen.adapters.timm.transforms import resolve_config

    check_architecture(architecture)
    import_timm()
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(architecture, allow_unregistered=True)
    model = SimpleNamespace(pretrained_cfg=config.to_dict() if config is not None else {})
    channels = axes[1] or 3
    size = {"img_size": [axes[2], axes[3]]} if axes[2] and axes[3] else {}
    preprocess = resolve_config(model, {}, size, channels)
    try:
        return checked(
            ExportedModel(
                family="timm",
                task=TaskType.IMAGE_CLASSIFICATION,
                architecture=architecture,
                num_classes=1,  # until its output tells
                input_shape=tuple(preprocess["input_size"]),
                preprocess=preprocess,
                source_framework="timm",
            )
        )
    except (ValidationError, ConfigError) as error:
        raise InputError("CHECKPOINT_INVALID", f"{what}: {str(error)[:300]}") from error


def _value(value: Any) -> Any:
    """ONNX properties are text: Python literals where Ultralytics wrote them."""
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
