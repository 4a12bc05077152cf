"""Images as YOLO models take them, whatever runs the model: uint8 of one shape, not normalised."""

from __future__ import annotations

from typing import Any

import numpy as np

from snellen.adapters.base import Preprocessor
from snellen.adapters.types import DecodedImage, ModelInfo, Preprocessed, TaskType
from snellen.adapters.ultralytics.environment import import_ultralytics


def yolo_preprocessor(info: ModelInfo) -> Preprocessor:
    """Letterbox to the model's input, or resize and centre crop for classification.

    Args:
        info: of a model whose ``input_shape`` is (3, height, width) and whose ``preprocess`` has
            a ``stride``.
    """
    _, height, width = info.input_shape
    if info.task_type is TaskType.IMAGE_CLASSIFICATION:
        return CropPreprocessor(height)
    return LetterboxPreprocessor((height, width), int(info.preprocess["stride"]))


class LetterboxPreprocessor:
    """Resize into the input and pad with grey, as ``predict(rect=False)`` does."""

    def __init__(self, size: tuple[int, int], stride: int) -> None:
        """Take the size as height and width."""
        import_ultralytics()
        from ultralytics.data.augment import LetterBox

        self._letterbox = LetterBox(size, auto=False, stride=stride)

    def preprocess(self, image: DecodedImage) -> Preprocessed:
        """Return uint8 of shape (3, height, width)."""
        boxed = self._letterbox(image=image.pixels)
        return _prepared(np.ascontiguousarray(boxed.transpose(2, 0, 1)), image)


class CropPreprocessor:
    """Resize the shorter side and crop the centre, as Ultralytics' classification does."""

    def __init__(self, side: int) -> None:
        from torchvision import transforms as tv

        mode = tv.InterpolationMode.BILINEAR
        self._transform = tv.Compose([tv.Resize(side, interpolation=mode), tv.CenterCrop(side)])

    def preprocess(self, image: DecodedImage) -> Preprocessed:
        """Return uint8 of shape (3, side, side)."""
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
