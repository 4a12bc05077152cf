"""Ids and categories of COCO files as programs write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from snellen.adapters.errors import InputError
from tests.pipelines.data.sources.coco.making import (
    Document,
    annotation,
    config_of,
    document,
    opened,
    reported,
)


def rejected(root: Path, content: Document) -> str:
    with pytest.raises(InputError) as caught:
        opened(root, content).describe()
    assert caught.value.code == "DATASET_FORMAT"
    return caught.value.message


def with_ids(content: Document, image_ids: list[object], used: list[object]) -> Document:
    for image, number in zip(content["images"], image_ids, strict=True):
        image["id"] = number
    for one, number in zip(content["annotations"], used, strict=True):
        one["image_id"] = number
    return content


@pytest.mark.parametrize(
    ("image_ids", "used", "own"),
    [
        (["1", "2"], [1, 2], [1, 2]),
        ([1, 2], ["1", "2"], [1, 2]),
        ([1.0, 2], [1, 2.0], [1, 2]),
        (["a", "b"], ["a", "b"], ["a", "b"]),
        (["7", "007"], ["7", "007"], ["7", "007"]),
    ],
    ids=["D-text-in-images", "D-text-in-annotations", "D-floats", "D-names", "D-leading-zeros"],
)
def test_ids_are_matched_in_whatever_form(
    tmp_path: Path, image_ids: list[object], used: list[object], own: list[object]
) -> None:
    content = with_ids(document(2, annotation(0, 7), annotation(0, 90)), image_ids, used)
    rows, report = reported(tmp_path, content)
    assert [row["meta_coco_id"] for row in rows] == own
    assert [[box["class_id"] for box in row["true_boxes"]] for row in rows] == [[0], [2]]
    assert report["annotations"] == {"used": 2, "ignored": {}, "repaired": {}}


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        ([3, 3], "1 duplicate ids in images, such as 3"),
        ([3, "3"], "1 duplicate ids in images, such as 3"),
        ([True, 2], "images[0] is malformed"),
        ([1, 2.5], "images[0] is malformed"),
        ([1, None], "images[0] is malformed"),
    ],
    ids=["D-duplicate", "D-duplicate-as-text", "D-bool", "D-fraction", "D-missing"],
)
def test_images_without_an_id_of_their_own_are_rejected(
    tmp_path: Path, ids: list[object], told: str
) -> None:
    assert told in rejected(tmp_path, with_ids(document(2), ids, []))


def test_duplicate_ids_of_categories_are_rejected_and_of_annotations_said(tmp_path: Path) -> None:
    content = document(2, annotation(100), annotation(101))
    content["annotations"][1]["id"] = 1
    _, report = reported(tmp_path, content)
    assert report["warnings"] == [
        "1 duplicate annotation ids, such as 1: was the file merged from others?"
    ]
    content["categories"][0]["id"] = 7
    assert "1 duplicate ids in categories, such as 7" in rejected(tmp_path, content)


def test_annotations_of_nothing_are_ignored_and_counted(tmp_path: Path) -> None:
    content = document(2, annotation(100), annotation(5), annotation(6), annotation(100, 99))
    rows, report = reported(tmp_path, content)
    assert [len(row["true_boxes"]) for row in rows] == [1, 0]
    assert report["annotations"]["ignored"] == {
        "image_does_not_exist": 2,
        "category_does_not_exist": 1,
    }
    assert "2 annotations ignored: image does not exist" in report["warnings"]


@pytest.mark.parametrize("lost", [annotation(5), annotation(100, 99)], ids=["image", "category"])
def test_a_file_whose_annotations_all_belong_to_nothing_is_rejected(
    tmp_path: Path, lost: Document
) -> None:
    told = rejected(tmp_path, document(2, lost, lost))
    assert "none of the 2 annotations" in told
    assert f"image_id {lost['image_id']} and category_id {lost['category_id']}" in told


def test_ids_of_categories_may_be_text(tmp_path: Path) -> None:
    content = document(2, annotation(100, category_id="90"), annotation(101, category_id=7.0))
    rows, _ = reported(tmp_path, content)
    assert [row["true_boxes"][0]["class_id"] for row in rows] == [2, 0]


def roboflow(*annotations: Document) -> Document:
    """As Roboflow exports it: category 0 is the name of the project."""
    return {
        **document(2, *annotations),
        "categories": [
            {"id": 0, "name": "cat", "supercategory": "none"},
            {"id": 1, "name": "cat", "supercategory": "cat"},
            {"id": 2, "name": "dog", "supercategory": "cat"},
        ],
    }


def test_the_root_category_of_roboflow_is_dropped(tmp_path: Path) -> None:
    source = opened(tmp_path, roboflow(annotation(100, 1), annotation(101, 2)))
    info = source.describe()
    assert info.classes == ("cat", "dog")
    assert any("category 0 'cat' has no objects" in note for note in info.notes)
    boxes = next(iter(source.batches(info)))["true_boxes"]
    assert [found[0]["class_id"] for found in boxes] == [0, 1]


def test_a_root_category_with_objects_is_a_duplicate(tmp_path: Path) -> None:
    told = rejected(tmp_path, roboflow(annotation(100, 1), annotation(101, 0)))
    assert "duplicate category names: 'cat'" in told


@pytest.mark.parametrize(
    ("named", "values", "count"),
    [
        (["a", "b", "c"], None, 3),
        (None, [[1, 2, 2] * 4, [1, 2, 2] * 4, [1, 2, 2]], 4),
        (["a", "b"], [[1, 2, 2] * 4], 2),
        (None, None, None),
        ([], [[], []], None),
    ],
    ids=["A-named", "A-most-common", "A-names-win", "A-none", "A-empty"],
)
def test_the_number_of_keypoints_is_known_before_the_images(
    tmp_path: Path, named: list[str] | None, values: list[list[int]] | None, count: int | None
) -> None:
    content = document(2, *(annotation(100, keypoints=one) for one in values or []))
    if named is not None:
        content["categories"][0]["keypoints"] = named
    config_of(tmp_path, content)
    assert opened(tmp_path, content).describe().keypoints == count
