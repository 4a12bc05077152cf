"""Inference of images of any kind with a loaded adapter: one bad image fails alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snellen.adapters.errors import ImageError
from snellen.adapters.images.inputs import ImageInput, input_path
from snellen.adapters.result_builders import failed_result
from snellen.adapters.types import InferenceResult, ModelInfo, Preprocessed

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter


def infer_images(
    adapter: Adapter, images: Sequence[ImageInput], batch_size: int
) -> list[InferenceResult]:
    """Read, prepare and infer images; only ``batch_size`` of them are held at once.

    Args:
        adapter: a loaded one.
        images: paths, bytes, arrays or pictures.
        batch_size: maximum number of images per forward pass.

    Returns:
        One result per image, in order. An image that cannot be read, decoded or prepared has a
        failed result.
    """
    results: list[InferenceResult] = []
    for start in range(0, len(images), batch_size):
        results += _infer_batch(adapter, images[start : start + batch_size], batch_size)
    return results


def _infer_batch(
    adapter: Adapter, images: Sequence[ImageInput], batch_size: int
) -> list[InferenceResult]:
    results: dict[int, InferenceResult] = {}
    ready: list[tuple[int, Preprocessed, float]] = []
    for position, image in enumerate(images):
        begin = time.perf_counter()
        try:
            item = adapter.preprocess_image(image)
        except ImageError as error:
            results[position] = failed_result(error, adapter.info.task_type)
        else:
            ready.append((position, item, (time.perf_counter() - begin) * 1000))
    scored = adapter.infer_preprocessed([item for _, item, _ in ready], batch_size=batch_size)
    for (position, _, milliseconds), result in zip(ready, scored, strict=True):
        result.preprocessing_time_ms = milliseconds
        results[position] = result
    for position, image in enumerate(images):
        results[position].image_path = input_path(image)
        results[position].image_name = Path(results[position].image_path).name
    return [results[position] for position in range(len(images))]


def black_images(info: ModelInfo, count: int) -> list[Preprocessed]:
    """Return prepared black images for a model."""
    black = np.zeros(info.input_shape, dtype=np.uint8)
    height, width = (*info.input_shape, 1, 1)[-2:]
    return [Preprocessed(black, width, height)] * count


def check_call(
    items: Sequence[Preprocessed], batch_size: int, targets: Sequence[int | None] | None
) -> None:
    """Raise ValueError for a call of ``infer_preprocessed`` that makes no sense."""
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}. Expected at least 1.")
    if targets is not None and len(targets) != len(items):
        raise ValueError(
            f"there are {len(targets)} targets for {len(items)} items. Expected one each."
        )
