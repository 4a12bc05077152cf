"""A classifier without a model: it measures the cost of the pipeline itself.

It predicts class 0 for every image and reads no pixels. Benchmarks and tests of the pipeline use
it; option: ``num_classes`` (default 10).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from snellen.adapters.adapter_options import AdapterOptions, parse_options
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

CONFIDENCE = 0.5
_EMPTY = np.zeros((0,), dtype=np.uint8)


class NoopOptions(AdapterOptions):
    """Options of the adapter: the number of classes, where no class names are given."""

    num_classes: Annotated[int, Field(ge=1)] | None = None


class NoopPreprocessor:
    """Preprocessor that keeps the size of an image and drops its pixels."""

    def preprocess(self, image: DecodedImage) -> Preprocessed:
        """Return an item with an empty array."""
        return Preprocessed(array=_EMPTY, width=image.width, height=image.height)


class NoopAdapter(Adapter):
    """Classifier that predicts class 0 with confidence 0.5, without reading anything."""

    framework: ClassVar[str] = "noop"
    tasks: ClassVar[frozenset[TaskType]] = frozenset({TaskType.IMAGE_CLASSIFICATION})
    options: ClassVar[type[AdapterOptions]] = NoopOptions
    reads_images: ClassVar[bool] = False

    @classmethod
    def preprocessor(cls, spec: AdapterSpec, info: ModelInfo) -> Preprocessor:
        """Return a preprocessor that drops the pixels."""
        return NoopPreprocessor()

    def infer_preprocessed(
        self,
        items: Sequence[Preprocessed],
        *,
        batch_size: int,
        targets: Sequence[int | None] | None = None,
    ) -> list[InferenceResult]:
        """Return the same result for every item; ``loss`` and ``true_confidence`` stay None."""
        return self._postprocess(None, items, targets)

    def _load_spec(self, *, inference_mode: bool, device: str | None) -> dict[str, Any]:
        # No engine: nothing runs on a device, and torch need not be imported.
        self._info, states = self._load(inference_mode)
        self._top = [ClassScore(label_id=0, label=self._label(), confidence=CONFIDENCE)]
        return states

    def _load(self, inference_mode: bool) -> tuple[ModelInfo, dict[str, Any]]:
        names = self.spec.class_names
        options = parse_options(NoopOptions, self.spec.options, self.framework)
        count = options.num_classes or (len(names) if names else 10)
        if names is not None and len(names) != count:
            raise InputError("CLASS_COUNT", f"{len(names)} class names for {count} outputs")
        names = names or tuple(str(index) for index in range(count))
        info = ModelInfo(
            framework=self.framework,
            architecture="noop",
            task_type=TaskType.IMAGE_CLASSIFICATION,
            num_classes=count,
            class_names=names,
            class_names_source="settings" if self.spec.class_names else "class numbers",
            input_shape=(0,),
            parameters=0,
            flops_per_image=0.0,
            checkpoint_path="",
            checkpoint_sha256="",
            weights=None,
            epoch=None,
            preprocess={},
            versions={},
        )
        return info, {}

    def _label(self) -> str:
        names = self.info.class_names
        return names[0] if names else "0"

    def _forward(self, batch: Any) -> Any:
        return batch

    def _postprocess(
        self,
        outputs: Any,
        items: Sequence[Preprocessed],
        targets: Sequence[int | None] | None,
    ) -> list[InferenceResult]:
        label, top = self._label(), self._top
        return [
            InferenceResult(
                image_path="",
                image_name="",
                task_type=TaskType.IMAGE_CLASSIFICATION,
                predicted_label=label,
                predicted_label_id=0,
                confidence=CONFIDENCE,
                top5_predictions=top,
                width=item.width,
                height=item.height,
            )
            for item in items
        ]
