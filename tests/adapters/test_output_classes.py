"""Predictions in merged, renamed and restricted classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torchvision.ops import nms

from snellen.adapters.errors import ErrorCode, RunError
from snellen.adapters.output_classes import in_classes
from snellen.adapters.result_builders import classification_results
from snellen.adapters.types import (
    ClassScore,
    ImageStatus,
    InferenceResult,
    OutputClasses,
    Preprocessed,
    TaskType,
)

LABELS = tuple("abcdefgh")
MERGED = OutputClasses(("x", "c", "y", "h"), ((0, 3), (2,), (1, 4, 5, 6), (7,)))
RESTRICTED = OutputClasses(LABELS, ((0,), (), (2,), (), (), (5,), (), ()))


def items(count: int, classes: OutputClasses | None) -> list[Preprocessed]:
    return [Preprocessed(np.empty(0, np.uint8), 4, 3, classes=classes) for _ in range(count)]


def softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("scale", [1.0, 30.0], ids=["I-even", "I-certain"])
def test_merged_probabilities_are_sums(scale: float) -> None:
    logits = np.random.default_rng(0).normal(0, scale, (20, 8))
    summed = np.stack(
        [softmax(logits)[:, list(group)].sum(axis=1) for group in MERGED.groups], axis=1
    )
    targets = [number % 4 for number in range(20)]
    found = classification_results(torch.tensor(logits), items(20, MERGED), targets, LABELS)
    for one, expected, target in zip(found, summed, targets, strict=True):
        order = np.argsort(-expected)
        top = one.top5_predictions or []
        assert [score["label_id"] for score in top] == order.tolist()
        assert [score["label"] for score in top] == [MERGED.names[i] for i in order]
        assert [score["confidence"] for score in top] == pytest.approx(expected[order], abs=1e-6)
        assert one.predicted_label == MERGED.names[order[0]]
        assert one.confidence == pytest.approx(expected[order[0]], abs=1e-6)
        assert one.true_confidence == pytest.approx(expected[target], abs=1e-6)
        assert one.loss == pytest.approx(-np.log(expected[target]), rel=1e-4, abs=1e-5)
        assert one.classes == MERGED


def test_merging_changes_the_predicted_class() -> None:
    """The most probable output may belong to a class that is not the most probable."""
    (one,) = classification_results(
        torch.tensor([[1.0, 1.0, 1.5, 1.0, 1.0, 1.0, 1.0, 0.0]]), items(1, MERGED), None, LABELS
    )
    assert one.predicted_label == "y"


def test_restricted_outputs_are_the_softmax_of_those_alone() -> None:
    logits = np.random.default_rng(1).normal(0, 2, (10, 8))
    kept = [0, 2, 5]
    expected = softmax(logits[:, kept])
    targets = [0, 2, 5, 1, None] * 2
    found = classification_results(torch.tensor(logits), items(10, RESTRICTED), targets, LABELS)
    for one, probabilities, target in zip(found, expected, targets, strict=True):
        order = np.argsort(-probabilities)
        top = one.top5_predictions or []
        assert [score["label_id"] for score in top] == [kept[i] for i in order]
        assert [s["confidence"] for s in top] == pytest.approx(probabilities[order], abs=1e-6)
        if target in kept:
            value = probabilities[kept.index(target)]
            assert one.true_confidence == pytest.approx(value, abs=1e-6)
            assert one.loss == pytest.approx(-np.log(value), abs=1e-5)
        else:
            assert (one.true_confidence, one.loss) == (None, None)


@pytest.mark.parametrize("classes", [MERGED, RESTRICTED], ids=["I-merged", "I-restricted"])
def test_an_output_that_is_not_finite_fails_alone(classes: OutputClasses) -> None:
    logits = torch.zeros(2, 8)
    logits[0, 7] = torch.inf
    bad, good = classification_results(logits, items(2, classes), None, LABELS)
    assert (bad.status, bad.error_code) == (ImageStatus.FAILED, ErrorCode.NONFINITE)
    assert good.status is ImageStatus.OK
    assert in_classes(bad, classes) is bad


def detections(count: int = 60) -> InferenceResult:
    """Draw crowded boxes of eight classes with masks and keypoints, by falling confidence."""
    random = np.random.default_rng(2)
    corners = random.uniform(0, 20, (count, 2)).astype(np.float32)
    sizes = random.uniform(20, 40, (count, 2)).astype(np.float32)
    confidences = np.sort(random.random(count).astype(np.float32))[::-1]
    boxes = [
        dict(zip(("x1", "y1", "x2", "y2"), map(float, (*low, *(low + size))), strict=True))
        | {"class_id": int(number), "confidence": float(confidence)}
        for low, size, number, confidence in zip(
            corners, sizes, random.integers(0, 8, count), confidences, strict=True
        )
    ]
    return InferenceResult(
        "", "", TaskType.OBJECT_DETECTION, predicted_boxes=boxes,  # type: ignore[arg-type]
        predicted_masks=[str(n).encode() for n in range(count)],
        predicted_keypoints=[[{"x": float(n), "y": 0.0, "v": 1.0}] for n in range(count)],
    )  # fmt: skip


@pytest.mark.parametrize("iou", [0.3, 0.7])
def test_boxes_of_merged_classes_are_suppressed_again(iou: float) -> None:
    result = detections()
    boxes = result.predicted_boxes or []
    classes = OutputClasses(MERGED.names, MERGED.groups, nms_iou=iou)
    of_output = {output: i for i, group in enumerate(MERGED.groups) for output in group}
    mapped = np.array([of_output[box["class_id"]] for box in boxes])
    corners = torch.tensor([[box[k] for k in ("x1", "y1", "x2", "y2")] for box in boxes])
    scores = torch.tensor([box["confidence"] for box in boxes])
    expected = []
    for number, group in enumerate(MERGED.groups):
        places = np.flatnonzero(mapped == number)
        kept = nms(corners[places], scores[places], iou) if len(group) > 1 else slice(None)
        expected += places[kept].tolist()
    found = in_classes(result, classes)
    kept_masks = [int(mask) for mask in found.predicted_masks or []]
    assert kept_masks == sorted(expected)
    assert [int(points[0]["x"]) for points in found.predicted_keypoints or []] == kept_masks
    assert found.predicted_boxes == [
        {**boxes[place], "class_id": int(mapped[place])} for place in kept_masks
    ]
    assert 0 < len(kept_masks) < len(boxes)
    assert in_classes(found, classes) is found
    assert len(result.predicted_boxes or []) == 60


def test_boxes_of_no_class_are_dropped() -> None:
    found = in_classes(detections(), RESTRICTED)
    assert {box["class_id"] for box in found.predicted_boxes or []} == {0, 2, 5}


def ranked() -> InferenceResult:
    top = [ClassScore(label_id=n, label=LABELS[n], confidence=c) for n, c in ((2, 0.7), (0, 0.2))]
    return InferenceResult(
        "", "", TaskType.IMAGE_CLASSIFICATION, predicted_label="c", predicted_label_id=2,
        confidence=0.7, top5_predictions=top,
    )  # fmt: skip


def test_classes_of_an_adapter_that_ranks_itself_are_renamed() -> None:
    found = in_classes(ranked(), OutputClasses(("z", "y", "x"), ((2,), (1,), (0,))))
    assert (found.predicted_label, found.predicted_label_id, found.confidence) == ("z", 0, 0.7)
    assert [(s["label_id"], s["label"]) for s in found.top5_predictions or []] == [
        (0, "z"), (2, "x")]  # fmt: skip


@pytest.mark.parametrize("classes", [MERGED, RESTRICTED], ids=["I-merged", "I-restricted"])
def test_classes_of_an_adapter_that_ranks_itself_are_not_merged(classes: OutputClasses) -> None:
    with pytest.raises(RunError) as caught:
        in_classes(ranked(), classes)
    assert caught.value.code == "CLASS_MAP_UNSUPPORTED"
