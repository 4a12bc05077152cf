"""Rectangles, grey inputs and suppression across classes equal ``YOLO(...).predict``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.ultralytics.agreement import (
    CONFIDENCE,
    OBJECTS,
    Pixels,
    assert_equal,
    assert_same_boxes,
    theirs,
)
from tests.adapters.ultralytics.making import checkpoint, grey_checkpoint, loaded


@pytest.mark.parametrize("size", [(96, 224), (224, 96)], ids=["I-wide", "I-high"])
@pytest.mark.parametrize("task", OBJECTS)
def test_rectangles_are_those_of_predict(
    task: str, size: tuple[int, int], images: list[Pixels]
) -> None:
    adapter = loaded(checkpoint(task), confidence=0.01, imgsz=size)
    assert adapter.info.input_shape == (3, *size)
    assert adapter.info.preprocess["imgsz"] == list(size)
    results = adapter.infer_batch(images[:4], batch_size=4)
    for image, result in zip(images, results, strict=False):
        expected = theirs(checkpoint(task), image, confidence=0.01, imgsz=list(size))
        assert_equal(task, result, expected)
    assert any(result.predicted_boxes for result in results)


def test_rectangle_of_a_classifier_is_that_of_predict(images: list[Pixels]) -> None:
    adapter = loaded(checkpoint("classify"), imgsz=(64, 96))
    assert adapter.info.input_shape == (3, 64, 96)
    for image in images[:4]:
        result = adapter.infer_single(image)
        expected = theirs(checkpoint("classify"), image, confidence=0.01, imgsz=[64, 96]).probs
        top = result.top5_predictions or []
        ours = {one["label_id"]: one["confidence"] for one in top}
        assert max(abs(ours[i] - float(expected.data[i])) for i in range(3)) < CONFIDENCE


def test_suppression_across_classes_is_that_of_predict(images: list[Pixels]) -> None:
    settings = {"confidence": 0.001, "nms_iou": 0.3}
    adapter = loaded(checkpoint("detect"), **settings, agnostic_nms=True)
    plain = loaded(checkpoint("detect"), **settings)
    found, usual = 0, 0
    for image in images[:6]:
        result = adapter.infer_single(image)
        expected = theirs(checkpoint("detect"), image, confidence=0.001, iou=0.3, agnostic_nms=True)
        assert_same_boxes(result, expected)
        found += len(result.predicted_boxes or [])
        usual += len(plain.infer_single(image).predicted_boxes or [])
    assert 0 < found < usual


@pytest.mark.parametrize("task", OBJECTS)
def test_grey_inputs_are_those_of_predict(task: str, images: list[Pixels], tmp_path: Path) -> None:
    """Ultralytics converts its BGR arrays with OpenCV."""
    path = grey_checkpoint(task, tmp_path / "grey.pt")
    adapter = loaded(path, confidence=0.01)
    assert adapter.info.input_shape == (1, 160, 160)
    results = adapter.infer_batch(images[:6], batch_size=6)
    for image, result in zip(images, results, strict=False):
        assert_equal(task, result, theirs(path, image, confidence=0.01))
    assert sum(len(result.predicted_boxes or []) for result in results) > 5
