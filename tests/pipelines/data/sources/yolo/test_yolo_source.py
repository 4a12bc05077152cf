"""A YOLO dataset: data.yaml, images, label files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from pycocotools import mask as rle

from snellen.adapters.errors import InputError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.sources.base import Source
from snellen.pipelines.data.sources.registry import open_source
from snellen.pipelines.data.sources.yolo.label_lines import label_path
from tests.adapters.making import exif
from tests.contracts.source_contract import SourceContract, collected
from tests.pipelines.making import write_image

WIDTH, HEIGHT = 40, 20
BOX = "0 0.5 0.5 0.25 0.5"


def dataset_of(root: Path, labels: list[str | None], **document: Any) -> Path:
    """Images ``0.png ...`` of the split test; None writes no label file."""
    for number, text in enumerate(labels):
        write_image(root / "images" / "test" / f"{number}.png", size=(WIDTH, HEIGHT))
        label = root / "labels" / "test" / f"{number}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            label.write_text(text)
    content = {"path": str(root), "test": "images/test", "names": ["cat", "dog"], **document}
    kept = {key: value for key, value in content.items() if value is not None}
    (root / "data.yaml").write_text(yaml.safe_dump(kept))
    return root / "data.yaml"


def opened(path: Path, **options: Any) -> Source:
    return open_source(DatasetConfig(path=str(path), **options))


def found(path: Path, **options: Any) -> dict[str, list[Any]]:
    source = opened(path, **options)
    return collected(source, source.describe())


def one(root: Path, text: str | None, **document: Any) -> dict[str, Any]:
    """Return the columns of an image with these labels."""
    rows = found(dataset_of(root, [text], **document))
    return {name: values[0] for name, values in rows.items()}


class TestYoloContract(SourceContract):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> DatasetConfig:
        return DatasetConfig(path=str(dataset_of(tmp_path, [BOX, "", BOX, None, BOX])))


class TestYoloFolderContract(SourceContract):
    """The folder of data.yaml, images in sub-folders, odd names."""

    @pytest.fixture
    def dataset(self, tmp_path: Path) -> DatasetConfig:
        dataset_of(tmp_path, [BOX] * 4)
        for name in ("deep/er/é.png", "a b.PNG"):
            write_image(tmp_path / "images" / "test" / name)
        return DatasetConfig(path=str(tmp_path))


def test_boxes_are_pixels_of_the_image(tmp_path: Path) -> None:
    row = one(tmp_path, f"{BOX}\n\n1 0 0 0 0\n")
    assert row["true_boxes"] == [
        {"class_id": 0, "x1": 15, "y1": 5, "x2": 25, "y2": 15, "area": 100, "is_crowd": False,
         "ignore": False},
        {"class_id": 1, "x1": 0, "y1": 0, "x2": 0, "y2": 0, "area": 0, "is_crowd": False,
         "ignore": False},
    ]  # fmt: skip
    assert (row["true_masks"], row["true_keypoints"], row["label_error"]) == (None, None, None)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_relative_to_the_upright_image(tmp_path: Path, orientation: int) -> None:
    file = dataset_of(tmp_path, [BOX])
    image = tmp_path / "images" / "test" / "0.png"
    Image.new("RGB", (WIDTH, HEIGHT)).save(image, exif=exif(orientation))
    box = found(file)["true_boxes"][0][0]
    width, height = (HEIGHT, WIDTH) if orientation > 4 else (WIDTH, HEIGHT)
    assert (box["x1"], box["x2"]) == (0.375 * width, 0.625 * width)
    assert (box["y1"], box["y2"]) == (0.25 * height, 0.75 * height)


def test_polygons_are_pycocotools_masks_with_their_area(tmp_path: Path) -> None:
    row = one(tmp_path, "1 0.1 0.1 0.9 0.2 0.5 0.8\n0 0.375 0.25 0.375 0.75 0.625 0.75 0.625 0.25")
    pixels = [[4.0, 2.0, 36.0, 4.0, 20.0, 16.0], [15.0, 5, 15, 15, 25, 15, 25, 5]]
    expected = [rle.frPyObjects([points], HEIGHT, WIDTH)[0] for points in pixels]
    assert row["true_masks"] == [bytes(mask["counts"]) for mask in expected]
    triangle, box = row["true_boxes"]
    assert [triangle[k] for k in ("x1", "y1", "x2", "y2")] == pytest.approx([4, 2, 36, 16])
    assert [box[k] for k in ("x1", "y1", "x2", "y2")] == [15, 5, 25, 15]
    assert [triangle["area"], box["area"]] == [float(rle.area(mask)) for mask in expected]


def test_keypoints_have_a_visibility_or_are_there(tmp_path: Path) -> None:
    three = one(tmp_path / "3", f"{BOX} 0.5 0.5 2 0.25 0.5 1 0 0 0", kpt_shape=[3, 3])
    assert three["true_keypoints"] == [
        [{"x": 20, "y": 10, "v": 2}, {"x": 10, "y": 10, "v": 1}, {"x": 0, "y": 0, "v": 0}]
    ]
    two = one(tmp_path / "2", f"{BOX} 0.5 0.5 -1 -1", kpt_shape=[2, 2])
    assert [point["v"] for point in two["true_keypoints"][0]] == [2, 0]
    assert two["true_keypoints"][0][0] == {"x": 20, "y": 10, "v": 2}
    assert two["true_masks"] is None
    assert one(tmp_path / "0", "", kpt_shape=[2, 2])["true_boxes"] == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "LABEL_MISSING: the label file 1.txt does not exist"),
        ("2 0.5 0.5 0.1 0.1", "LABEL_RANGE: line 1: class 2 is outside of 0..1"),
        (f"{BOX}\n-1 0.5 0.5 0.1 0.1", "LABEL_RANGE: line 2: class -1"),
        ("0.5 0.5 0.5 0.1 0.1", "LABEL_RANGE: line 1: class 0.5"),
        ("0 0.5 0.5 0.1", "LABEL_INVALID: line 1: fewer than five finite numbers"),
        ("0 0.5 0.5 nan 0.1", "LABEL_INVALID: line 1: fewer than five finite numbers"),
        ("inf 0.5 0.5 0.1 0.1", "LABEL_INVALID: line 1: fewer than five finite numbers"),
        ("0 0.5 inf 0.1 0.1", "LABEL_INVALID: line 1: fewer than five finite numbers"),
        ("cat 0.5 0.5 0.1 0.1", "LABEL_INVALID: line 1: not numbers"),
        ("0 0.5 0.5 -0.1 0.1", "LABEL_INVALID: line 1: box"),
        ("0 -0.5 0.5 0.1 0.1", "LABEL_INVALID: line 1: box"),
        ("0 20 10 4 4", "LABEL_INVALID: line 1: box"),
        ("0 0.1 0.1 0.5 0.5 0.2 0.2 0.3", "LABEL_INVALID: line 1: the polygon is malformed"),
        ("0 0.1 0.1 0.5 0.5 2 2", "LABEL_INVALID: line 1: the polygon is malformed"),
        ("0 -0.1 0.1 0.5 0.5 0.2 0.2", "LABEL_INVALID: line 1: the polygon is malformed"),
    ],
)
def test_a_wrong_label_costs_its_image_alone(tmp_path: Path, text: str | None, error: str) -> None:
    rows = found(dataset_of(tmp_path, [BOX, text, BOX]))
    assert rows["label_error"][1].startswith(error)
    assert rows["true_boxes"][1] is None
    assert (rows["label_error"][0], rows["label_error"][2]) == (None, None)
    assert len(rows["true_boxes"][0]) == len(rows["true_boxes"][2]) == 1


@pytest.mark.parametrize("text", [BOX, f"{BOX} 0.5 0.5 2", f"{BOX} 0.5 0.5 2 0.5 nan 2"])
def test_keypoints_are_as_many_as_data_yaml_says(tmp_path: Path, text: str) -> None:
    row = one(tmp_path, text, kpt_shape=[2, 3])
    assert row["label_error"].startswith("LABEL_INVALID: line 1: ")


def test_a_label_file_that_is_no_text(tmp_path: Path) -> None:
    file = dataset_of(tmp_path, [BOX])
    (tmp_path / "labels" / "test" / "0.txt").write_bytes(b"\xff\xfe\x00")
    assert found(file)["label_error"][0].startswith("LABEL_INVALID: 0.txt")


def test_missing_labels_can_be_background(tmp_path: Path) -> None:
    file = dataset_of(tmp_path, [BOX, None, ""])
    rows = found(file, missing_labels="background")
    assert rows["label_error"] == [None] * 3
    assert [len(boxes) for boxes in rows["true_boxes"]] == [1, 0, 0]


def test_a_broken_image_is_left_to_its_own_row(tmp_path: Path) -> None:
    file = dataset_of(tmp_path, [BOX, BOX])
    (tmp_path / "images" / "test" / "1.png").write_bytes(b"no image")
    rows = found(file)
    assert rows["image_id"] == ["images/test/0.png", "images/test/1.png"]
    assert rows["label_error"] == [None, None]


def test_the_split_is_test_val_or_train(tmp_path: Path) -> None:
    file = dataset_of(tmp_path, [BOX], val="images/val", train="images/train")
    write_image(tmp_path / "images" / "val" / "v.png")
    info = opened(file).describe()
    assert (info.split, info.root, info.classes) == ("test", tmp_path, ("cat", "dog"))
    assert info.notes == (f"took the split 'test' of {file}",)
    assert found(file, split="val")["image_id"] == ["images/val/v.png"]
    for split, code in (("nope", "DATASET_SPLIT"), ("train", "DATASET_NOT_FOUND")):
        with pytest.raises(InputError) as caught:
            found(file, split=split)
        assert caught.value.code == code


def test_names_go_by_number_and_order_is_natural(tmp_path: Path) -> None:
    file = dataset_of(tmp_path, [BOX] * 12, names={1: "b", 0: "a", 3: "k", 2: "c"}, path=None)
    assert opened(file).describe().classes == ("a", "b", "c", "k")
    assert found(file)["image_id"] == [f"images/test/{n}.png" for n in range(12)]


def test_a_list_of_files_and_of_folders(tmp_path: Path) -> None:
    file = dataset_of(tmp_path, [BOX, BOX], test=["list.txt", "images/more"])
    write_image(tmp_path / "images" / "more" / "m.png")
    (tmp_path / "list.txt").write_text("./images/test/1.png\n\nimages/test/0.png\n")
    assert found(file)["image_id"] == [
        "images/more/m.png", "images/test/0.png", "images/test/1.png"]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("names: [a", "DATASET_UNREADABLE"),
        ("just text", "DATASET_FORMAT"),
        ("test: images/test", "DATASET_FORMAT"),
        ("names: 3\ntest: images/test", "DATASET_FORMAT"),
        ("names: {a: b}\ntest: images/test", "DATASET_FORMAT"),
        ("names: [a, b]", "DATASET_SPLIT"),
        ("names: [a]\ntest: images/none", "DATASET_NOT_FOUND"),
        ("names: [a]\ntest: images/test\nkpt_shape: 17", "DATASET_FORMAT"),
    ],
)
def test_what_is_no_data_yaml(tmp_path: Path, text: str, code: str) -> None:
    file = dataset_of(tmp_path, [BOX])
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        found(file)
    assert caught.value.code == code


def test_where_the_labels_of_an_image_are() -> None:
    assert label_path("/a/images/b/images/c.d.jpg") == "/a/images/b/labels/c.d.txt"
    assert label_path("s3://a/images/c") == "s3://a/labels/c.txt"
    assert label_path("/a/flat/c.jpg") == "/a/flat/c.txt"
