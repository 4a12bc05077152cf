"""The ground truth of an image, in the checkpoint's class ids."""

from __future__ import annotations

from typing import Any

import pytest

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.types import TaskType
from snellen.pipelines.data.class_map import ClassMap, align_classes
from snellen.pipelines.tasks.record import GroundTruth
from snellen.pipelines.tasks.registry import task_of

DATASET = ("bird", "cat", "dog")
CHECKPOINT = ("dog", "bird", "cat")
BY_NAME = align_classes(DATASET, CHECKPOINT)
WITHOUT_CATS = align_classes(DATASET, CHECKPOINT, {"bird": "bird", "cat": None, "dog": "dog"})
DETECTION = TaskType.OBJECT_DETECTION


def box(class_id: int | None, x1: float = 0) -> dict[str, Any]:
    return {"class_id": class_id, "x1": x1, "y1": 0, "x2": x1 + 5, "y2": 5, "area": 25}


def truth_of(row: dict[str, Any], class_map: ClassMap, task: TaskType = DETECTION) -> GroundTruth:
    return task_of(task).ground_truth(row, class_map, DATASET)


def refused(row: dict[str, Any], task: TaskType = DETECTION) -> ImageError:
    with pytest.raises(ImageError) as caught:
        truth_of(row, BY_NAME, task)
    assert caught.value.stage is ErrorStage.LABEL
    return caught.value


def test_a_label_becomes_the_checkpoints_id() -> None:
    for label, class_id in (("dog", 0), ("bird", 1), ("cat", 2)):
        truth = truth_of({"label": label}, BY_NAME, TaskType.IMAGE_CLASSIFICATION)
        assert truth == GroundTruth(class_id=class_id)
    error = refused({"label": None}, TaskType.IMAGE_CLASSIFICATION)
    assert error.code is ErrorCode.LABEL_MISSING


def test_boxes_get_the_checkpoints_ids_and_keep_the_rest() -> None:
    row = {"true_boxes": [box(0, 1), box(2, 2), box(1, 3)]}
    truth = truth_of(row, BY_NAME)
    assert truth.boxes == [box(1, 1), box(0, 2), box(2, 3)]
    assert (truth.class_id, truth.masks, truth.keypoints) == (None, None, None)
    assert row["true_boxes"][0]["class_id"] == 0  # the manifest's row is left as it is


def test_a_class_that_is_left_out_takes_its_parallels_along() -> None:
    row: dict[str, Any] = {
        "true_boxes": [box(1, 1), box(2, 2), box(1, 3), box(0, 4)],
        "true_masks": [b"a", b"b", b"c", b"d"],
        "true_keypoints": [[1], [2], [3], [4]],
    }
    truth = truth_of(row, WITHOUT_CATS)
    assert truth.boxes == [box(0, 2), box(1, 4)]
    assert truth.masks == [b"b", b"d"]
    assert truth.keypoints == row["true_keypoints"][1::2]
    only_cats = truth_of({"true_boxes": [box(1)]}, WITHOUT_CATS)
    assert only_cats.boxes == []  # nothing to find is a truth too


def test_no_boxes_is_not_an_empty_list_of_boxes() -> None:
    assert truth_of({"true_boxes": []}, BY_NAME).boxes == []
    assert refused({"true_boxes": None}).code is ErrorCode.LABEL_MISSING
    assert refused({"label": "cat"}).code is ErrorCode.LABEL_MISSING


@pytest.mark.parametrize("class_id", [-1, 3, None])
def test_a_class_outside_of_the_data_sets_own(class_id: int | None) -> None:
    error = refused({"true_boxes": [box(0), box(class_id)]})
    assert error.code is ErrorCode.LABEL_RANGE
    assert error.message == f"box class {class_id} is outside of 0..2"


@pytest.mark.parametrize(
    ("name", "values"), [("true_masks", [b"a"]), ("true_keypoints", [[], [], []])]
)
def test_masks_and_keypoints_are_parallel_to_the_boxes(name: str, values: list[Any]) -> None:
    error = refused({"true_boxes": [box(0), box(1)], name: values})
    assert error.code is ErrorCode.LABEL_INVALID
    assert error.message == f"{len(values)} {name.removeprefix('true_')} for 2 boxes"


@pytest.mark.parametrize("code", ["LABEL_MISSING", "LABEL_RANGE", "LABEL_INVALID"])
@pytest.mark.parametrize("task", TaskType)
def test_what_the_source_found_wrong_comes_first(code: str, task: TaskType) -> None:
    row = {"label": "cat", "true_boxes": [], "label_error": f"{code}: line 3: because: of that"}
    error = refused(row, task)
    assert (error.code, error.message) == (ErrorCode(code), "line 3: because: of that")
