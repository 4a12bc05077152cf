"""COCO JSON as a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

from snellen.adapters.errors import InputError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.sources.base import Source
from snellen.pipelines.data.sources.coco.coco_source import CocoSource
from snellen.pipelines.data.sources.registry import open_source
from tests.contracts.source_contract import SourceContract, collected
from tests.pipelines.data.sources.coco.making import (
    HEIGHT,
    WIDTH,
    Document,
    annotation,
    config_of,
    document,
    found,
    opened,
)


class TestCocoContract(SourceContract):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> DatasetConfig:
        return config_of(tmp_path, document(6, annotation(100), annotation(103, 90)))

    def test_the_format_is_recognised_and_registered(
        self, source: Source, dataset: DatasetConfig
    ) -> None:
        """No folder is recognised as COCO, because the annotation file has to be named."""
        assert isinstance(source, CocoSource)
        assert not CocoSource.recognises(Path(dataset.path))


class TestAnnotatedCocoContract(TestCocoContract):
    """With masks and keypoints."""

    @pytest.fixture
    def dataset(self, tmp_path: Path) -> DatasetConfig:
        more: Document = {"segmentation": [[2, 3, 12, 3, 12, 8]], "keypoints": [4, 5, 2, 0, 0, 0]}
        return config_of(tmp_path, document(6, annotation(100, **more), annotation(101, **more)))


def test_classes_are_the_categories_by_rising_id(tmp_path: Path) -> None:
    rows = found(tmp_path, annotation(100, 90), annotation(100, 7), annotation(102, 13))
    info = opened(tmp_path, document(5)).describe()
    assert (info.classes, info.class_order) == (("cat", "bird", "dog"), "category id")
    ids = [[box["class_id"] for box in boxes] for boxes in rows["true_boxes"]]
    assert ids == [[2, 0], [], [1], [], []]


def test_ids_are_file_names_and_cocos_own_are_kept(tmp_path: Path) -> None:
    rows = found(tmp_path)
    names = ["sub 0/0.png", "sub 1/1.png", "sub 0/2.png", "sub 1/3.png", "sub 0/4.png"]
    assert rows["image_id"] == names
    assert rows["meta_coco_id"] == [100, 101, 102, 103, 104]
    assert rows["location"] == [str(tmp_path / "images" / name) for name in names]


def test_boxes_have_area_crowd_and_ignore(tmp_path: Path) -> None:
    crowd = annotation(100, iscrowd=1, area=12.5)
    ignored = annotation(100, ignore=1)
    bare = annotation(100)
    del bare["area"], bare["iscrowd"]
    first, second, third = found(tmp_path, crowd, ignored, bare)["true_boxes"][0]
    assert first == {
        "class_id": 0, "x1": 2.0, "y1": 3.0, "x2": 12.0, "y2": 8.0, "area": 12.5,
        "is_crowd": True, "ignore": False,
    }  # fmt: skip
    assert (second["is_crowd"], second["ignore"], second["area"]) == (False, True, 50.0)
    assert (third["is_crowd"], third["ignore"], third["area"]) == (False, False, 50.0)


def test_masks_are_pycocotools_own(tmp_path: Path) -> None:
    outline = [2.5, 3, 30, 4, 25.5, 20, 6, 28]
    counts = [50, 20, 10, 20, WIDTH * HEIGHT - 100]
    forms: list[Any] = [
        [outline],
        [outline, [1, 1, 5, 1, 5, 5]],
        {"size": [HEIGHT, WIDTH], "counts": counts},
    ]
    annotations = [annotation(100, segmentation=form) for form in forms]
    masks = found(tmp_path, *annotations)["true_masks"]
    theirs = COCO(str(tmp_path / "set.json"))
    expected = [bytes(theirs.annToRLE(theirs.anns[n])["counts"]) for n in (1, 2, 3)]
    assert masks == [expected, [], [], [], []]


def test_an_image_with_an_object_without_an_outline_has_no_masks(tmp_path: Path) -> None:
    outline: Document = {"segmentation": [[0, 0, 5, 0, 5, 5]]}
    rows = found(
        tmp_path, annotation(100, **outline), annotation(101, **outline), annotation(101),
        annotation(102, **outline, iscrowd=1),
    )  # fmt: skip
    assert [masks and len(masks) for masks in rows["true_masks"]] == [1, None, 1, [], []]
    assert [len(boxes) for boxes in rows["true_boxes"]] == [1, 2, 1, 0, 0]


def test_keypoints_are_triples_of_x_y_and_visibility(tmp_path: Path) -> None:
    rows = found(tmp_path, annotation(101, keypoints=[4, 5, 2, 6.5, 7, 1, 0, 0, 0]))
    assert rows["true_keypoints"][1] == [
        [{"x": 4, "y": 5, "v": 2}, {"x": 6.5, "y": 7, "v": 1}, {"x": 0, "y": 0, "v": 0}]
    ]
    assert rows["true_keypoints"][0] == []
    assert rows["true_masks"] == [None] * 5


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        ({"bbox": [0, 0, -1, 5]}, "LABEL_INVALID: annotation 2: the box has a negative size"),
        ({"bbox": [0, float("nan"), 1, 5]}, "LABEL_INVALID: annotation 2: a coordinate is not"),
        ({"bbox": [0, 0, float("inf"), 5]}, "LABEL_INVALID: annotation 2: a coordinate is not"),
        ({"bbox": [0, 0, 5]}, "LABEL_INVALID: annotation 2: bbox has 3 values. Expected x, y, "),
        ({"bbox": None}, "LABEL_INVALID: annotation 2: it has neither a box nor an outline"),
        ({"bbox": ["a", 0, 5, 5]}, "LABEL_INVALID: annotation 2: bbox is 'a'. Expected a number"),
        ({"bbox": [True, 0, 5, 5]}, "LABEL_INVALID: annotation 2: bbox is True. Expected a number"),
        ({"bbox": 5}, "LABEL_INVALID: annotation 2: bbox is 5. Expected a list of numbers"),
        ({"category_id": None}, "LABEL_INVALID: annotation 2: category_id is None"),
        ({"iscrowd": 2}, "LABEL_INVALID: annotation 2: iscrowd is 2. Expected 0 or 1"),
        ({"ignore": "no"}, "LABEL_INVALID: annotation 2: ignore is 'no'. Expected 0 or 1"),
        ({"area": "big"}, "LABEL_INVALID: annotation 2: area is 'big'. Expected a number"),
        ({"area": -3}, "LABEL_INVALID: annotation 2: the area is -3"),
        ({"area": float("nan")}, "LABEL_INVALID: annotation 2: the area is nan"),
        ({"keypoints": [1, 2]}, "LABEL_INVALID: annotation 2: the keypoints are malformed"),
        ({"segmentation": [[1, 2, 3, 4]]}, "LABEL_INVALID: "),
        ({"segmentation": {"size": [1, 1], "counts": [1]}},
         "LABEL_INVALID: annotation 2: the mask has the size [1, 1], the image [30, 40]"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": 5}}, "LABEL_INVALID: "),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [5]}}, "LABEL_INVALID: "),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": "\u00e9"}}, "LABEL_INVALID: "),
        ({"segmentation": "outline"}, "LABEL_INVALID: annotation 2: segmentation is 'outline'."),
        ({"segmentation": [[1, 2, float("nan"), 4, 5, 6]]}, "LABEL_INVALID: annotation 2: "),
        ({"segmentation": [[]]}, "LABEL_INVALID: annotation 2: a polygon has fewer than three"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "LABEL_INVALID: annotation 2: a polygon has"),
    ],
)  # fmt: skip
def test_a_wrong_label_costs_its_image_alone(tmp_path: Path, keys: Document, error: str) -> None:
    rows = found(tmp_path, annotation(100), annotation(101, **keys), annotation(101))
    assert rows["label_error"][1].startswith(error)
    assert rows["true_boxes"][1] is None
    assert [rows["label_error"][n] for n in (0, 2, 3, 4)] == [None] * 4
    assert len(rows["true_boxes"][0]) == 1


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{", "DATASET_UNREADABLE"),
        ("[]", "DATASET_FORMAT"),
        ("{}", "DATASET_FORMAT"),
        ({**document(), "images": {}}, "DATASET_FORMAT"),
        ({**document(), "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]},
         "DATASET_FORMAT"),
        ({**document(), "categories": [{"id": 1}]}, "DATASET_FORMAT"),
        ({**document(), "categories": [3]}, "DATASET_FORMAT"),
    ],
)  # fmt: skip
def test_what_is_no_coco_file(tmp_path: Path, content: Document | str, code: str) -> None:
    with pytest.raises(InputError) as caught:
        opened(tmp_path, content).describe()
    assert caught.value.code == code
    assert "set.json" in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        {"images": [{"id": 1}]},
        {"images": [7]},
        {"annotations": [{"category_id": 7}]},
        {"annotations": ["x"]},
    ],
)
def test_records_without_what_they_are_found_by(tmp_path: Path, change: Document) -> None:
    (tmp_path / "images").mkdir()
    config = config_of(tmp_path, json.dumps({**document(), **change}))
    source = open_source(config)
    with pytest.raises(InputError) as caught:
        collected(source, source.describe())
    assert caught.value.code == "DATASET_FORMAT"


def test_the_annotation_file_is_named_and_exists(tmp_path: Path) -> None:
    for named, code in ((None, "DATASET_ANNOTATIONS"), ("/none.json", "DATASET_NOT_FOUND")):
        source = open_source(DatasetConfig(format="coco", path=str(tmp_path), annotations=named))
        with pytest.raises(InputError) as caught:
            source.describe()
        assert caught.value.code == code
