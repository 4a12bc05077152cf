"""Adapter of Ultralytics' YOLO models, families v8, 11 and 26: classes, boxes, masks, keypoints.

Results equal ``YOLO(...).predict(rect=False)`` at equal settings, masks those of
``retina_masks=True``. Letterboxing is done by CPU workers and gives uint8 of one shape; a batch is
one forward pass; non-maximum suppression and scaling are Ultralytics' own functions. ultralytics
is AGPL-3.0; only this adapter and the exported YOLO models import it, through
`snellen.adapters.ultralytics.environment`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from snellen.adapters.adapter_options import AdapterOptions, parse_options
from snellen.adapters.base import Adapter, Preprocessor
from snellen.adapters.checkpoints.integrity import invalid
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.types import AdapterSpec, InferenceResult, ModelInfo, Preprocessed, TaskType
from snellen.adapters.ultralytics.detections import YoloHead
from snellen.adapters.ultralytics.environment import import_ultralytics
from snellen.adapters.ultralytics.nms import (
    MAX_DETECTIONS,
    ImageSize,
    YoloOptions,
    height_and_width,
    max_detections,
    nms_settings,
)
from snellen.adapters.ultralytics.tasks import YOLO_TASKS
from snellen.adapters.ultralytics.transforms import yolo_preprocessor
from snellen.adapters.ultralytics.yolo_file import YoloCheckpoint, is_yolo_file, load_yolo

if TYPE_CHECKING:
    from torch import Tensor

    from snellen.adapters.exported.writer import Exportable

_PROBE = 64
"""Side of the square that a model is run on when it is loaded, in pixels."""


class UltralyticsAdapter(Adapter):
    """A YOLO checkpoint of Ultralytics."""

    framework: ClassVar[str] = "ultralytics"
    tasks: ClassVar[frozenset[TaskType]] = frozenset(task.task_type for task in YOLO_TASKS.values())
    options: ClassVar[type[AdapterOptions]] = YoloOptions
    needs_checkpoint: ClassVar[bool] = True
    exportable: ClassVar[bool] = True

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return True for a ``.pt`` file whose pickle names Ultralytics' model classes."""
        return is_yolo_file(path)

    @classmethod
    def preprocessor(cls, spec: AdapterSpec, info: ModelInfo) -> Preprocessor:
        """Return the letterbox, or the resize and centre crop of a classifier."""
        return yolo_preprocessor(info)

    def _load(self, inference_mode: bool) -> tuple[ModelInfo, dict[str, Any]]:
        options = parse_options(YoloOptions, self.spec.options, self.framework)
        if self.spec.preprocess:
            raise ConfigError(
                "PREPROCESS_INVALID",
                f"preprocess is {self.spec.preprocess}. Expected no settings: the ultralytics "
                "adapter letterboxes; set model.imgsz instead.",
            )
        if self.spec.checkpoint is None:
            raise InputError(
                "CHECKPOINT_MISSING",
                "the adapter ultralytics has no checkpoint. Expected the path of a file.",
            )
        loaded = load_yolo(self.spec.checkpoint, fuse=inference_mode, nms=options.nms)
        self._loaded = loaded
        self._model = loaded.model.to(self.engine.device)
        self._model.train(not inference_mode)
        self._names = self._class_names(loaded)
        nms = nms_settings(options, self.spec, end2end=loaded.end2end)
        if loaded.end2end:
            # As Ultralytics' predict: the head itself keeps no more than this.
            most = max(nms.max_detections, MAX_DETECTIONS)
            self._model.set_head_attr(max_det=most)  # type: ignore[operator]
        info = self._describe(loaded, options)
        _, height, width = info.input_shape
        self._head = YoloHead(
            task=loaded.task.task_type,
            labels=self._names,
            input_shape=(height, width),
            nms=nms,
            end2end=loaded.end2end,
            kpt_shape=loaded.kpt_shape,
        )
        return info, loaded.states

    def _class_names(self, loaded: YoloCheckpoint) -> tuple[str, ...]:
        names = self.spec.class_names or loaded.names
        if len(names) != len(loaded.names):
            raise InputError(
                "CLASS_COUNT",
                f"there are {len(names)} class names for a model with {len(loaded.names)} classes. "
                "Expected one name per class, in order.",
            )
        return names

    def _describe(self, loaded: YoloCheckpoint, options: YoloOptions) -> ModelInfo:
        size = options.imgsz or loaded.imgsz
        height, width = height_and_width(size)
        if loaded.task.finds_objects:
            _check_multiple(size, loaded.stride)
        parameters = sum(p.numel() for p in loaded.model.parameters())
        return ModelInfo(
            framework=self.framework,
            architecture=loaded.architecture,
            task_type=loaded.task.task_type,
            num_classes=len(loaded.names),
            class_names=self._names,
            class_names_source="given" if self.spec.class_names else "checkpoint",
            input_shape=(loaded.channels, height, width),
            parameters=parameters,
            flops_per_image=self._flops(height, width),
            checkpoint_path=loaded.path,
            checkpoint_sha256=loaded.sha256,
            weights=loaded.weights,
            epoch=loaded.epoch,
            preprocess={
                "imgsz": height if height == width else [height, width],
                "stride": loaded.stride,
                "end2end": loaded.end2end,
                "kpt_shape": loaded.kpt_shape,
            },
            versions=_versions(),
            max_detections=max_detections(options) if loaded.task.finds_objects else None,
            keypoints=loaded.kpt_shape[0] if loaded.kpt_shape is not None else None,
        )

    def _flops(self, height: int, width: int) -> float | None:
        """Return Ultralytics' count of the operations of one forward pass; None if it has none.

        A file whose weights do not fit its layers fails here, not on the first image.
        """
        # torch's own counter gives the same number, and imports torch.compile, which takes longer
        # than the evaluation of a hundred images.
        import torch
        from ultralytics.utils.torch_utils import get_flops

        probe = min(height, width, _PROBE * max(1, self._loaded.stride // _PROBE))
        image = torch.zeros(1, self._loaded.channels, probe, probe, device=self.engine.device)
        was_training = self._model.training
        try:
            with torch.no_grad():
                self._model.eval()(image)
                giga = get_flops(self._model, [height, width])
        except Exception as error:  # its layers may raise anything
            raise invalid(
                Path(self._loaded.path),
                f"its layers and weights do not fit: {type(error).__name__}: {str(error)[:300]}",
            ) from error
        finally:
            self._model.train(was_training)
        return giga * 1e9 or None

    def _forward(self, batch: Tensor) -> Any:
        return self._model(batch.float().div_(255))

    def _postprocess(
        self,
        outputs: Any,
        items: Sequence[Preprocessed],
        targets: Sequence[int | None] | None,
    ) -> list[InferenceResult]:
        task = self._loaded.task
        return task.results(task.split(outputs), items, targets, self._head)

    def as_exportable(self) -> Exportable:
        """Return the model as a module from images in 0..1 to logits or raw predictions."""
        from snellen.adapters.exported.family import describe
        from snellen.adapters.exported.writer import Exportable
        from snellen.adapters.ultralytics.export_module import PlainYolo

        return Exportable(PlainYolo(self._model, self._loaded.task), describe(self.info, "yolo"))


def _check_multiple(size: ImageSize, stride: int) -> None:
    given = [size] if isinstance(size, int) else list(size)
    larger = [-(-side // stride) * stride for side in given]
    if given != larger:
        found, fix = (
            str(sides[0]) if len(sides) == 1 else f"[{sides[0]},{sides[1]}]"
            for sides in (given, larger)
        )
        raise ConfigError(
            "OPTION_INVALID",
            f"model.imgsz: {found} is no multiple of the model's stride {stride}. Expected "
            f"multiples of {stride}. Set model.imgsz={fix}",
        )


def _versions() -> dict[str, str]:
    import torch

    return {
        "torch": str(torch.__version__),
        "ultralytics": str(import_ultralytics().__version__),
    }
