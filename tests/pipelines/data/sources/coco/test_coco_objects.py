"""Objects of COCO files as programs write them: outlines, areas, flags, keypoints.

The expected masks, areas and boxes are pycocotools'.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pycocotools import mask as rle

from snellen.adapters.errors import InputError
from tests.pipelines.data.sources.coco.making import (
    HEIGHT,
    WIDTH,
    Document,
    annotation,
    document,
    reported,
)

TRIANGLE = [2.0, 3.0, 22.0, 3.0, 2.0, 23.0]
THEIRS = rle.frPyObjects([TRIANGLE], HEIGHT, WIDTH)[0]


def one(
    root: Path, needs: str | None = None, drop: tuple[str, ...] = (), **keys: Any
) -> tuple[Document, dict[str, int]]:
    """Return the row of an image with this annotation, and the repairs."""
    own = {key: value for key, value in annotation(100, **keys).items() if key not in drop}
    rows, report = reported(root, document(1, own), needs)
    return rows[0], report["annotations"]["repaired"]


BROKEN: dict[str, Any] = {
    "C-empty-polygon": [[]],
    "C-two-points": [[1, 2, 3, 4]],
    "C-odd": [[1, 2, 3, 4, 5, 6, 7]],
    "C-text": "outline",
    "C-runs": {"size": [HEIGHT, WIDTH], "counts": [5]},
    "C-size": {"size": [1, 1], "counts": [1]},
}


@pytest.mark.parametrize("outline", BROKEN.values(), ids=BROKEN)
def test_a_broken_outline_is_an_error_where_masks_are_scored(tmp_path: Path, outline: Any) -> None:
    for needs in ("", "keypoints"):
        row, repaired = one(tmp_path, needs, segmentation=outline)
        assert (row["label_error"], row["true_masks"], repaired) == (None, None, {})
        assert row["true_boxes"][0]["area"] == 50
    content = document(
        2, annotation(100, segmentation=outline), annotation(101, segmentation=[TRIANGLE])
    )
    rows, _ = reported(tmp_path, content, "masks")
    assert rows[0]["label_error"].startswith("LABEL_INVALID: annotation 1: ")
    assert rows[1]["true_masks"] == [THEIRS["counts"]]


def test_one_flat_list_is_a_polygon(tmp_path: Path) -> None:
    row, repaired = one(tmp_path, "masks", segmentation=TRIANGLE)
    assert row["true_masks"] == [THEIRS["counts"]]
    assert repaired == {"flat_outline": 1}


def test_a_detector_needs_neither_size_nor_masks(tmp_path: Path) -> None:
    content = document(1, annotation(100, segmentation=[TRIANGLE], keypoints=[1, 2]))
    del content["images"][0]["width"], content["images"][0]["height"]
    (row,), _ = reported(tmp_path, content, "")
    assert (row["true_masks"], row["true_keypoints"], row["label_error"]) == (None, None, None)
    assert (row["label_width"], row["label_height"]) == (WIDTH, HEIGHT)


def test_mixed_outlines_are_rejected_or_failed_rows(tmp_path: Path) -> None:
    content = document(
        3,
        annotation(100, segmentation=[TRIANGLE]),
        annotation(101, segmentation=[TRIANGLE]),
        annotation(101, segmentation=[]),
    )
    with pytest.raises(InputError) as caught:
        reported(tmp_path, content, "masks")
    assert caught.value.code == "DATASET_MIXED_LABELS"
    assert "1 of 2 images with objects" in caught.value.message
    rows, _ = reported(tmp_path, content, "masks", mixed_labels="fail")
    error = "LABEL_INVALID: boxes without outlines"
    assert [row["label_error"] for row in rows] == [None, error, None]
    assert [len(row["true_boxes"]) for row in reported(tmp_path, content, "")[0]] == [1, 2, 0]


AREA = float(rle.area(THEIRS))


@pytest.mark.parametrize("needs", [None, "", "masks"])
@pytest.mark.parametrize("written", [None, 0], ids=["F-null", "F-zero"])
def test_a_missing_area_is_that_of_the_outline(
    tmp_path: Path, needs: str | None, written: Any
) -> None:
    row, repaired = one(tmp_path, needs, segmentation=[TRIANGLE], area=written)
    assert row["true_boxes"][0]["area"] == AREA
    assert repaired == {"area_from_outline": 1}


@pytest.mark.parametrize("outline", [None, [], [[]]], ids=["F-null", "F-empty", "F-broken"])
def test_without_an_outline_it_is_that_of_the_box(tmp_path: Path, outline: Any) -> None:
    row, repaired = one(tmp_path, "", ("area",), segmentation=outline)
    assert row["true_boxes"][0]["area"] == 50
    assert repaired == {"area_from_box": 1}


@pytest.mark.parametrize("box", [None, []], ids=["F-null", "F-empty"])
@pytest.mark.parametrize("form", ["polygon", "rle"])
def test_a_missing_box_is_that_of_the_outline(tmp_path: Path, box: Any, form: str) -> None:
    encoded = {"size": [HEIGHT, WIDTH], "counts": THEIRS["counts"].decode()}
    outline: Any = [TRIANGLE] if form == "polygon" else encoded
    row, repaired = one(tmp_path, "", bbox=box, segmentation=outline)
    x, y, w, h = rle.toBbox(THEIRS).tolist()
    of_pixels, of_points = [x, y, x + w, y + h], [2.0, 3.0, 22.0, 23.0]
    found = row["true_boxes"][0]
    corners = [found[key] for key in ("x1", "y1", "x2", "y2")]
    assert corners == (of_points if form == "polygon" else of_pixels)
    assert repaired == {"box_from_outline": 1}


@pytest.mark.parametrize(
    ("written", "flag"),
    [("0", False), ("1", True), (0.0, False), (1.0, True), (False, False), (True, True),
     (None, False), ("false", False), ("True", True), ("", False)],
)  # fmt: skip
@pytest.mark.parametrize("key", ["iscrowd", "ignore"])
def test_flags_are_read_as_they_are_meant(
    tmp_path: Path, key: str, written: Any, flag: bool
) -> None:
    content = document(1, annotation(100, **{key: written}), annotation(100))
    (row,), _ = reported(tmp_path, content)
    column = {"iscrowd": "is_crowd"}.get(key, key)
    assert [box[column] for box in row["true_boxes"]] == [flag, False]


def test_numbers_may_be_text(tmp_path: Path) -> None:
    row, _ = one(tmp_path, bbox=["2", "3.5", "10", "5"], area="12.5")
    box = row["true_boxes"][0]
    assert (box["x1"], box["y1"], box["x2"], box["y2"], box["area"]) == (2, 3.5, 12, 8.5, 12.5)


@pytest.mark.parametrize("missing", [None, []], ids=["A-null", "A-empty"])
def test_an_object_without_keypoints_has_zeros(tmp_path: Path, missing: Any) -> None:
    points = [4, 5, 2, 6, 7, 1]
    content = document(
        2, annotation(100, keypoints=points), annotation(101, keypoints=missing), annotation(101)
    )
    rows, report = reported(tmp_path, content, "keypoints")
    zeros = [{"x": 0, "y": 0, "v": 0}] * 2
    assert rows[1]["true_keypoints"] == [zeros, zeros]
    assert rows[0]["true_keypoints"] == [[{"x": 4, "y": 5, "v": 2}, {"x": 6, "y": 7, "v": 1}]]
    assert report["annotations"]["repaired"] == {"keypoints_missing": 2}


def test_a_wrong_number_of_keypoints_costs_its_image_alone(tmp_path: Path) -> None:
    content = document(
        3,
        annotation(100, keypoints=[4, 5, 2, 6, 7, 1]),
        annotation(101, keypoints=[4, 5, 2]),
        annotation(102, keypoints=[4, 5, 2, 6, 7, 1]),
    )
    rows, _ = reported(tmp_path, content, "keypoints")
    error = "LABEL_INVALID: annotation 2: the keypoints are malformed: 3 values. Expected 2 x 3"
    assert [row["label_error"] for row in rows] == [None, error, None]


def test_boxes_in_fractions_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        one(tmp_path, bbox=[0.1, 0.2, 0.3, 0.4])
    assert caught.value.code == "DATASET_BOX_UNITS"
