"""Exported YOLO models, whether Snellen or Ultralytics exported them."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from snellen.adapters.base import Preprocessor
from snellen.adapters.checkpoints.integrity import invalid
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.exported.class_outputs import as_logits
from snellen.adapters.exported.description import Axes, ExportedModel, Side
from snellen.adapters.exported.output_shapes import Shape, check_class_count, misfit
from snellen.adapters.types import InferenceResult, ModelInfo, Preprocessed
from snellen.adapters.ultralytics.detections import YoloHead
from snellen.adapters.ultralytics.nms import ImageSize, NmsSettings
from snellen.adapters.ultralytics.tasks import YOLO_TASKS, YoloTask, yolo_task
from snellen.adapters.ultralytics.transforms import yolo_preprocessor
from snellen.adapters.ultralytics.yolo_file import check_channels

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_MAX_TEXT = 1_000_000


class _YoloPreprocess(BaseModel):
    """The ``preprocess`` of a YOLO model."""

    model_config = ConfigDict(extra="ignore")

    imgsz: Side | tuple[Side, Side]
    stride: Annotated[StrictInt, Field(ge=1, le=1024)] = 32
    end2end: bool = False
    kpt_shape: (
        tuple[Annotated[StrictInt, Field(ge=1, le=10_000)], Annotated[StrictInt, Field(ge=2, le=3)]]
        | None
    ) = None


class YoloFamily:
    """YOLO models of Ultralytics; their tasks are those of `YOLO_TASKS`."""

    libraries: tuple[str, ...] = ("torch", "ultralytics")

    def checked(self, model: ExportedModel) -> ExportedModel:
        """Return the model with a preprocessing that is complete and within bounds.

        Raises:
            ValidationError: it is neither.
        """
        found = _YoloPreprocess.model_validate(model.preprocess)
        return model.model_copy(update={"preprocess": found.model_dump()})

    def with_overrides(self, model: ExportedModel, overrides: Mapping[str, Any]) -> ExportedModel:
        """Reject the ``preprocess`` settings of a configuration.

        Raises:
            ConfigError: PREPROCESS_INVALID.
        """
        raise ConfigError(
            "PREPROCESS_INVALID",
            f"preprocess is {dict(overrides)}. Expected no settings: an exported YOLO model "
            "letterboxes to the size that it was exported with.",
        )

    def from_properties(
        self, metadata: Mapping[str, Any], axes: Axes, stem: str, imgsz: ImageSize | None
    ) -> ExportedModel:
        """Read the properties that Ultralytics' own exporter writes.

        Args:
            metadata: task, names, imgsz, stride, kpt_shape, end2end, args; as text or JSON values.
            axes: of the graph's input.
            stem: name of the file, for the architecture, which the properties do not hold.
            imgsz: the configured size, where the graph leaves it open.

        Raises:
            InputError: TASK_UNSUPPORTED or CHECKPOINT_INVALID.
        """
        found = {key: _value(value) for key, value in metadata.items()}
        task = YOLO_TASKS.get(str(found.get("task")))
        if task is None:
            raise InputError(
                "TASK_UNSUPPORTED",
                f"'{stem}' was exported by Ultralytics for the task {found.get('task')!r}. "
                f"Expected one of {', '.join(YOLO_TASKS)}.",
            )
        try:
            return self.checked(_described(found, task, axes, stem, imgsz))
        except (ValidationError, TypeError, ValueError) as error:
            raise InputError(
                "CHECKPOINT_INVALID",
                f"'{stem}': the properties that Ultralytics writes (task, names, imgsz, stride, "
                f"kpt_shape) are not complete: {str(error)[:300]}",
            ) from error

    def check_input(self, model: ExportedModel, file: Path) -> None:
        """Check the number of channels: RGB, or grey for a detector.

        Raises:
            InputError: CHECKPOINT_INVALID.
        """
        check_channels(model.input_shape[0], yolo_task(model.task), file)

    def check_outputs(
        self, shapes: Sequence[Shape], model: ExportedModel, file: Path
    ) -> ExportedModel:
        """Check the outputs of one image against the task.

        Raises:
            InputError: CHECKPOINT_INVALID, with the expected and the found shapes.
        """
        task = yolo_task(model.task)
        if not task.finds_objects:
            check_class_count(shapes, model.num_classes, file)
            return model
        ranks = [3, 4][: task.outputs]
        if [len(shape) for shape in shapes] != ranks:
            axes = " and ".join(map(str, ranks))
            raise misfit(file, shapes, f"{task.outputs} outputs of {axes} axes")
        extra = shapes[1][1] if task.outputs > 1 else _keypoint_numbers(task, model, file)
        rows = shapes[0][2] if model.end2end else shapes[0][1]
        wanted = extra + (6 if model.end2end else 4 + model.num_classes)
        if rows != wanted:
            form = "(batch, detections, {})" if model.end2end else "(batch, {}, anchors)"
            classes = f"{model.num_classes} classes"
            raise misfit(file, shapes, f"{form.format(wanted)} for {classes} and {extra} more")
        return model

    def preprocessor(self, info: ModelInfo) -> Preprocessor:
        """Return the letterbox, or the centre crop of a classifier."""
        return yolo_preprocessor(info)

    def reader(
        self, model: ExportedModel, labels: tuple[str, ...], nms: NmsSettings, device: torch.device
    ) -> YoloReader:
        """Return the reader of the graph's outputs."""
        return YoloReader(model, labels, nms)

    def output_count(self, model: ExportedModel) -> int:
        """Return the number of tensors that the graph returns."""
        return yolo_task(model.task).outputs

    def properties(self, model: ExportedModel) -> dict[str, Any]:
        """Return the properties by which Ultralytics' own tools read the file.

        Empty for a classifier: Snellen exports logits, and those tools expect probabilities.
        """
        task = yolo_task(model.task)
        if not task.finds_objects:
            return {}
        properties: dict[str, Any] = {
            "task": task.name,
            "names": dict(enumerate(model.class_names or ())),
            "imgsz": list(model.input_shape[1:]),
            "stride": model.preprocess["stride"],
            "channels": model.input_shape[0],
            "end2end": model.end2end,
            "batch": 1,
        }
        if model.kpt_shape is not None:
            properties["kpt_shape"] = list(model.kpt_shape)
        return properties


class YoloReader:
    """Reads the outputs of the graph; its input needs no normalisation but the division by 255."""

    def __init__(self, model: ExportedModel, labels: tuple[str, ...], nms: NmsSettings) -> None:
        self._task, self._output = yolo_task(model.task), model.output
        self._head = YoloHead(
            task=model.task,
            labels=labels,
            input_shape=model.input_shape[1:],
            nms=nms,
            end2end=model.end2end,
            kpt_shape=model.kpt_shape if self._task.has_keypoints else None,
        )

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return the pixels, float32 (N, C, H, W) in 0..1, as they are."""
        return pixels

    def results(
        self,
        outputs: Sequence[Tensor],
        items: Sequence[Preprocessed],
        targets: Sequence[int | None] | None,
    ) -> list[InferenceResult]:
        """Convert the outputs for N images to N results."""
        if not self._task.finds_objects:
            outputs = [as_logits(self._output, outputs[0])]
        return self._task.results(self._task.split(outputs), items, targets, self._head)


def _keypoint_numbers(task: YoloTask, model: ExportedModel, file: Path) -> int:
    if not task.has_keypoints:
        return 0
    if model.kpt_shape is None:
        raise invalid(file, "it is for poses and does not say how many keypoints they have")
    return prod(model.kpt_shape)


def _described(
    found: Mapping[str, Any], task: YoloTask, axes: Axes, stem: str, imgsz: ImageSize | None
) -> ExportedModel:
    names = found.get("names")
    if isinstance(names, dict):
        names = [names[key] for key in sorted(names, key=int)]
    size = found.get("imgsz") if imgsz is None else imgsz
    sides = list(size) if isinstance(size, list | tuple) else [size, size]
    height, width = axes[2] or sides[0], axes[3] or sides[-1]
    arguments = found.get("args")
    suppresses = isinstance(arguments, dict) and bool(arguments.get("nms"))
    return ExportedModel(
        family="yolo",
        task=task.task_type,
        architecture=stem,
        num_classes=len(names or ()),
        class_names=tuple(map(str, names or ())),
        class_names_source="the exported file",
        input_shape=(axes[1] or 3, height, width),
        preprocess={
            "imgsz": height if height == width else (height, width),
            "stride": found.get("stride", 32),
            # Suppression inside the graph leaves rows of the same form.
            "end2end": bool(found.get("end2end")) or suppresses,
            "kpt_shape": found.get("kpt_shape"),
        },
        output="logits" if task.finds_objects else "probabilities",
        source_framework="ultralytics",
        versions={"ultralytics": str(found.get("version", "unknown"))},
    )


def _value(value: Any) -> Any:
    """Parse a property: ONNX holds text, Python literals where Ultralytics wrote them."""
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
