"""File names of COCO files against the files in the folder, and files without an annotation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import InputError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.sources.registry import open_source
from tests.contracts.source_contract import collected
from tests.pipelines.data.sources.coco.making import HEIGHT, WIDTH, Document, annotation, document
from tests.pipelines.making import write_image


def dataset(root: Path, files: list[str], names: list[str]) -> DatasetConfig:
    for file in files:
        write_image(root / "images" / file, size=(WIDTH, HEIGHT))
    content = document(len(names), *(annotation(100 + n) for n in range(len(names))))
    for image, name in zip(content["images"], names, strict=True):
        image["file_name"] = name
    (root / "set.json").write_text(json.dumps(content))
    return DatasetConfig(
        format="coco", path=str(root / "images"), annotations=str(root / "set.json")
    )


def report_of(config: DatasetConfig, folder: Path) -> Document:
    source = open_source(config)
    return write_manifest(source, source.describe(), folder / "m.parquet").report


@pytest.mark.parametrize(
    ("file", "written", "repaired"),
    [
        ("a/x.png", "a/x.png", {}),
        ("a/x.png", "a\\x.png", {}),
        ("a/x y.png", "a/x%20y.png", {}),
        ("a/x%20y.png", "a/x%20y.png", {}),
        ("a/x.png", "./a/x.png", {}),
        ("a/x.png", "/a/x.png", {}),
        ("a/x.png", "{root}/images/a/x.png", {}),
        ("a/x.png", "x.png", {"file_name_matched_by_tail": 1}),
        ("a/x.png", "C:\\data\\a\\x.png", {"file_name_matched_by_tail": 1}),
        ("a/x.png", "/home/other/images/a/x.png", {"file_name_matched_by_tail": 1}),
        ("x.png", "https://host/bucket/x.png", {"file_name_matched_by_tail": 1}),
    ],
    ids=["H-plain", "H-backslash", "H-url-encoded", "H-percent-in-name", "H-dot", "H-slash",
         "H-absolute", "H-base-name", "H-windows", "H-other-machine", "H-url"],
)  # fmt: skip
def test_names_are_matched_with_the_files(
    tmp_path: Path, file: str, written: str, repaired: dict[str, int]
) -> None:
    config = dataset(tmp_path, [file, "b/y.png"], [written.format(root=tmp_path), "b/y.png"])
    source = open_source(config)
    rows = collected(source, source.describe())
    assert rows["image_id"] == [file, "b/y.png"]
    assert rows["location"][0] == str(tmp_path / "images" / file)
    assert None not in rows["size"]
    assert report_of(config, tmp_path)["annotations"]["repaired"] == repaired


def test_a_tail_of_two_files_matches_none(tmp_path: Path) -> None:
    config = dataset(tmp_path, ["a/x.png", "b/x.png", "y.png"], ["x.png", "y.png"])
    source = open_source(config)
    rows = collected(source, source.describe())
    assert rows["image_id"] == ["x.png", "y.png"]
    assert rows["size"][0] is None
    longer = dataset(tmp_path, [], ["/far/b/x.png", "y.png"])
    assert collected(open_source(longer), source.describe())["image_id"] == ["b/x.png", "y.png"]


def test_a_file_that_another_image_has_is_not_taken_again(tmp_path: Path) -> None:
    config = dataset(tmp_path, ["a/x.png"], ["a/x.png", "/far/x.png"])
    source = open_source(config)
    assert collected(source, source.describe())["image_id"] == ["a/x.png", "/far/x.png"]


def test_a_folder_without_any_of_the_images_is_rejected(tmp_path: Path) -> None:
    config = dataset(tmp_path, ["other.png"], ["x.png", "y.png"])
    with pytest.raises(InputError) as caught:
        report_of(config, tmp_path)
    assert caught.value.code == "DATASET_IMAGES_NOT_FOUND"
    assert str(tmp_path / "images" / "x.png") in caught.value.message
    assert caught.value.message.endswith(
        "Set dataset.path to the folder that the file names are relative to, and "
        "dataset.annotations to the annotation file."
    )


def test_files_that_are_not_listed_are_counted(tmp_path: Path) -> None:
    config = dataset(tmp_path, ["a/x.png", "a/more.png", "b/other.png", "a/.h.png"], ["a/x.png"])
    (tmp_path / "images" / "a" / "notes.txt").write_text("x")
    report = report_of(config, tmp_path)
    assert {reason: one["examples"] for reason, one in report["passed_over"].items()} == {
        "not_listed": ["a/more.png"], "not_an_image": ["a/notes.txt"], "hidden": ["a/.h.png"],
    }  # fmt: skip
    assert (report["found"], report["used"]) == (4, 1)
    assert report["warnings"] == [
        "1 file passed over: images that the annotation file does not list (a/more.png)"
    ]


@pytest.mark.parametrize(
    ("file", "images", "path"),
    [
        ("annotations/instances_val2017.json", "val2017", ""),
        ("annotations/instances_val2017.json", "images/val2017", ""),
        ("annotations/instances_val2017.json", "val2017", "annotations/instances_val2017.json"),
        ("_annotations.coco.json", "", ""),
        ("_annotations.coco.json", "", "_annotations.coco.json"),
        ("labels.json", "images", "labels.json"),
        ("labels.json", "", "labels.json"),
    ],
)
def test_the_usual_layouts_are_recognised(
    tmp_path: Path, file: str, images: str, path: str
) -> None:
    content = document(2, annotation(100))
    for image in content["images"]:
        write_image(tmp_path / images / image["file_name"], size=(WIDTH, HEIGHT))
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(json.dumps(content))
    source = open_source(DatasetConfig(path=str(tmp_path / path)))
    info = source.describe()
    assert info.root == tmp_path / images
    assert info.notes == (f"took the annotations {tmp_path / file}",)
    rows = collected(source, info)
    assert rows["image_id"] == ["sub 0/0.png", "sub 1/1.png"]
    assert [len(boxes) for boxes in rows["true_boxes"]] == [1, 0]


def test_a_split_chooses_the_annotation_file(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / "annotations").mkdir(exist_ok=True)
        content = document(1)
        write_image(tmp_path / split / content["images"][0]["file_name"], size=(WIDTH, HEIGHT))
        (tmp_path / f"annotations/instances_{split}.json").write_text(json.dumps(content))
    roots: list[Any] = [
        open_source(DatasetConfig(path=str(tmp_path), split=split, format="coco")).describe().root
        for split in ("auto", "train")
    ]
    assert roots == [tmp_path / "val", tmp_path / "train"]
