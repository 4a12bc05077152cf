"""A classifier of flat colours: real pixels, no weights, and images that make it fail.

Its prediction depends only on the mean of an image. A marker as first pixel makes it fail:
``KILL`` ends the process, ``RAISE`` raises an unexpected error.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from snellen.adapters.base import Adapter, Preprocessor
from snellen.adapters.errors import InputError
from snellen.adapters.types import (
    AdapterSpec,
    ClassScore,
    DecodedImage,
    InferenceResult,
    ModelInfo,
    Preprocessed,
    TaskType,
)

NAME = "tests.pipelines.pixel_adapter:PixelAdapter"
KILL = (255, 0, 255)
RAISE = (0, 255, 255)
RAISE_IN_PREPROCESS = (255, 255, 0)
_MARKERS = (KILL, RAISE, RAISE_IN_PREPROCESS)


class PixelPreprocessor:
    def __init__(self, options: dict[str, Any]) -> None:
        self._kill_early = options.get("kill_at") == "preprocess"

    def preprocess(self, image: DecodedImage) -> Preprocessed:
        first = tuple(int(v) for v in image.pixels[0, 0])
        marker = _MARKERS.index(first) + 1 if first in _MARKERS else 0
        if first == RAISE_IN_PREPROCESS:
            raise ZeroDivisionError("in preprocess")
        if first == KILL and self._kill_early:
            os.kill(os.getpid(), signal.SIGKILL)
        array = np.array([int(image.pixels.mean()), marker], np.uint8)
        extra = {"warnings": list(image.warnings)} if image.warnings else {}
        return Preprocessed(array, image.width, image.height, extra=extra)


class PixelAdapter(Adapter):
    """Options: ``num_classes``, ``kill_at`` (infer | preprocess), ``sleep_ms`` per image,
    ``fail_load`` (message, on a Ray worker only), ``raise_always``."""

    framework: ClassVar[str] = "pixel"
    tasks: ClassVar[frozenset[TaskType]] = frozenset({TaskType.IMAGE_CLASSIFICATION})

    @classmethod
    def preprocessor(cls, spec: AdapterSpec, info: ModelInfo) -> Preprocessor:
        return PixelPreprocessor(spec.options)

    def _load_spec(self, *, inference_mode: bool, device: str | None) -> dict[str, Any]:
        self._info, states = self._load(inference_mode)
        self._preprocessor = self.preprocessor(self.spec, self._info)
        self.batches: list[int] = []
        return states

    def _load(self, inference_mode: bool) -> tuple[ModelInfo, dict[str, Any]]:
        if "fail_load" in self.spec.options and sys.argv[0].endswith("default_worker.py"):
            raise InputError("MODEL_BROKEN", self.spec.options["fail_load"])
        count = self.spec.options.get("num_classes", 3)
        names = self.spec.class_names or tuple(str(n) for n in range(count))
        info = ModelInfo(
            framework="pixel",
            architecture="pixel",
            task_type=TaskType.IMAGE_CLASSIFICATION,
            num_classes=count,
            class_names=names,
            class_names_source="settings",
            input_shape=(2,),
            parameters=0,
            flops_per_image=1e6,
            checkpoint_path="",
            checkpoint_sha256="",
            weights=None,
            epoch=None,
            preprocess={},
            versions={"pixel": "1"},
        )
        return info, {}

    def infer_preprocessed(
        self,
        items: Sequence[Preprocessed],
        *,
        batch_size: int,
        targets: Sequence[int | None] | None = None,
    ) -> list[InferenceResult]:
        self.batches.append(len(items))
        options = self.spec.options
        time.sleep(options.get("sleep_ms", 0) * len(items) / 1000)
        markers = [int(item.array[1]) for item in items]
        if 1 in markers:
            os._exit(17)
        if 2 in markers or options.get("raise_always"):
            raise ZeroDivisionError("in the model")
        truth = targets if targets is not None else [None] * len(items)
        return [self._one(item, target) for item, target in zip(items, truth, strict=True)]

    def _one(self, item: Preprocessed, target: int | None) -> InferenceResult:
        names = self.info.class_names or ()
        weights = [math.exp(2 * math.cos(k + int(item.array[0]) / 10)) for k in range(len(names))]
        shares = [weight / sum(weights) for weight in weights]
        order = sorted(range(len(names)), key=lambda k: -shares[k])[:5]
        return InferenceResult(
            image_path="",
            image_name="",
            task_type=TaskType.IMAGE_CLASSIFICATION,
            predicted_label=names[order[0]],
            predicted_label_id=order[0],
            confidence=shares[order[0]],
            top5_predictions=[
                ClassScore(label_id=k, label=names[k], confidence=shares[k]) for k in order
            ],
            true_confidence=None if target is None else shares[target],
            loss=None if target is None else -math.log(shares[target]),
            width=item.width,
            height=item.height,
            extra_data=dict(item.extra),
        )

    def _forward(self, batch: Any) -> Any:
        return batch

    def _postprocess(
        self, outputs: Any, items: Sequence[Preprocessed], targets: Sequence[int | None] | None
    ) -> list[InferenceResult]:
        raise AssertionError("infer_preprocessed answers without it")
