"""The matches of an image at the operating point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pycocotools import mask as rle

from snellen.adapters.types import TaskType
from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.pipelines.tasks.registry import task_of
from snellen.store.parquet.schema import RESULT_SCHEMA
from tests.metrics.detection.examples import SIZE, found, truth

HALF = OperatingPoint(0.25, 0.5)
BOX = (10.0, 10.0, 50.0, 50.0)
FAR = (90.0, 90.0, 120.0, 120.0)
SHIFTED = (20.0, 10.0, 60.0, 50.0)  # IoU .6 with BOX


def row_of(true: list[Any], predicted: list[Any], **more: Any) -> dict[str, Any]:
    return {
        "true_boxes": true,
        "predicted_boxes": predicted,
        "height": SIZE,
        "width": SIZE,
        **more,
    }


def columns(
    row: dict[str, Any],
    task: TaskType = TaskType.OBJECT_DETECTION,
    operating: OperatingPoint = HALF,
) -> dict[str, Any]:
    match = task_of(task).match_columns
    assert match is not None
    rows = [{"image_index": 0, "status": "ok", **row}]
    found = match(pa.Table.from_pylist(rows, schema=RESULT_SCHEMA), operating)
    return {name: values.to_pylist()[0] for name, values in found.items()}


def mask(x1: int, y1: int, x2: int, y2: int) -> bytes:
    pixels = np.zeros((SIZE, SIZE), np.uint8, order="F")
    pixels[y1:y2, x1:x2] = 1
    return bytes(rle.encode(pixels)["counts"])


def pose(x: float, y: float, v: float = 2) -> list[dict[str, float]]:
    return [{"x": x + 10 * n, "y": y, "v": v} for n in range(4)]


def test_a_found_object_a_false_alarm_and_a_missed_object() -> None:
    row = row_of(
        [truth(0, *BOX), truth(1, *FAR)],
        [found(0, *SHIFTED, confidence=0.9), found(1, *BOX, confidence=0.8)],
    )
    assert columns(row) == {
        "matches": [
            {"kind": "TP", "true_index": 0, "predicted_index": 0, "overlap": pytest.approx(0.6)},
            {"kind": "FP", "true_index": None, "predicted_index": 1, "overlap": None},
            {"kind": "FN", "true_index": 1, "predicted_index": None, "overlap": None},
        ],
        "tp": 1, "fp": 1, "fn": 1, "is_correct": False, "iou": pytest.approx(0.6),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("operating", "counts"),
    [
        (OperatingPoint(0.25, 0.5), (1, 0, 0)),
        (OperatingPoint(0.25, 0.7), (0, 1, 1)),
        (OperatingPoint(0.95, 0.5), (0, 0, 1)),
        (OperatingPoint(0.9, 0.5), (1, 0, 0)),
    ],
)
def test_the_operating_point_decides(
    operating: OperatingPoint, counts: tuple[int, int, int]
) -> None:
    row = row_of([truth(0, *BOX)], [found(0, *SHIFTED, confidence=0.9)])
    result = columns(row, operating=operating)
    assert (result["tp"], result["fp"], result["fn"]) == counts
    assert result["is_correct"] == (counts == (1, 0, 0))


def test_nothing_to_find_and_nothing_found_is_right() -> None:
    expected = {"matches": [], "tp": 0, "fp": 0, "fn": 0, "is_correct": True, "iou": None}
    assert columns(row_of([], [])) == expected


def test_a_crowd_is_neither_missed_nor_found() -> None:
    crowd = truth(0, *BOX, crowd=True)
    assert columns(row_of([crowd], []))["is_correct"]
    result = columns(row_of([crowd], [found(0, *BOX), found(0, *BOX)]))
    assert [match["kind"] for match in result["matches"]] == ["IGNORED", "IGNORED"]
    assert (result["tp"], result["fp"], result["fn"]) == (0, 0, 0)


def test_masks_overlap_where_boxes_do_not_tell() -> None:
    boxes = row_of([truth(0, *BOX)], [found(0, *BOX)])
    masks = {"true_masks": [mask(10, 10, 50, 50)], "predicted_masks": [mask(10, 10, 50, 20)]}
    result = columns({**boxes, **masks}, TaskType.INSTANCE_SEGMENTATION)
    assert (result["tp"], result["fp"], result["fn"]) == (0, 1, 1)
    masks["predicted_masks"] = [mask(10, 10, 50, 40)]
    assert columns({**boxes, **masks}, TaskType.INSTANCE_SEGMENTATION)["iou"] == 0.75


def test_keypoints_overlap_by_oks() -> None:
    boxes = row_of([truth(0, *BOX)], [found(0, *BOX)])
    poses = {"true_keypoints": [pose(12, 20)], "predicted_keypoints": [pose(12, 20, 0.9)]}
    result = columns({**boxes, **poses}, TaskType.POSE_ESTIMATION)
    assert "iou" not in result
    assert (result["tp"], result["oks"]) == (1, 1)
    poses["predicted_keypoints"] = [pose(60, 80, 0.9)]
    assert columns({**boxes, **poses}, TaskType.POSE_ESTIMATION)["fp"] == 1
    tight = OperatingPoint(0.25, 0.5, sigmas=(0.001,) * 4)
    poses["predicted_keypoints"] = [pose(13, 20, 0.9)]
    assert columns({**boxes, **poses}, TaskType.POSE_ESTIMATION)["tp"] == 1
    assert columns({**boxes, **poses}, TaskType.POSE_ESTIMATION, tight)["tp"] == 0


@pytest.mark.parametrize("task", [TaskType.INSTANCE_SEGMENTATION, TaskType.POSE_ESTIMATION])
def test_a_data_set_of_boxes_alone_is_matched_by_boxes(task: TaskType) -> None:
    row = row_of(
        [truth(0, *BOX)],
        [found(0, *BOX)],
        predicted_masks=[mask(0, 0, 1, 1)],
        predicted_keypoints=[pose(0, 0)],
    )
    result = columns(row, task)
    assert (result["tp"], result["iou"]) == (1, 1)
    assert result.get("oks") is None
