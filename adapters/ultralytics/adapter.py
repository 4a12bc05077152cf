"""YOLO models of the families v8, 11 and 26: classification, boxes, masks, keypoints.

Results equal ``YOLO(...).predict(rect=False)`` at equal settings, masks those of
``retina_masks=True``. Letterboxing is done by CPU workers and gives uint8 of one shape; a batch is
one forward pass; non-maximum suppression and scaling are Ultralytics' own functions. ultralytics
is AGPL-3.0; only this adapter and the exported YOLO models import it, through `ultralytics_env`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from snellen.adapters.base import Adapter, Preprocessor
from snellen.adapters.checkpoints.bombs import invalid
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.options import AdapterOptions, parse_options
from snellen.adapters.results import classification_results
from snellen.adapters.types import AdapterSpec, InferenceResult, ModelInfo, Preprocessed, TaskType
from snellen.adapters.ultralytics.environment import import_ultralytics
from snellen.adapters.ultralytics.load import TASKS, YoloCheckpoint, is_yolo_file, load_yolo
from snellen.adapters.ultralytics.preprocess import yolo_preprocessor
from snellen.adapters.ultralytics.results import (
    YoloHead,
    YoloOptions,
    nms_settings,
    object_results,
)

if TYPE_CHECKING:
    from torch import Tensor

    from snellen.adapters.exported.export import Exportable

_PROBE = 64
"""Side of the square that a model is tried on when it is loaded, in pixels."""


class UltralyticsAdapter(Adapter):
    """A YOLO checkpoint of Ultralytics."""

    framework: ClassVar[str] = "ultralytics"
    tasks: ClassVar[frozenset[TaskType]] = frozenset(TASKS.values())
    options: ClassVar[type[AdapterOptions]] = YoloOptions
    needs_checkpoint: ClassVar[bool] = True
    exportable: ClassVar[bool] = True

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return True for a ``.pt`` file whose pickle names Ultralytics' model classes."""
        return is_yolo_file(path)

    @classmethod
    def preprocessor(cls, spec: AdapterSpec, info: ModelInfo) -> Preprocessor:
        """Letterbox to a square, or resize and centre crop for classification."""
        return yolo_preprocessor(info)

    def _load(self, inference_mode: bool) -> tuple[ModelInfo, dict[str, Any]]:
        options = parse_options(YoloOptions, self.spec.options, self.framework)
        if self.spec.preprocess:
            raise ConfigError(
                "PREPROCESS_INVALID",
                "preprocess: the ultralytics adapter letterboxes; set model.imgsz instead.",
            )
        if self.spec.checkpoint is None:
            raise InputError("CHECKPOINT_MISSING", "the ultralytics adapter needs a checkpoint")
        loaded = load_yolo(self.spec.checkpoint, fuse=inference_mode, nms=options.nms)
        self._loaded = loaded
        self._model = loaded.model.to(self.engine.device)
        self._model.train(not inference_mode)
        self._names = self._class_names(loaded)
        nms = nms_settings(options, self.spec.min_confidence, end2end=loaded.end2end)
        info = self._describe(loaded, options)
        _, height, width = info.input_shape
        self._head = YoloHead(
            loaded.task,
            len(self._names),
            (height, width),
            nms,
            end2end=loaded.end2end,
            kpt_shape=loaded.kpt_shape,
        )
        return info, loaded.states

    def _class_names(self, loaded: YoloCheckpoint) -> tuple[str, ...]:
        names = self.spec.class_names or loaded.names
        if len(names) != len(loaded.names):
            raise InputError(
                "CLASS_COUNT",
                f"{len(names)} class names were given for a model with {len(loaded.names)} classes",
            )
        return names

    def _describe(self, loaded: YoloCheckpoint, options: YoloOptions) -> ModelInfo:
        side = options.imgsz or loaded.imgsz
        if side % loaded.stride and loaded.task is not TaskType.IMAGE_CLASSIFICATION:
            raise ConfigError(
                "OPTION_INVALID",
                f"model.imgsz: {side} is no multiple of the model's stride {loaded.stride}.",
            )
        parameters = sum(p.numel() for p in loaded.model.parameters())
        return ModelInfo(
            framework=self.framework,
            architecture=loaded.architecture,
            task_type=loaded.task,
            num_classes=len(loaded.names),
            class_names=self._names,
            class_names_source="given" if self.spec.class_names else "checkpoint",
            input_shape=(3, side, side),
            parameters=parameters,
            flops_per_image=self._flops(side),
            checkpoint_path=loaded.path,
            checkpoint_sha256=loaded.sha256,
            weights=loaded.weights,
            epoch=loaded.epoch,
            preprocess={
                "imgsz": side,
                "stride": loaded.stride,
                "end2end": loaded.end2end,
                "kpt_shape": loaded.kpt_shape,
            },
            versions=_versions(),
        )

    def _flops(self, side: int) -> float | None:
        """Operations of one forward pass, counted on a smaller input and scaled by its area.

        A file whose weights do not fit its layers fails here, not on the first image.
        """
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        probe = min(side, _PROBE * max(1, self._loaded.stride // _PROBE))
        image = torch.zeros(1, 3, probe, probe, device=self.engine.device)
        was_training = self._model.training
        try:
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                self._model.eval()(image)
        except Exception as error:  # whatever its layers raise
            raise invalid(
                Path(self._loaded.path),
                f"its layers and weights do not fit: {type(error).__name__}: {str(error)[:300]}",
            ) from error
        finally:
            self._model.train(was_training)
        return float(counter.get_total_flops()) * (side / probe) ** 2

    def _forward(self, batch: Tensor) -> Any:
        return self._model(batch.float().div_(255))

    def _postprocess(
        self,
        outputs: Any,
        items: Sequence[Preprocessed],
        targets: Sequence[int | None] | None,
    ) -> list[InferenceResult]:
        loaded = self._loaded
        if loaded.task is TaskType.IMAGE_CLASSIFICATION:
            logits = outputs[1] if isinstance(outputs, tuple | list) else outputs
            return classification_results(logits, items, targets, self._names)
        raw, protos = _split(outputs, loaded.task)
        return object_results(raw, protos, items, self._head)

    def as_exportable(self) -> Exportable:
        """Return the model as a module from images in 0..1 to logits or raw predictions."""
        from snellen.adapters.exported.export import Exportable
        from snellen.adapters.exported.model import describe
        from snellen.adapters.ultralytics.module import PlainYolo

        return Exportable(PlainYolo(self._model, self.info.task_type), describe(self.info, "yolo"))


def _split(outputs: Any, task: TaskType) -> tuple[Tensor, Tensor | None]:
    """Predictions and, for segmentation, mask prototypes, wherever this version puts them."""
    if task is not TaskType.INSTANCE_SEGMENTATION:
        return (outputs[0] if isinstance(outputs, tuple | list) else outputs), None
    first = outputs[0]
    if isinstance(first, tuple | list):
        return first[0], first[1]
    return first, outputs[1]


def _versions() -> dict[str, str]:
    import torch

    return {
        "torch": str(torch.__version__),
        "ultralytics": str(import_ultralytics().__version__),
    }
