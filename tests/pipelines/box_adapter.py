"""A detector without a model: the same boxes on every image, for runs with objects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from snellen.adapters.base import Adapter, Preprocessor
from snellen.adapters.types import (
    AdapterSpec,
    Box,
    DecodedImage,
    InferenceResult,
    ModelInfo,
    Preprocessed,
    TaskType,
)
from tests.pipelines.making import write_image

NAME = "tests.pipelines.box_adapter:BoxAdapter"
CLASSES = ("cat", "dog")
BOXES = (
    (0, 0.0, 0.0, 10.0, 10.0, 0.9),
    (1, 12.0, 12.0, 22.0, 22.0, 0.4),
    (1, 0.0, 14.0, 8.0, 22.0, 0.1),
)
"""Class, corners and confidence of each prediction."""


class BoxPreprocessor:
    def preprocess(self, image: DecodedImage) -> Preprocessed:
        return Preprocessed.of(np.zeros(1, np.uint8), image)


class BoxAdapter(Adapter):
    """Predicts `BOXES` that reach the minimum confidence."""

    framework: ClassVar[str] = "box"
    tasks: ClassVar[frozenset[TaskType]] = frozenset({TaskType.OBJECT_DETECTION})

    @classmethod
    def preprocessor(cls, spec: AdapterSpec, info: ModelInfo) -> Preprocessor:
        return BoxPreprocessor()

    def _load_spec(self, *, inference_mode: bool, device: str | None) -> dict[str, Any]:
        self._info, states = self._load(inference_mode)
        return states

    def _load(self, inference_mode: bool) -> tuple[ModelInfo, dict[str, Any]]:
        info = ModelInfo(
            framework="box",
            architecture="box",
            task_type=TaskType.OBJECT_DETECTION,
            num_classes=len(CLASSES),
            class_names=CLASSES,
            class_names_source="settings",
            input_shape=(1,),
            parameters=0,
            flops_per_image=1e6,
            checkpoint_path="",
            checkpoint_sha256="",
            weights=None,
            epoch=None,
            preprocess={},
            versions={"box": "1"},
            max_detections=300,
        )
        return info, {}

    def infer_preprocessed(
        self,
        items: Sequence[Preprocessed],
        *,
        batch_size: int,
        targets: Sequence[int | None] | None = None,
    ) -> list[InferenceResult]:
        least = self.spec.min_confidence or 0.0
        boxes = [
            Box(class_id=k, x1=x1, y1=y1, x2=x2, y2=y2, confidence=confidence)
            for k, x1, y1, x2, y2, confidence in BOXES
            if confidence >= least
        ]
        return [
            InferenceResult(
                image_path="",
                image_name="",
                task_type=TaskType.OBJECT_DETECTION,
                predicted_boxes=list(boxes),
                width=item.width,
                height=item.height,
                extra_data=dict(item.extra),
            )
            for item in items
        ]

    def _forward(self, batch: Any) -> Any:
        return batch

    def _postprocess(
        self, outputs: Any, items: Sequence[Preprocessed], targets: Sequence[int | None] | None
    ) -> list[InferenceResult]:
        raise AssertionError("infer_preprocessed answers without it")


def box_dataset(folder: Path, objects: Sequence[Sequence[tuple[int, float, float]]]) -> Path:
    """Write a COCO dataset of 24 x 24 images and return its annotation file.

    Args:
        folder: its folder.
        objects: per image the class, left and top of each 10 x 10 object.
    """
    images, annotations = [], []
    for number, of_image in enumerate(objects):
        write_image(folder / "images" / f"{number}.png", 100, size=(24, 24))
        images.append({"id": number, "file_name": f"{number}.png", "width": 24, "height": 24})
        annotations += [
            {"image_id": number, "category_id": k + 1, "bbox": [x, y, 10, 10], "area": 100,
             "iscrowd": 0}
            for k, x, y in of_image
        ]  # fmt: skip
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(CLASSES)]
    for number, annotation in enumerate(annotations):
        annotation["id"] = number + 1
    document = {"images": images, "annotations": annotations, "categories": categories}
    path = folder / "instances.json"
    path.write_text(json.dumps(document))
    return path
