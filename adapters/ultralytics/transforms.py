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
        info: of a model whose ``input_shape`` is (channels, height, width) and whose
            ``preprocess`` has a ``stride``.
    """
    channels, height, width = info.input_shape
    if yolo_task(info.task_type).finds_objects:
        stride = int(info.preprocess["stride"])
        return LetterboxPreprocessor((height, width), stride, grey=channels == 1)
    return CropPreprocessor((height, width))


class LetterboxPreprocessor:
    """Preprocessor that resizes into the input and pads with grey (``predict(rect=False)``)."""

    def __init__(self, size: tuple[int, int], stride: int, *, grey: bool = False) -> None:
        """Build Ultralytics' letterbox.

        Args:
            size: height and width in pixels.
            stride: of the model.
            grey: the model takes one channel, which is Ultralytics' conversion by OpenCV.
        """
        import_ultralytics()
        from ultralytics.data.augment import LetterBox

        self._letterbox = LetterBox(size, auto=False, stride=stride)
        self._grey = grey

    def preprocess(self, image: DecodedImage) -> Preprocessed:
        """Return uint8 of shape (3, height, width), or (1, height, width) of a grey input."""
        pixels = image.pixels
        if self._grey:
            import cv2

            pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], np.uint8)
        boxed = self._letterbox(image=pixels)
        return Preprocessed.of(np.ascontiguousarray(boxed.transpose(2, 0, 1)), image)


class CropPreprocessor:
    """Preprocessor that resizes the shorter side and crops the centre (classification).

    An input that is no square is resized to exactly, as Ultralytics does.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        from torchvision import transforms as tv

        resized = size[0] if size[0] == size[1] else size
        mode = tv.InterpolationMode.BILINEAR
        self._transform = tv.Compose([tv.Resize(resized, interpolation=mode), tv.CenterCrop(size)])

    def preprocess(self, image: DecodedImage) -> Preprocessed:
        """Return uint8 of shape (3, height, width)."""
        from PIL import Image

        cropped = np.asarray(self._transform(Image.fromarray(image.pixels)))
        return Preprocessed.of(np.ascontiguousarray(cropped.transpose(2, 0, 1)), image)
