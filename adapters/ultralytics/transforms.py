"""Evaluation transforms of YOLO models up to normalisation: uint8 of one shape."""

from __future__ import annotations

import numpy as np

from snellen.adapters.base import Preprocessor
from snellen.adapters.types import DecodedImage, ModelInfo, Preprocessed
from snellen.adapters.ultralytics.environment import import_ultralytics
from snellen.adapters.ultralytics.tasks import yolo_task


def yolo_preprocessor(info: ModelInfo) -> Preprocessor:
    """Return the letterbox to the model's input, or the centre crop of a classifier.

    Args:
        info: of a model whose ``input_shape`` is (3, height, width) and whose ``preprocess`` has
            a ``stride``.
    """
    _, height, width = info.input_shape
    if yolo_task(info.task_type).finds_objects:
        return LetterboxPreprocessor((height, width), int(info.preprocess["stride"]))
    return CropPreprocessor(height)


class LetterboxPreprocessor:
    """Preprocessor that resizes into the input and pads with grey (``predict(rect=False)``)."""

    def __init__(self, size: tuple[int, int], stride: int) -> None:
        """Build Ultralytics' letterbox; ``size`` is height and width in pixels."""
        import_ultralytics()
        from ultralytics.data.augment import LetterBox

        self._letterbox = LetterBox(size, auto=False, stride=stride)

    def preprocess(self, image: DecodedImage) -> Preprocessed:
        """Return uint8 of shape (3, height, width)."""
        boxed = self._letterbox(image=image.pixels)
        return Preprocessed.of(np.ascontiguousarray(boxed.transpose(2, 0, 1)), image)


class CropPreprocessor:
    """Preprocessor that resizes the shorter side and crops the centre (classification)."""

    def __init__(self, side: int) -> None:
        from torchvision import transforms as tv

        mode = tv.InterpolationMode.BILINEAR
        self._transform = tv.Compose([tv.Resize(side, interpolation=mode), tv.CenterCrop(side)])

    def preprocess(self, image: DecodedImage) -> Preprocessed:
        """Return uint8 of shape (3, side, side)."""
        from PIL import Image

        cropped = np.asarray(self._transform(Image.fromarray(image.pixels)))
        return Preprocessed.of(np.ascontiguousarray(cropped.transpose(2, 0, 1)), image)
