"""Objects in the JSON documents of tar shards."""

from __future__ import annotations

from typing import Any

import pytest
from pycocotools import mask as rle

from snellen.pipelines.data.sources.annotations import LabelProblem, Targets
from snellen.pipelines.data.sources.shards.shard_objects import ObjectDocument

WIDTH, HEIGHT = 40, 30
TRIANGLE = [2.0, 3.0, 22.0, 3.0, 2.0, 23.0]
POINTS = [[4, 5, 2], [6, 7, 1]]


def box(**keys: Any) -> dict[str, Any]:
    return {"class_id": 1, "x1": 2, "y1": 3, "x2": 12, "y2": 8, **keys}


def read(*boxes: Any, needs: str | None = None, **keys: Any) -> Targets | LabelProblem:
    document = {"boxes": list(boxes), "width": WIDTH, "height": HEIGHT, **keys}
    return ObjectDocument(document).targets(lambda kind: needs is None or kind in needs.split())


def good(*boxes: Any, **keys: Any) -> Targets:
    found = read(*boxes, **keys)
    assert isinstance(found, Targets)
    return found


def test_the_size_of_the_labelled_image_is_kept() -> None:
    assert good(box()).size == (WIDTH, HEIGHT)
    assert good(box(), width=None).size is None


def test_masks_and_areas_are_pycocotools() -> None:
    found = good(box(), box(area=7), masks=[[TRIANGLE], [TRIANGLE]])
    expected = rle.frPyObjects([TRIANGLE], HEIGHT, WIDTH)[0]
    assert found.masks == [expected["counts"]] * 2
    assert [one["area"] for one in found.boxes] == [float(rle.area(expected)), 7]
    assert good(box()).boxes[0]["area"] == 50


@pytest.mark.parametrize("masks", [[[[1, 2, 3, 4]]], [[]], ["x"], 5], ids=str)
def test_a_broken_mask_is_an_error_where_masks_are_scored(masks: Any) -> None:
    assert isinstance(read(box(), masks=masks, needs="masks"), LabelProblem)
    assert good(box(), masks=masks, needs="").masks is None


def test_an_object_without_a_mask_leaves_boxes_alone() -> None:
    assert good(box(), box(), masks=[[TRIANGLE], None]).masks is None


@pytest.mark.parametrize("missing", [None, []])
def test_an_object_without_keypoints_has_zeros(missing: Any) -> None:
    found = good(box(), box(), keypoints=[POINTS, missing])
    assert found.keypoints is not None
    assert [[point["v"] for point in points] for points in found.keypoints] == [[2, 1], [0, 0]]
    assert good(box(), keypoints=[missing]).keypoints is None
    assert isinstance(read(box(), box(), keypoints=[POINTS, POINTS[:1]]), LabelProblem)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"class_id": 1.5}, "box 0: class_id is 1.5. Expected an integer"),
        ({"class_id": True}, "box 0: class_id is True"),
        ({"x1": None}, "box 0: x1 is None. Expected a number"),
        ({"x1": 50}, "box 0: the box has a negative size"),
        ({"is_crowd": "yes"}, "box 0: is_crowd is 'yes'. Expected 0 or 1"),
        ({"area": "big"}, "box 0: area is 'big'. Expected a number"),
    ],
)
def test_values_are_not_bent(keys: dict[str, Any], message: str) -> None:
    found = read(box(**keys))
    assert isinstance(found, LabelProblem)
    assert found.text.startswith(f"LABEL_INVALID: {message}")


def test_values_in_other_forms() -> None:
    found = good(box(class_id="1", x1="2.5", is_crowd="0", ignore=1.0)).boxes[0]
    assert (found["class_id"], found["x1"], found["is_crowd"], found["ignore"]) == (
        1,
        2.5,
        False,
        True,
    )
