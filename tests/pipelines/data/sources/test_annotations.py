"""Ground truth boxes, masks and keypoints in the shapes of the manifest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle

from snellen.adapters.errors import ErrorCode
from snellen.pipelines.data.sources.annotations import (
    LabelProblem,
    Targets,
    TrueBox,
    keypoints_of,
    mask_area,
    mask_of_polygons,
    mask_of_rle,
    target_columns,
)

SQUARE = [2.0, 3.0, 10.0, 3.0, 10.0, 9.0, 2.0, 9.0]
TRIANGLE = [20.5, 1.25, 38.0, 14.75, 11.0, 17.5]


def theirs(polygons: list[list[float]], height: int, width: int) -> bytes:
    return bytes(rle.merge(rle.frPyObjects(polygons, height, width))["counts"])


@pytest.mark.parametrize("polygons", [[SQUARE], [TRIANGLE], [SQUARE, TRIANGLE], [SQUARE, SQUARE]])
@pytest.mark.parametrize("size", [(20, 40), (40, 20), (8, 8)])
def test_polygons_are_pycocotools_masks(polygons: list[list[float]], size: tuple[int, int]) -> None:
    assert mask_of_polygons(polygons, *size) == theirs(polygons, *size)


def test_random_polygons_are_pycocotools_masks() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        height, width = random.integers(1, 60, 2).tolist()
        points = random.uniform(-3, 63, 2 * int(random.integers(3, 12))).tolist()
        counts = mask_of_polygons([points], height, width)
        assert counts == theirs([points], height, width)
        expected = rle.area({"size": [height, width], "counts": counts})
        assert mask_area(counts, height, width) == float(expected)


@pytest.mark.parametrize("polygons", [[], [[]], [[1, 2, 3, 4]], [SQUARE[:7]], [SQUARE, [1.0] * 4]])
def test_a_polygon_has_three_points(polygons: list[list[float]]) -> None:
    with pytest.raises(LabelProblem) as caught:
        mask_of_polygons(polygons, 9, 9)
    assert caught.value.text.startswith("LABEL_INVALID: ")


def test_both_forms_of_rle_are_the_same_mask() -> None:
    mask = np.zeros((7, 5), np.uint8, order="F")
    mask[2:6, 1:4] = 1
    counts = bytes(rle.encode(mask)["counts"])
    runs = [9, 4, 3, 4, 3, 4, 8]
    assert mask_of_rle({"size": [7, 5], "counts": runs}, 7, 5) == counts
    assert mask_of_rle({"size": [7, 5], "counts": counts.decode()}, 7, 5) == counts
    with pytest.raises(LabelProblem, match="the mask has the size") as caught:
        mask_of_rle({"size": [5, 7], "counts": runs}, 7, 5)
    assert caught.value.text.startswith("LABEL_INVALID: ")


def test_every_mask_of_pycocotools_is_taken_as_it_is() -> None:
    random = np.random.default_rng(1)
    for _ in range(100):
        height, width = random.integers(1, 70, 2).tolist()
        mask = np.asfortranarray(random.random((height, width)) < random.random(), np.uint8)
        counts = bytes(rle.encode(mask)["counts"])
        assert mask_of_rle({"size": [height, width], "counts": counts}, height, width) == counts


@pytest.mark.parametrize("counts", [None, 5, [34], [36], [40, -5], [1.5, 33.5], "", "\xe9", "zzz"])
def test_runs_fill_the_image(counts: Any) -> None:
    with pytest.raises(LabelProblem, match="runs do not fill the image"):
        mask_of_rle({"size": [7, 5], "counts": counts}, 7, 5)


def test_a_box_has_the_area_that_is_given_or_its_own() -> None:
    assert TrueBox(1, (2, 3, 5, 7)).to_row("line 1")["area"] == 12
    assert TrueBox(1, (2, 3, 5, 7), 4.5, is_crowd=True, ignore=True).to_row("line 1") == {
        "class_id": 1, "x1": 2, "y1": 3, "x2": 5, "y2": 7, "area": 4.5, "is_crowd": True,
        "ignore": True,
    }  # fmt: skip
    assert TrueBox(0, (2, 3, 2, 7)).to_row("line 1")["area"] == 0  # no width is valid


@pytest.mark.parametrize(
    ("corners", "area"),
    [
        ((math.nan, 0, 1, 1), None),
        ((0, 0, math.inf, 1), None),
        ((5, 0, 1, 1), None),
        ((0, 5, 1, 1), None),
        ((0, 0, 1, 1), math.nan),
        ((0, 0, 1, 1), -1.0),
    ],
)
def test_boxes_that_cannot_be(corners: Any, area: float | None) -> None:
    with pytest.raises(LabelProblem, match="line 3") as caught:
        TrueBox(0, corners, area).to_row("line 3")
    assert caught.value.text.startswith("LABEL_INVALID: line 3")


def test_keypoints_are_triples() -> None:
    assert keypoints_of([1, 2, 2, 0, 0, 0]) == [
        {"x": 1, "y": 2, "v": 2},
        {"x": 0, "y": 0, "v": 0},
    ]
    for values in ([1, 2], [1, 2, 3, 4], [1, math.nan, 2]):
        with pytest.raises(LabelProblem, match="keypoints are malformed"):
            keypoints_of(values)


def test_columns_hold_targets_or_the_reason_why_there_are_none() -> None:
    box = TrueBox(0, (0, 0, 1, 1)).to_row("line 1")
    found: list[Targets | LabelProblem] = [
        Targets([box]),
        Targets([box], masks=[b"x"], keypoints=[[{"x": 1.0, "y": 1.0, "v": 2.0}]]),
        LabelProblem(ErrorCode.LABEL_RANGE, "class 9"),
        Targets(),
    ]
    columns = target_columns(found)
    assert columns["true_boxes"] == [[box], [box], None, []]
    assert columns["true_masks"] == [None, [b"x"], None, None]
    assert columns["true_keypoints"] == [None, [[{"x": 1.0, "y": 1.0, "v": 2.0}]], None, None]
    assert columns["label_error"] == [None, None, "LABEL_RANGE: class 9", None]
