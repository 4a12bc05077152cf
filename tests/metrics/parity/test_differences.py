"""Differences of two answers about one image, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from snellen.adapters.types import Box, ClassScore, ImageStatus, InferenceResult, Keypoint, TaskType
from snellen.metrics.parity.compare import compare_image
from snellen.metrics.parity.differences import Tolerance
from snellen.metrics.parity.object_differences import match_detections
from snellen.metrics.parity.summary import ParitySummary

LOOSE = Tolerance(confidence=0.01, pixels=1.0)


def classified(*scores: tuple[int, float]) -> InferenceResult:
    top = [ClassScore(label_id=i, label=f"c{i}", confidence=p) for i, p in scores]
    best = top[0]
    return InferenceResult(
        "", "", TaskType.IMAGE_CLASSIFICATION, best["label"], best["label_id"],
        best["confidence"], top)  # fmt: skip


def detected(*boxes: tuple[float, float, float, int], **fields: object) -> InferenceResult:
    """Squares of side 10 at (x, y) with a confidence and a class."""
    found = [
        Box(class_id=c, x1=x, y1=y, x2=x + 10, y2=y + 10, confidence=p) for x, y, p, c in boxes
    ]
    result = InferenceResult("", "", TaskType.OBJECT_DETECTION, predicted_boxes=found)
    result.width = result.height = 100
    for name, value in fields.items():
        setattr(result, name, value)
    return result


def failed() -> InferenceResult:
    return InferenceResult("", "", TaskType.OBJECT_DETECTION, status=ImageStatus.FAILED)


def test_equal_classes() -> None:
    found = compare_image(classified((1, 0.7), (0, 0.3)), classified((1, 0.7), (0, 0.3)), LOOSE)
    assert (found.reasons, found.confidence, found.top1) == ((), 0.0, ("c1", "c1"))


def test_a_flipped_class_differs_whatever_the_tolerance() -> None:
    found = compare_image(
        classified((1, 0.501), (0, 0.499)), classified((0, 0.501), (1, 0.499)), LOOSE
    )
    assert found.reasons == ("top1",)
    assert found.confidence == pytest.approx(0.002)


def test_a_class_outside_of_the_others_five_counts_with_its_fifth() -> None:
    first = classified((1, 0.5), (2, 0.3), (3, 0.2))
    second = classified((1, 0.5), (2, 0.3), (4, 0.195))
    assert compare_image(first, second, LOOSE).reasons == ()
    assert compare_image(first, second, LOOSE).confidence == pytest.approx(0.005)
    second = classified((1, 0.5), (2, 0.3), (4, 0.15))
    assert compare_image(first, second, LOOSE).reasons == ("confidence",)


def test_detections_are_matched_within_their_class() -> None:
    first = detected((0, 0, 0.9, 0), (50, 50, 0.8, 1))
    second = detected((50.5, 50, 0.8, 1), (0, 0, 0.895, 0))
    found = compare_image(first, second, LOOSE)
    assert found.reasons == ()
    assert (found.counts, found.unmatched) == ((2, 2), (0, 0))
    assert found.box == pytest.approx(0.5)
    assert found.confidence == pytest.approx(0.005)
    other_class = detected((0, 0, 0.9, 0), (50, 50, 0.8, 2))
    found = compare_image(first, other_class, LOOSE)
    assert (found.reasons, found.unmatched) == (("count",), (1, 1))


def test_what_is_unsure_on_both_sides_is_not_compared() -> None:
    first = detected((0, 0, 0.9, 0), (50, 50, 0.1, 0))
    assert compare_image(first, detected((0, 0, 0.9, 0)), LOOSE).reasons == ()
    # A detection that crosses the threshold by less than the tolerance has its counterpart.
    found = compare_image(detected((0, 0, 0.251, 0)), detected((0, 0, 0.249, 0)), LOOSE)
    assert (found.reasons, found.counts) == ((), (1, 0))
    # And one that is kept by one model alone, right at the threshold, is no difference.
    assert compare_image(detected((0, 0, 0.255, 0)), detected(), LOOSE).reasons == ()
    assert compare_image(detected((0, 0, 0.3, 0)), detected(), LOOSE).reasons == ("count",)


def test_what_the_limit_of_detections_cuts_off_is_no_difference() -> None:
    limited = Tolerance(confidence=0.01, limit=2)
    first = detected((0, 0, 0.9, 0), (30, 0, 0.5, 0))
    second = detected((0, 0, 0.9, 0), (60, 0, 0.5, 0))
    assert compare_image(first, second, limited).reasons == ()
    assert compare_image(first, second, LOOSE).unmatched == (1, 1)


def test_equal_boxes_are_told_apart_by_their_confidence() -> None:
    rows = np.array([[0, 0, 10, 10, 0.9, 0], [0, 0, 10, 10, 0.4, 0]], dtype=np.float64)
    assert match_detections(rows, rows[::-1]).tolist() == [[0, 1], [1, 0]]
    assert match_detections(rows[:0], rows).shape == (0, 2)


def test_keypoints_and_masks() -> None:
    from hotcoco import mask as rle

    def mask(side: int) -> bytes:
        array = np.zeros((100, 100), np.uint8, order="F")
        array[:side, :50] = 1
        counts = rle.encode(array)["counts"]
        return counts.encode() if isinstance(counts, str) else bytes(counts)

    def pose(x: float, v: float) -> list[list[Keypoint]]:
        return [[Keypoint(x=x, y=5.0, v=v)]]

    first = detected((0, 0, 0.9, 0), predicted_keypoints=pose(5, 0.5), predicted_masks=[mask(50)])
    second = detected((0, 0, 0.9, 0), predicted_keypoints=pose(9, 0.7), predicted_masks=[mask(40)])
    found = compare_image(first, second, LOOSE)
    assert found.reasons == ("confidence", "keypoints", "mask")
    assert found.keypoints == pytest.approx(4)
    assert found.confidence == pytest.approx(0.2)
    assert found.mask_iou == pytest.approx(0.8)
    assert compare_image(first, first, LOOSE).reasons == ()


def test_failures() -> None:
    assert compare_image(failed(), failed(), LOOSE).reasons == ()
    assert compare_image(failed(), detected(), LOOSE).reasons == ("status",)


def test_a_summary_keeps_the_worst_images_first() -> None:
    summary = ParitySummary(worst=2)
    for number, apart in enumerate([0.0, 0.3, 0.1, 0.2]):
        found = compare_image(
            detected((0, 0, 0.9, 0)), detected((apart, 0, 0.9, 0)), Tolerance(pixels=0.15)
        )
        summary.add(f"image {number}", found, failed=False)
    summary.add("broken", compare_image(failed(), failed(), LOOSE), failed=True)
    document = summary.to_json()
    assert [one["image_id"] for one in document["worst"]] == ["image 1", "image 3"]
    assert (document["images"], document["failed"], document["different"]) == (5, 1, 2)
    assert document["differs_in"] == {"box": 2}
    assert document["largest"]["box"] == pytest.approx(0.3)
    assert document["detections"] == [4, 4]
