"""The report of a detection, segmentation or pose run."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from snellen.metrics.statistics.intervals import wilson
from snellen.metrics.tasks import load
from tests.metrics.detection.examples import (
    BOX_KEYS,
    TASK,
    coco_stats,
    draw,
    found,
    keys,
    report,
    row,
    table,
    truth,
)

A, B = (10, 10, 30, 30), (60, 60, 100, 100)
OPERATING = {"precision", "recall", "f1", "best_f1", "best_f1_confidence", "coverage"}
ULTRALYTICS = {
    "bbox": "ultralytics_",
    "segm": "ultralytics_mask_",
    "keypoints": "ultralytics_pose_",
}


@pytest.mark.parametrize("kind", TASK)
def test_the_keys_of_a_task(kind: str) -> None:
    result = report(draw(2, kind, images=8), TASK[kind], 3)
    expected = {*keys("bbox"), *keys(kind), *OPERATING}
    for prefix in (ULTRALYTICS["bbox"], ULTRALYTICS[kind]):
        expected |= {f"{prefix}mAP50", f"{prefix}mAP50-95"}
    assert set(result.metrics) == expected
    assert result.primary_metric_name == keys(kind)[0]
    assert result.primary_metric_value == result.metrics[keys(kind)[0]]
    assert result.loss is None


@pytest.mark.parametrize("kind", TASK)
def test_the_report_is_json(kind: str) -> None:
    text = json.dumps(report(draw(2, kind, images=8), TASK[kind], 3).to_dict(), allow_nan=False)
    assert json.loads(text)["details"]["tide"]["counts"]


@pytest.mark.parametrize("kind", TASK)
def test_a_set_without_objects_has_no_numbers(kind: str) -> None:
    for rows in ([row(0, [], [], true_masks=[], true_keypoints=[])], []):
        result = report(rows, TASK[kind], 2)
        assert {value for key, value in result.metrics.items() if key != "coverage"} == {None}
        assert result.primary_metric_value is None
        assert result.details["pr_curve"]["mean"] is None
        assert result.details["f1_curve"]["all"] is None
        assert result.confusion_matrix == [[0] * 3] * 3


def test_a_class_without_truths_is_null_and_in_no_mean() -> None:
    result = report([row(0, [truth(0, *A)], [found(0, *A), found(1, *B)])], TASK["bbox"], 3)
    assert result.metrics["mAP50-95"] == pytest.approx(1.0)
    absent = result.per_class["class-1"]
    for key in ("AP", "AP50", "AP75", "AR_100", "AP_small", "precision", "recall", "f1", "best_f1"):
        assert absent[key] is None
    assert (absent["support"], absent["tp"], absent["fp"], absent["fn"]) == (0, 0, 1, 0)
    assert result.details["pr_curve"]["classes"]["class-1"] is None
    assert result.details["f1_curve"]["classes"]["class-2"] is None
    assert result.confusion_matrix == [[1, 0, 0, 0], [0] * 4, [0] * 4, [0, 1, 0, 0]]


def test_a_class_that_is_never_found_has_zeros() -> None:
    result = report([row(0, [truth(0, *A)], [])], TASK["bbox"], 1)
    values = result.per_class["class-0"]
    assert [values[key] for key in ("AP", "precision", "recall", "f1", "best_f1")] == [0.0] * 5
    assert values["best_f1_confidence"] is None
    assert result.metrics["mAP_large"] is None
    assert result.metrics["mAP_small"] == 0.0


def test_per_class_numbers() -> None:
    true = [truth(0, *A), truth(0, *B), truth(1, 0, 100, 50, 150)]
    predicted = [found(0, *A), found(0, 0, 60, 9, 70, confidence=0.4), found(0, *B, confidence=0.1)]
    result = report([row(0, true, predicted)], TASK["bbox"], 2, bootstrap=20)
    first = result.per_class["class-0"]
    assert (first["support"], first["tp"], first["fp"], first["fn"]) == (2, 1, 1, 1)
    assert (first["precision"], first["recall"], first["f1"]) == (0.5, 0.5, 0.5)
    # One image shows no variation, so that its objects count as one.
    assert first["precision_interval"] == wilson(0.5, 1)
    assert first["best_f1"] == pytest.approx(0.8)
    assert first["best_f1_confidence"] == pytest.approx(0.1)
    assert first["AP_small"] == pytest.approx(1.0)
    assert first["AR_100"] == 1.0
    assert result.metrics["recall"] == pytest.approx(1 / 3)
    assert result.intervals["recall"] == pytest.approx(wilson(1 / 3, 1))


@pytest.mark.slow
def test_best_f1_is_the_best_of_all_limits() -> None:
    for seed in range(10):
        rows = draw(seed, "bbox", images=8)
        result = report(rows, TASK["bbox"], 3)
        limits = sorted({b["confidence"] for r in rows for b in r["predicted_boxes"]})
        values = [
            report(rows, TASK["bbox"], 3, operating_confidence=limit).metrics["f1"]
            for limit in limits
        ]
        best = max(value or 0.0 for value in values)
        assert result.metrics["best_f1"] == pytest.approx(best, abs=1e-12)
        at = limits[len(values) - 1 - values[::-1].index(max(values, key=lambda v: v or 0.0))]
        assert result.metrics["best_f1_confidence"] == pytest.approx(at)


def test_curves() -> None:
    rows = draw(6, "bbox", images=15)
    result = report(rows, TASK["bbox"], 3)
    expected = coco_stats(rows, "bbox", 3)
    assert expected is not None
    curves = result.details["pr_curve"]
    precision = expected.eval["precision"][0, :, :, 0, -1]
    assert curves["classes"]["class-0"] == pytest.approx(precision[:, 0].tolist())
    assert np.mean(curves["mean"]) == pytest.approx(result.metrics["mAP50"])
    f1 = result.details["f1_curve"]
    assert f1["confidence"][25] == 0.25
    assert f1["all"][25] == result.metrics["f1"]
    assert f1["classes"]["class-1"][25] == result.per_class["class-1"]["f1"]
    assert max(f1["all"]) <= result.metrics["best_f1"]
    assert result.details["tide"]["ap"] == pytest.approx(result.metrics["mAP50"], abs=1e-9)


@pytest.mark.parametrize("kind", TASK)
def test_pairs_computed_in_pieces_are_the_same(kind: str, monkeypatch: Any) -> None:
    rows = draw(8, kind, images=8)
    whole = report(rows, TASK[kind], 3).to_dict()
    for size in (1, 7, 40):
        monkeypatch.setattr("snellen.metrics.matching.assignment._CHUNK", size)
        assert report(rows, TASK[kind], 3).to_dict() == whole


def test_only_scored_rows_with_a_truth_count() -> None:
    good = row(0, [truth(0, *A)], [found(0, *A)])
    rows = [
        good,
        row(1, [truth(0, *A)], None, status="failed"),
        row(2, None, [found(0, *B)]),
    ]
    metrics = load("object_detection", bootstrap=0)
    state = metrics.state(table(rows), ["a"])
    result = metrics.compute(state, ["a"], total_images=3, failed_images=1)
    assert result.scored_images == 1
    assert result.metrics["precision"] == 1.0
    assert result.metrics["coverage"] == pytest.approx(1 / 3)


def test_an_image_without_true_masks_counts_for_its_boxes_only() -> None:
    rows = draw(3, "segm", images=4)
    known = report(rows, TASK["segm"], 3)
    more = row(99, [truth(0, *A)], [found(0, *B)], true_masks=None, predicted_masks=[b"0"])
    result = report([*rows, more], TASK["segm"], 3)
    assert result.metrics["mask_mAP50-95"] == known.metrics["mask_mAP50-95"]
    assert result.metrics["mAP50-95"] != known.metrics["mAP50-95"]


def test_equal_names_are_told_apart() -> None:
    metrics = load("object_detection")
    names = ["crane", "crane"]
    state = metrics.state(table([row(0, [truth(1, *A)], [])]), names)
    result = metrics.compute(state, names, total_images=1, failed_images=0)
    assert list(result.per_class) == ["crane [0]", "crane [1]"]


def test_many_classes_give_a_sparse_matrix() -> None:
    rows = [row(0, [truth(1500, *A)], [found(3, *A)])]
    assert report(rows, TASK["bbox"], 2000).confusion_matrix == {
        "format": "coo",
        "shape": [2001, 2001],
        "rows": [1500],
        "cols": [3],
        "counts": [1],
    }


def test_contradictions_are_refused() -> None:
    metrics = load("object_detection")
    state = metrics.state(table([row(0, [truth(0, *A)], [])]), ["a"])
    with pytest.raises(ValueError, match=r"2 class names\. Expected 1"):
        metrics.compute(state, ["a", "b"], total_images=1, failed_images=0)
    with pytest.raises(ValueError, match="scored \\+ failed <= total"):
        metrics.compute(state, ["a"], total_images=1, failed_images=1)
    with pytest.raises(ValueError, match=r"image_index 0 was counted twice\. Expected once"):
        metrics.compute(metrics.merge([state, state]), ["a"], total_images=2, failed_images=0)
    other = metrics.state(table([]), ["a", "b"])
    with pytest.raises(ValueError, match="one number of classes and one task"):
        metrics.merge([state, other])
    with pytest.raises(ValueError, match="one number of classes and one task"):
        metrics.merge([])


def test_rows_that_cannot_be_read_are_refused() -> None:
    boxes = load("object_detection")
    with pytest.raises(ValueError, match=r"true_boxes have class id 5\. Expected 0 to 1"):
        boxes.state(table([row(0, [truth(5, *A)], [])]), ["a", "b"])
    with pytest.raises(ValueError, match=r"predicted_boxes have class id -1\. Expected 0 to 1"):
        boxes.state(table([row(0, [], [found(-1, *A)])]), ["a", "b"])
    masks = load("instance_segmentation")
    rows = [row(4, [truth(0, *A)], [], true_masks=[])]
    with pytest.raises(ValueError, match=r"true_masks of image 4 has 0 entries\. Expected 1"):
        masks.state(table(rows), ["a"])
    rows = [row(4, [truth(0, *A)], [], true_masks=[None])]
    with pytest.raises(ValueError, match=r"true_masks has a null\. Expected a mask for every box"):
        masks.state(table(rows), ["a"])
    poses = load("pose_estimation")
    rows = [row(4, [truth(0, *A)], [found(0, *A)], true_keypoints=[points(2)])]
    with pytest.raises(
        ValueError, match=r"predicted_keypoints of image \d+ has \d entries\. Expected 1"
    ):
        poses.state(table(rows), ["a"])
    rows[0]["predicted_keypoints"] = [points(3)]
    with pytest.raises(
        ValueError, match=r"predictions have \[2, 3\] keypoints\. Expected one number"
    ):
        poses.state(table(rows), ["a"])


def points(count: int) -> list[dict[str, float]]:
    return [{"x": 12.0, "y": 12.0, "v": 2.0}] * count


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"operating_iou": 0.0}, "operating_iou is 0.0. Expected"),
        ({"operating_confidence": 1.5}, "operating_confidence is 1.5. Expected"),
        ({"max_dets": [100, 10, 1]}, "rising numbers"),
        ({"max_dets": []}, "rising numbers"),
        ({"max_dets": [0, 10]}, "rising numbers"),
        ({"kpt_sigmas": [0.1, 0.0]}, "Expected numbers above 0"),
        ({"bootstrap": -1}, "0 or more resamples"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        load("object_detection", **options)


def test_options_of_other_tasks_are_passed_over() -> None:
    assert load("object_detection", ece_bins=15).columns
    assert load("image_classification", operating_iou=0.5).columns


def test_a_pose_without_visible_points_is_a_box_to_find_and_no_pose() -> None:
    hidden = [{"x": 0.0, "y": 0.0, "v": 0.0}] * 17
    rows = [
        row(
            0,
            [truth(0, *A)],
            [found(0, *A)],
            true_keypoints=[hidden],
            predicted_keypoints=[points(17)],
        )
    ]
    result = report(rows, TASK["keypoints"], 1)
    assert result.metrics["mAP50-95"] == pytest.approx(1.0)
    assert result.metrics["oks_mAP50-95"] is None
    assert result.per_class["class-0"]["fp"] == 0
    assert set(BOX_KEYS) <= set(result.metrics)


@pytest.mark.parametrize(
    "true",
    [[], [truth(0, 0, 0, 9, 9, crowd=True)], [truth(0, 0, 0, 9, 9, ignore=True)]],
    ids=["I-none", "I-crowd", "I-ignored"],
)
def test_without_objects_that_count_nothing_is_measured(true: list[dict[str, Any]]) -> None:
    result = report([row(0, true, [found(0, 20, 20, 30, 30)])], TASK["bbox"], 1)
    assert {key for key, value in result.metrics.items() if value is not None} == {"coverage"}
    assert result.primary_metric_value is None
    assert result.details["counted_objects"] == 0
