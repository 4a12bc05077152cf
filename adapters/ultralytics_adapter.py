"""YOLO models of the families v8, 11 and 26: classification, boxes, masks, keypoints.

Results equal ``YOLO(...).predict(rect=False)`` at equal settings, masks those of
``retina_masks=True``. Letterboxing is done by CPU workers and gives uint8 of one shape; a batch is
one forward pass; non-maximum suppression and scaling are Ultralytics' own functions. ultralytics
is AGPL-3.0; this is the only part that imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adapters.base import Adapter, Preprocessor
from adapters.checkpoints.bombs import invalid
from adapters.results import classification_results, failed_result
from adapters.types import (
    AdapterSpec,
    ConfigError,
    DecodedImage,
    ErrorCode,
    ErrorStage,
    ImageError,
    InferenceResult,
    InputError,
    ModelInfo,
    Preprocessed,
    TaskType,
)
from adapters.ultralytics_boxes import (
    NmsSettings,
    boxes_of,
    keypoints_of,
    masks_of,
    suppress,
)
from adapters.ultralytics_env import import_ultralytics
from adapters.ultralytics_load import YoloCheckpoint, load_yolo

if TYPE_CHECKING:
    from torch import Tensor

OPTIONS = ("imgsz", "nms", "nms_iou", "max_detections", "multi_label")
_CONFIDENCE, _IOU, _MAX_DETECTIONS = 0.25, 0.7, 300
_PROBE = 64
"""Side of the square that a model is tried on when it is loaded, in pixels."""


class UltralyticsAdapter(Adapter):
    """A YOLO checkpoint; options: `OPTIONS`.

    ``nms=False`` takes the end-to-end head of a model that has two, as it does in Ultralytics.
    """

    framework = "ultralytics"

    @classmethod
    def preprocessor(cls, spec: AdapterSpec, info: ModelInfo) -> Preprocessor:
        """Letterbox to a square, or resize and centre crop for classification."""
        side = int(info.preprocess["imgsz"])
        if info.task_type is TaskType.IMAGE_CLASSIFICATION:
            return _CropPreprocessor(side)
        return _LetterboxPreprocessor(side, int(info.preprocess["stride"]))

    def _load(self, inference_mode: bool) -> tuple[ModelInfo, dict[str, Any]]:
        _check_options(self.spec)
        if self.spec.checkpoint is None:
            raise InputError("CHECKPOINT_MISSING", "the ultralytics adapter needs a checkpoint")
        loaded = load_yolo(
            self.spec.checkpoint, fuse=inference_mode, nms=self.spec.options.get("nms")
        )
        self._loaded = loaded
        self._model = loaded.model.to(self.engine.device)
        self._model.train(not inference_mode)
        self._names = self._class_names(loaded)
        self._nms = self._nms_settings(loaded)
        return self._describe(loaded), loaded.states

    def _class_names(self, loaded: YoloCheckpoint) -> tuple[str, ...]:
        names = self.spec.class_names or loaded.names
        if len(names) != len(loaded.names):
            raise InputError(
                "CLASS_COUNT",
                f"{len(names)} class names were given for a model with {len(loaded.names)} classes",
            )
        return names

    def _nms_settings(self, loaded: YoloCheckpoint) -> NmsSettings:
        options = self.spec.options
        if loaded.end2end and options.get("nms_iou") is not None:
            raise ConfigError(
                "OPTION_INVALID",
                "model.nms_iou: this model's head needs no non-maximum suppression, so the "
                "setting would do nothing; remove it.",
            )
        confidence = self.spec.min_confidence
        return NmsSettings(
            confidence=_CONFIDENCE if confidence is None else confidence,
            iou=float(options.get("nms_iou") or _IOU),
            max_detections=int(options.get("max_detections") or _MAX_DETECTIONS),
            multi_label=bool(options.get("multi_label", False)),
        )

    def _describe(self, loaded: YoloCheckpoint) -> ModelInfo:
        side = int(self.spec.options.get("imgsz") or loaded.imgsz)
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
        import torch

        loaded = self._loaded
        if loaded.task is TaskType.IMAGE_CLASSIFICATION:
            logits = outputs[1] if isinstance(outputs, tuple | list) else outputs
            return classification_results(logits, items, targets, self._names)
        with torch.inference_mode():
            raw, protos = _split(outputs, loaded.task)
            finite = torch.isfinite(raw).flatten(1).all(dim=1).tolist()
            found = suppress(raw.float(), self._nms, len(self._names), end2end=loaded.end2end)
            return [
                self._result(one, item, None if protos is None else protos[position])
                if ok
                else _nonfinite(item, loaded.task)
                for position, (one, item, ok) in enumerate(zip(found, items, finite, strict=True))
            ]

    def _result(self, found: Tensor, item: Preprocessed, protos: Tensor | None) -> InferenceResult:
        loaded = self._loaded
        size = (item.width, item.height)
        shape = self.info.input_shape[1:]
        result = InferenceResult(
            image_path="",
            image_name="",
            task_type=loaded.task,
            width=item.width,
            height=item.height,
            extra_data=dict(item.extra),
        )
        boxes = boxes_of(found, shape, size)
        if loaded.task is TaskType.POSE_ESTIMATION and loaded.kpt_shape is not None:
            result.predicted_keypoints = keypoints_of(found, loaded.kpt_shape, shape, size)
        if protos is not None:
            result.predicted_masks, kept = masks_of(found, protos, size)
            boxes = [boxes[position] for position in kept]
        result.predicted_boxes = boxes
        return result


class _LetterboxPreprocessor:
    """Resize into a square and pad with grey, as ``predict(rect=False)`` does."""

    def __init__(self, side: int, stride: int) -> None:
        import_ultralytics()
        from ultralytics.data.augment import LetterBox

        self._letterbox = LetterBox((side, side), auto=False, stride=stride)

    def preprocess(self, image: DecodedImage) -> Preprocessed:
        boxed = self._letterbox(image=image.pixels)
        return _prepared(np.ascontiguousarray(boxed.transpose(2, 0, 1)), image)


class _CropPreprocessor:
    """Resize the shorter side and crop the centre, as Ultralytics' classification does."""

    def __init__(self, side: int) -> None:
        from torchvision import transforms as tv

        mode = tv.InterpolationMode.BILINEAR
        self._transform = tv.Compose([tv.Resize(side, interpolation=mode), tv.CenterCrop(side)])

    def preprocess(self, image: DecodedImage) -> Preprocessed:
        from PIL import Image

        cropped = np.asarray(self._transform(Image.fromarray(image.pixels)))
        return _prepared(np.ascontiguousarray(cropped.transpose(2, 0, 1)), image)


def _prepared(array: Any, image: DecodedImage) -> Preprocessed:
    extra: dict[str, Any] = {}
    if image.n_frames > 1:
        extra["n_frames"] = image.n_frames
    if image.warnings:
        extra["warnings"] = list(image.warnings)
    return Preprocessed(array, image.width, image.height, extra=extra)


def _split(outputs: Any, task: TaskType) -> tuple[Tensor, Tensor | None]:
    """Predictions and, for segmentation, mask prototypes, wherever this version puts them."""
    if task is not TaskType.INSTANCE_SEGMENTATION:
        return (outputs[0] if isinstance(outputs, tuple | list) else outputs), None
    first = outputs[0]
    if isinstance(first, tuple | list):
        return first[0], first[1]
    return first, outputs[1]


def _nonfinite(item: Preprocessed, task: TaskType) -> InferenceResult:
    message = "the model's output holds NaN or infinity"
    result = failed_result(ImageError(ErrorStage.INFER, ErrorCode.NONFINITE, message), task)
    result.width, result.height, result.extra_data = item.width, item.height, dict(item.extra)
    return result


def _check_options(spec: AdapterSpec) -> None:
    unknown = sorted(set(spec.options) - set(OPTIONS))
    if unknown:
        raise ConfigError(
            "OPTION_INVALID",
            f"model option '{unknown[0]}' is unknown to the ultralytics adapter; it has "
            f"{', '.join(OPTIONS)}.",
        )
    if spec.preprocess:
        raise ConfigError(
            "PREPROCESS_INVALID",
            "preprocess: the ultralytics adapter letterboxes; set model.imgsz instead.",
        )


def _versions() -> dict[str, str]:
    import torch

    return {
        "torch": str(torch.__version__),
        "ultralytics": str(import_ultralytics().__version__),
    }
